package vending

import (
	"context"
	"errors"
	"slices"
	"time"

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
	// unforceTries bounds taking a count back while others count, and unforcePause
	// is the pause between tries, jittered so that they do not meet again.
	unforceTries = 6
	unforcePause = 20 * time.Millisecond
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
	one := r.forcedRefresh(now)
	if err := checkForced(forced, one.By, now); err != nil {
		return nil, err
	}
	forced = append(forced, one)
	if item.Key.Variant == "" {
		return forced, nil
	}
	err := c.store.SetForcedRefreshes(ctx, own.Key, own.ForcedRefreshes, forced)
	if err != nil && !errors.Is(err, tokenstore.ErrSuperseded) {
		return nil, rules.Unavailable(err)
	}
	// The variant's item carries this one alone, which tells the caller's own write
	// from that of another caller who rejects the token at once.
	return []tokenstore.ForcedRefresh{one}, err
}

// unforce takes back what force counted for a scope variant when another caller
// has rejected its token meanwhile: only one of them forces a refresh. A count that
// cannot be taken back expires.
func (c *Core) unforce(ctx context.Context, r Request, key tokenstore.Key, at time.Time) {
	one := r.forcedRefresh(at)
	one.At = one.At.Truncate(time.Millisecond) // as it is stored
	for try := 0; key.Variant != "" && try < unforceTries; try++ {
		own, err := c.store.Get(ctx, rules.OwnKey(key), true)
		i := slices.IndexFunc(own.ForcedRefreshes, func(f tokenstore.ForcedRefresh) bool { return f.By == one.By && f.At.Equal(one.At) })
		if err != nil || i < 0 {
			return
		}
		err = c.store.SetForcedRefreshes(ctx, own.Key, own.ForcedRefreshes, slices.Delete(slices.Clone(own.ForcedRefreshes), i, i+1))
		if !errors.Is(err, tokenstore.ErrSuperseded) || c.clock.Wait(ctx, c.random.Jitter(unforcePause)) != nil {
			return
		}
	}
}

func (r Request) forcedRefresh(at time.Time) tokenstore.ForcedRefresh {
	return tokenstore.ForcedRefresh{At: at, By: r.principal()}
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
