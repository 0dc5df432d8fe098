package vending

import (
	"context"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// alone bounds minting while the table is down: once per key and aloneEvery in
// this process, for no lease keeps the fleet in step.
type alone struct {
	mu   sync.Mutex
	last map[tokenstore.Key]time.Time
}

const aloneEvery = 30 * time.Second

// try reports how long to wait; zero means that the caller may mint.
func (a *alone) try(key tokenstore.Key, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := a.last[key].Add(aloneEvery).Sub(now); wait > 0 && wait <= aloneEvery {
		return wait
	}
	if a.last == nil || len(a.last) >= memorySize {
		a.last = make(map[tokenstore.Key]time.Time)
	}
	a.last[key] = now
	return 0
}

// mintAlone mints without a lease and keeps the token in memory.
func (c *Core) mintAlone(ctx context.Context, j job) (entry, error) {
	if wait := c.alone.try(j.key, c.now()); wait > 0 {
		return entry{}, &problem.Error{Code: problem.StoreUnavailable, RetryAfter: wait,
			Detail: "the token table does not answer, and this process has asked the provider for itself already"}
	}
	t, err := c.mint(ctx, j.conn, j.scope)
	if err != nil {
		p := providerProblem(asProviderError(err))
		p.RetryAfter = max(p.RetryAfter, aloneEvery)
		return entry{}, p
	}
	e := entry{item: tokenstore.Item{Key: j.key}, token: t, readAt: c.now(), source: FromProvider}
	c.memory.put(j.key, e)
	audit.From(ctx).Warn("store_unavailable")
	return e, nil
}
