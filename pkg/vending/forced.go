package vending

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// forcedMost refreshes may be forced per connection and subject in forcedWindow,
	// and forcedPerPrincipal by one principal, so that one misbehaving caller leaves
	// some to the others.
	forcedMost         = 10
	forcedPerPrincipal = 3
	forcedWindow       = 10 * time.Minute
)

// force returns the forced refreshes that the item is to carry, this one included,
// if the limits allow it. They are the connection's: those of its scope variants
// are counted on its own item, before theirs is changed.
func (c *Core) force(ctx context.Context, r Request, item tokenstore.Item, now time.Time) ([]tokenstore.ForcedRefresh, error) {
	own := item
	if item.Key.Variant != "" {
		var err error
		if own, err = c.store.Get(ctx, rules.OwnKey(item.Key), true); err != nil {
			return nil, rules.Unavailable(err)
		}
	}
	forced := slices.DeleteFunc(slices.Clone(own.ForcedRefreshes), func(f tokenstore.ForcedRefresh) bool { return now.Sub(f.At) >= forcedWindow })
	by := digest.Short(connection.PrincipalID(r.CallerID))
	if err := checkForced(forced, by, now); err != nil {
		return nil, err
	}
	forced = append(forced, tokenstore.ForcedRefresh{At: now, By: by})
	if item.Key.Variant == "" {
		return forced, nil
	}
	err := c.store.SetForcedRefreshes(ctx, own.Key, own.ForcedRefreshes, forced)
	if err != nil && !errors.Is(err, tokenstore.ErrSuperseded) {
		return nil, rules.Unavailable(err)
	}
	return nil, err
}

// checkForced refuses one more forced refresh by a principal when the principal or
// all together have had too many.
func checkForced(forced []tokenstore.ForcedRefresh, by string, now time.Time) error {
	own := slices.DeleteFunc(slices.Clone(forced), func(f tokenstore.ForcedRefresh) bool { return f.By != by })
	for _, limit := range []struct {
		counted []tokenstore.ForcedRefresh
		most    int
		detail  string
	}{
		{own, forcedPerPrincipal, "you have forced too many refreshes of this connection's token"},
		{forced, forcedMost, "callers have forced too many refreshes of this connection's token"},
	} {
		if excess := len(limit.counted) - limit.most; excess >= 0 {
			return limited(limit.detail, limit.counted[excess].At.Add(forcedWindow).Sub(now))
		}
	}
	return nil
}
