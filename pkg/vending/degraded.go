package vending

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// degradedEvery bounds minting while the table is down: once per key and process
	// in that time, for no lease keeps the fleet in step.
	degradedEvery = 30 * time.Second
	// lookEvery bounds what is tried again on the side: looking past the cache at
	// a secret whose connection fails, storing what the table did not take.
	lookEvery = 5 * time.Second
)

// mintWithoutStore mints without a lease and keeps the token in memory.
func (c *Core) mintWithoutStore(ctx context.Context, j refreshJob) (record, error) {
	if rules.Remaining(ctx) < providerBudget {
		return record{}, rules.InProgress("too little of the invocation's time is left to ask the provider")
	}
	if wait := c.degraded.Try(j.key, c.clock.Now()); wait > 0 {
		return record{}, &problem.Error{Code: problem.StoreUnavailable, RetryAfter: wait,
			Detail: "the token table does not answer, and this process has asked the provider for itself already"}
	}
	m, err := c.mint(ctx, &j)
	if err != nil {
		p := rules.ProviderProblem(rules.ProviderError(err))
		p.RetryAfter = max(p.RetryAfter, degradedEvery)
		return record{}, p
	}
	known, _ := c.memory.get(j.key)
	e := record{item: tokenstore.Item{Key: j.key, Version: known.item.Version}, token: m.Token, readAt: c.clock.Now(), source: FromProvider, unstored: true, slot: rules.RenewSlot(j.key, j.conn, m.Token)}
	c.memory.put(j.key, e)
	audit.From(ctx).Warn(audit.StoreUnavailable)
	return e, nil
}
