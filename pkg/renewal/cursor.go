package renewal

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// cursor is the last minute of a shard whose slots were read to their end.
type cursor struct {
	shard    int
	last     wheel.Minute
	document tokenstore.Document
}

// readCursor reads the cursor of a shard. A missing or corrupt cursor, and one in
// the future, which a wrong clock wrote, begin at the minute before now. That is
// safe, because each visit decides by itself whether a token needs renewal.
func (r *Renewer) readCursor(ctx context.Context, shard int, now wheel.Minute) (*cursor, error) {
	d, err := r.documents.ReadDocument(ctx, fmt.Sprintf("cursor/%d", shard))
	if err != nil {
		return nil, storeProblem(err)
	}
	c := &cursor{shard: shard, last: now - 1, document: d}
	if minute, err := strconv.ParseInt(string(d.Text), 10, 64); err == nil && minute > 0 && wheel.Minute(minute) <= now {
		c.last = wheel.Minute(minute)
	}
	return c, nil
}

// advance moves a cursor to now. If another tick has moved it in the meantime,
// that tick did the same work.
func (r *Renewer) advance(ctx context.Context, c *cursor, now wheel.Minute, run *stats) {
	c.document.Text = strconv.AppendInt(nil, int64(now), 10)
	if _, err := r.documents.WriteDocument(ctx, c.document); err != nil && !errors.Is(err, tokenstore.ErrSuperseded) {
		run.failed(storeProblem(err))
	}
}
