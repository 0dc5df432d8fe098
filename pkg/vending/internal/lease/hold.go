package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

var (
	errLeaseEnded = errors.New("the lease ended without a result")
	errNoLease    = errors.New("acquire the lease")
)

// Hold takes the lease of r's item, after another holder if there is one. Without
// an error either holder is set, or found is the result of the other holder.
func (l *Leases) Hold(ctx context.Context, r *Refresh, w Wait) (holder *Holder, found record.Record, err error) {
	for {
		if err := issue.RequireTime(rules.Remaining(ctx), issue.RefreshBudget(r.Conn.Connection)); err != nil {
			return nil, found, err
		}
		if l.FlushPending(ctx); !w.ReplacesGrant && l.records.Pending(r.Key) {
			return nil, found, rules.Unavailable(record.ErrPendingWrite)
		}
		owner, err := l.random.Owner()
		if err != nil {
			return nil, found, err
		}
		item, err := l.store.Acquire(ctx, tokenstore.Acquire{Key: r.Key, Owner: owner, Now: l.clock.Now(), TTL: TTLOf(r.Conn.Connection),
			UsesRefreshToken: r.Conn.Delegated() && !w.ReplacesGrant && !w.Outage})
		switch {
		case err == nil:
			return &Holder{leases: l, req: r, rec: record.Record{Item: item}, owner: owner,
				remaining: func() time.Duration { return rules.Remaining(ctx) }}, found, nil
		case errors.Is(err, tokenstore.ErrGrantCorrupt):
			return nil, found, rules.CorruptGrant(ctx, r.Key, err)
		case errors.Is(err, tokenstore.ErrHeld) && w.Never:
			// Callers that arrive meanwhile see the lease and do not request it: that
			// would be a write for each.
			_, _ = l.records.Accept(ctx, item)
			return nil, found, ErrBusy
		case !errors.Is(err, tokenstore.ErrHeld):
			return nil, found, fmt.Errorf("%w: %w", errNoLease, err)
		}
		r.Attempted = item.RefreshAttempt
		if found, err = l.await(ctx, r, w, item); !errors.Is(err, errLeaseEnded) {
			return nil, found, err
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
