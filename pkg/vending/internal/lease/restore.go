package lease

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// restore stores the access token of a grant that is one again, after it was dropped or
// its declaration has changed. The provider is not asked.
func (h *Holder) restore(ctx context.Context) (record.Record, error) {
	l, item := h.leases, h.rec.Item
	if err := rules.RequireConsent(item, h.req.Conn.Connection, l.clock.Now()); err != nil {
		return record.Record{}, err
	}
	g, err := l.records.OpenGrant(ctx, item)
	if err != nil {
		return record.Record{}, err
	}
	t := g.Token(h.req.Conn)
	sealed, err := l.records.SealToken(ctx, h.req.Key, t, item.Grant)
	if err != nil {
		return record.Record{}, err
	}
	if err := h.requireTime(rules.SaveBudget); err != nil {
		return record.Record{}, err
	}
	item, err = l.store.Commit(ctx, tokenstore.Commit{Key: h.req.Key, Owner: h.owner, Version: item.Version,
		SecretIncarnation: t.SecretIncarnation, Token: sealed, Used: h.req.ForCaller, Now: l.clock.Now()})
	if errors.Is(err, tokenstore.ErrSuperseded) {
		return record.Record{}, err
	}
	if err != nil {
		return record.Record{}, rules.Unavailable(err)
	}
	h.ended = true
	rec, err := l.records.Accept(ctx, item)
	if err == nil && h.req.ForCaller {
		err = h.stillAccepted(ctx, rec)
	}
	return rec, err
}
