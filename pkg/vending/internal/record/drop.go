package record

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Drop removes a token from the cache and from the table, and returns the item as it was
// before. Every error is a *problem.Error.
func (r *Records) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	d.Now = r.clock.Now()
	before, err := r.store.Drop(ctx, d)
	switch {
	case errors.Is(err, tokenstore.ErrGrantCorrupt):
		return before, rules.CorruptGrant(ctx, d.Key, err)
	case err != nil:
		return before, rules.Unavailable(err)
	}
	if slot := rules.KeepAliveSlot(d.Key, before.Grant); slot != "" && d.RenewSlot == "" && !d.Grant {
		d.RenewSlot = slot // the grant was stored after the item was read, and must keep a slot
		return r.Drop(ctx, d)
	}
	// With the version known, a lagging replica does not restore the token.
	r.cache.put(Record{Item: tokenstore.Item{Key: d.Key, Version: before.Version + 1}, readAt: r.clock.Now()})
	return before, nil
}

// DropToken removes the token of item and keeps its grant in a slot.
func (r *Records) DropToken(ctx context.Context, item tokenstore.Item) error {
	_, err := r.Drop(ctx, tokenstore.Drop{Key: item.Key, RenewSlot: rules.KeepAliveSlot(item.Key, item.Grant)})
	return err
}
