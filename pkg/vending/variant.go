package vending

import (
	"context"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// maxVariants bounds the scope variants of one connection: each is a token of
// its own at the provider, and their number is otherwise that of the subsets of
// allowed_scopes.
const maxVariants = 32

// ownKey names the connection's own item, which knows of the variants.
func ownKey(key tokenstore.Key) tokenstore.Key {
	return tokenstore.Key{Connection: key.Connection, Subject: key.Subject}
}

// addVariant notes a new variant on the connection's own item, if there is room
// for it among those whose tokens still live.
func (c *Core) addVariant(ctx context.Context, key tokenstore.Key) error {
	own, err := c.store.Get(ctx, ownKey(key), true)
	if err != nil {
		return rules.Unavailable(err)
	}
	if len(own.Variants) >= maxVariants && !slices.Contains(own.Variants, key.Variant) {
		if err := c.makeRoom(ctx, own); err != nil {
			return err
		}
	}
	if err := c.store.AddVariant(ctx, own.Key, key.Variant); err != nil {
		return rules.Unavailable(err)
	}
	return nil
}

// retire forgets one variant, unless somebody has begun to mint it meanwhile.
func (c *Core) retire(ctx context.Context, own, key tokenstore.Key) error {
	if err := c.store.RemoveVariant(ctx, own, key.Variant); err != nil {
		return err
	}
	item, err := c.store.Get(ctx, key, true)
	if err == nil && (item.Token.ExpiresAt.After(c.clock.Now()) || item.Lease.Until.After(c.clock.Now())) {
		err = c.store.AddVariant(ctx, own, key.Variant)
	}
	return err
}

// makeRoom forgets variants that hold no living token, and refuses when all do.
func (c *Core) makeRoom(ctx context.Context, own tokenstore.Item) error {
	now, living, soonest := c.clock.Now(), 0, time.Hour
	for _, v := range own.Variants {
		key := own.Key
		key.Variant = v
		item, err := c.store.Get(ctx, key, true)
		if err != nil {
			return rules.Unavailable(err)
		}
		if item.Token.ExpiresAt.After(now) || item.Lease.Until.After(now) {
			living++
			soonest = min(soonest, max(item.Token.ExpiresAt.Sub(now), time.Second))
			continue
		}
		if err := c.retire(ctx, own.Key, key); err != nil {
			return rules.Unavailable(err)
		}
	}
	if living < maxVariants {
		return nil
	}
	return &problem.Error{Code: problem.RateLimited, RetryAfter: soonest,
		Detail: "this connection has tokens for as many different scopes as it may; ask for one of those, or for its own"}
}
