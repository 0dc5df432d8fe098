package vending

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// rejectAge is how old a token must be before a caller may have it replaced:
	// a resource server needs a moment to learn of a new one.
	rejectAge = 30 * time.Second
	// forcedMost refreshes may be forced per connection and forcedWindow, by all
	// callers together, so that a broken caller costs the others nothing.
	forcedMost   = 3
	forcedWindow = 10 * time.Minute
)

// vendRejected serves a caller whose token the resource server refused. If it is
// the current one, read consistently, one refresh replaces it for everybody;
// any other value just gets the current token. A failed refresh is told, and
// that token never served to who rejected it.
func (c *Core) vendRejected(ctx context.Context, r Request) (Vended, error) {
	for range attempts {
		e, err := c.read(ctx, r.key(), true)
		if err != nil {
			return Vended{}, rules.Unavailable(err)
		}
		if !e.token.Valid(c.clock.Now()) || e.token.ID != r.RejectedTokenID {
			return c.vendFrom(ctx, r, e, FromTable)
		}
		v, err := c.replaceRejected(ctx, r, e)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return v, err
		}
	}
	return Vended{}, rules.InProgress("the rejected token is being replaced by others")
}

func (c *Core) replaceRejected(ctx context.Context, r Request, e record) (Vended, error) {
	if err := r.access().PermitToken(e.token); err != nil {
		return Vended{}, err
	}
	fresh := e.item.RejectedID != e.token.ID
	if fresh {
		if err := c.markRejected(ctx, &e); err != nil {
			return Vended{}, err
		}
	}
	return c.refreshAfterRejection(ctx, r, e, fresh)
}

// markRejected notes the rejection for the fleet, within the limits.
func (c *Core) markRejected(ctx context.Context, e *record) error {
	now := c.clock.Now()
	if wait := e.token.MintedAt.Add(rejectAge).Sub(now); wait > 0 {
		return limited("this token is too new to be replaced", wait)
	}
	forced, err := c.force(ctx, e.item, now)
	if err != nil {
		return err
	}
	item, err := c.store.Reject(ctx, tokenstore.Reject{Key: e.item.Key, Version: e.item.Version, TokenID: e.token.ID, ForcedRefreshes: forced})
	if errors.Is(err, tokenstore.ErrSuperseded) {
		return err
	}
	if err != nil {
		return rules.Unavailable(err)
	}
	e.item = item
	c.memory.put(item.Key, *e)
	return nil
}

// force returns the instants of forced refreshes that the item is to carry, this
// one included, if the limit allows it. The limit is the connection's: that of
// its scope variants is counted on its own item, before theirs is touched.
func (c *Core) force(ctx context.Context, item tokenstore.Item, now time.Time) ([]time.Time, error) {
	own := item
	if item.Key.Variant != "" {
		var err error
		if own, err = c.store.Get(ctx, ownKey(item.Key), true); err != nil {
			return nil, rules.Unavailable(err)
		}
	}
	forced := slices.DeleteFunc(slices.Clone(own.ForcedRefreshes), func(at time.Time) bool { return now.Sub(at) >= forcedWindow })
	if len(forced) >= forcedMost {
		return nil, limited("this connection's token was replaced too often on callers' word", forced[0].Add(forcedWindow).Sub(now))
	}
	forced = append(forced, now)
	if item.Key.Variant == "" {
		return forced, nil
	}
	err := c.store.SetForcedRefreshes(ctx, own.Key, own.ForcedRefreshes, forced)
	if err != nil && !errors.Is(err, tokenstore.ErrSuperseded) {
		return nil, rules.Unavailable(err)
	}
	return nil, err
}

func limited(detail string, wait time.Duration) *problem.Error {
	return &problem.Error{Code: problem.RateLimited, Detail: detail, RetryAfter: wait}
}
