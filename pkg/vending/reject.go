package vending

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// rejectAttempts bounds starting over when others changed the item.
	rejectAttempts = 2
	// rejectAge is how old a token must be before a caller may have it replaced: a
	// resource server may accept a new one only after a moment.
	rejectAge = 30 * time.Second
	// forcedMost refreshes may be forced per connection and forcedWindow, by all
	// callers together, so that a misbehaving caller does not affect the others.
	forcedMost   = 3
	forcedWindow = 10 * time.Minute
)

// vendRejected serves a caller whose token the resource server refused. If it is
// the current one, read consistently, one refresh replaces it for all callers.
// Any other id returns the current token. A failed refresh is an error: the
// rejected token is not served to the caller that rejected it.
func (c *Core) vendRejected(ctx context.Context, r Request) (Vended, error) {
	for range rejectAttempts {
		rec, err := c.records.Get(ctx, r.key(), true)
		if err != nil {
			return Vended{}, rules.Unavailable(err)
		}
		if !rec.Token.Valid(c.clock.Now()) || rec.Token.ID != r.RejectedTokenID {
			return c.vendFrom(ctx, r, rec)
		}
		v, err := c.replaceRejected(ctx, r, rec)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return v, err
		}
	}
	return Vended{}, rules.InProgress("the rejected token is being replaced by others")
}

func (c *Core) replaceRejected(ctx context.Context, r Request, rec record.Record) (Vended, error) {
	if err := r.access().PermitToken(rec.Token); err != nil {
		return Vended{}, err
	}
	first := rec.Item.RejectedID != rec.Token.ID
	if first {
		var err error
		if rec, err = c.markRejected(ctx, rec); err != nil {
			return Vended{}, err
		}
	}
	return c.refresh(ctx, r, rec, first)
}

// markRejected stores the rejection for the fleet, within the limits.
func (c *Core) markRejected(ctx context.Context, rec record.Record) (record.Record, error) {
	now := c.clock.Now()
	if wait := rec.Token.MintedAt.Add(rejectAge).Sub(now); wait > 0 {
		return rec, limited("this token is too new to be replaced", wait)
	}
	forced, err := c.force(ctx, rec.Item, now)
	if err != nil {
		return rec, err
	}
	item, err := c.store.Reject(ctx, tokenstore.Reject{Key: rec.Item.Key, Version: rec.Item.Version, TokenID: rec.Token.ID, ForcedRefreshes: forced})
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded):
		return rec, err
	case err != nil:
		return rec, rules.Unavailable(err)
	}
	return c.records.Update(rec, item), nil
}

// force returns the instants of forced refreshes that the item is to carry, this
// one included, if the limit allows it. The limit is the connection's: that of
// its scope variants is counted on its own item, before theirs is changed.
func (c *Core) force(ctx context.Context, item tokenstore.Item, now time.Time) ([]time.Time, error) {
	own := item
	if item.Key.Variant != "" {
		var err error
		if own, err = c.store.Get(ctx, rules.OwnKey(item.Key), true); err != nil {
			return nil, rules.Unavailable(err)
		}
	}
	forced := slices.DeleteFunc(slices.Clone(own.ForcedRefreshes), func(at time.Time) bool { return now.Sub(at) >= forcedWindow })
	if len(forced) >= forcedMost {
		return nil, limited("too many forced refreshes of this connection's token", forced[0].Add(forcedWindow).Sub(now))
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
