package lease

import (
	"context"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// maxVariants bounds the scope variants of one connection. Each is a token of its
// own at the provider, and there could be as many as subsets of allowed_scopes.
const maxVariants = 32

// announceVariant lists a scope variant without a valid token on the connection's
// own item, which may have forgotten it.
func (h *Holder) announceVariant(ctx context.Context) error {
	item := h.rec.Item
	if item.Key.Variant == "" || item.Token.ExpiresAt.After(h.leases.clock.Now()) {
		return nil
	}
	return h.leases.addVariant(ctx, item.Key)
}

// addVariant lists a variant if there is room for it among those whose tokens
// are still valid.
func (l *Leases) addVariant(ctx context.Context, key tokenstore.Key) error {
	own, err := l.store.Get(ctx, rules.OwnKey(key), true)
	if err != nil {
		return rules.Unavailable(err)
	}
	if len(own.Variants) >= maxVariants && !slices.Contains(own.Variants, key.Variant) {
		if err := l.makeRoom(ctx, own); err != nil {
			return err
		}
	}
	if err := l.store.AddVariant(ctx, own.Key, key.Variant); err != nil {
		return rules.Unavailable(err)
	}
	return nil
}

// makeRoom removes variants without a valid token, and refuses when there are none.
func (l *Leases) makeRoom(ctx context.Context, own tokenstore.Item) error {
	now, valid, soonest := l.clock.Now(), 0, time.Hour
	for _, v := range own.Variants {
		key := own.Key
		key.Variant = v
		item, err := l.store.Get(ctx, key, true)
		if err != nil {
			return rules.Unavailable(err)
		}
		if inUse(item, now) {
			valid++
			soonest = min(soonest, max(item.Token.ExpiresAt.Sub(now), time.Second))
			continue
		}
		if err := l.removeVariant(ctx, own.Key, key); err != nil {
			return rules.Unavailable(err)
		}
	}
	if valid < maxVariants {
		return nil
	}
	return &problem.Error{Code: problem.RateLimited, RetryAfter: soonest,
		Detail: "too many distinct scopes in use for this connection (max 32); reuse one of them or omit scope"}
}

// removeVariant removes one variant, unless another process has begun to mint it
// meanwhile.
func (l *Leases) removeVariant(ctx context.Context, own, key tokenstore.Key) error {
	if err := l.store.RemoveVariant(ctx, own, key.Variant); err != nil {
		return err
	}
	item, err := l.store.Get(ctx, key, true)
	if err == nil && inUse(item, l.clock.Now()) {
		err = l.store.AddVariant(ctx, own, key.Variant)
	}
	return err
}

func inUse(item tokenstore.Item, now time.Time) bool {
	return item.Token.ExpiresAt.After(now) || item.Lease.Until.After(now)
}
