package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// commit stores what was minted. It no longer depends on the caller: a token
// that was paid for is kept.
func (c *Core) commit(ctx context.Context, j refreshJob, item tokenstore.Item, owner string, t Token) (record, error) {
	e := record{item: item, token: t, readAt: c.clock.Now(), source: FromProvider}
	stored, err := c.sealToken(ctx, j.key, t)
	if err != nil {
		return c.keep(ctx, j, e, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	request := tokenstore.Commit{Key: j.key, Owner: owner, Version: item.Version, SecretIncarnation: t.SecretIncarnation,
		Token: stored, Used: !j.renewal, RenewSlot: rules.RenewSlot(j.key, j.conn, t), Now: c.clock.Now()}
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		committed, err := c.store.Commit(ctx, request)
		switch {
		case err == nil:
			e.item = committed
			c.memory.put(j.key, e)
			return e, nil
		case errors.Is(err, tokenstore.ErrSuperseded):
			return c.overtaken(ctx, j, item, owner, err)
		case c.clock.Wait(ctx, c.random.Jitter(pause)) != nil, pause > time.Second:
			return c.keep(ctx, j, e, err)
		}
	}
}

// keep serves from memory what could not be stored: it is valid all the same. A
// renewal has nobody to serve, and failed.
func (c *Core) keep(ctx context.Context, j refreshJob, e record, err error) (record, error) {
	entry := audit.From(ctx)
	entry.Warn(audit.TokenNotStored)
	entry.SetCause(err)
	if j.renewal {
		c.release(ctx, e.item, e.item.Lease.Owner)
		return record{}, rules.Unavailable(err)
	}
	e.unstored, e.slot = true, rules.RenewSlot(j.key, j.conn, e.token)
	c.memory.put(e.item.Key, e)
	return e, nil
}

// storeLate tries now and then to store what the table did not take before, over
// the version that it holds now, and returns the entry as it then stands. A token
// whose declaration has been replaced meanwhile is forgotten instead.
func (c *Core) storeLate(ctx context.Context, e record, version int64) record {
	if c.late.Try(e.item.Key, c.clock.Now()) > 0 {
		return e
	}
	conn, err := c.declarations.Load(ctx, connection.Name(e.item.Key.Connection), true)
	if problem.Is(err, problem.StoreUnavailable) {
		return e // the secret cannot be read now, which says nothing of it
	}
	if err != nil || conn.ConfigHash != e.token.ConfigHash || conn.SecretIncarnation != e.token.SecretIncarnation {
		gone := record{item: e.item, readAt: c.clock.Now()}
		c.memory.put(e.item.Key, gone)
		return gone
	}
	stored, err := c.sealToken(ctx, e.item.Key, e.token)
	if err != nil {
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, staleReadBudget)
	defer cancel()
	item, err := c.store.Commit(ctx, tokenstore.Commit{Key: e.item.Key, Version: version, SecretIncarnation: e.token.SecretIncarnation,
		Token: stored, Used: true, RenewSlot: e.slot, Now: c.clock.Now()})
	if err != nil {
		audit.From(ctx).Warn(audit.TokenNotStored)
		return e
	}
	e.item, e.unstored, e.readAt = item, false, c.clock.Now()
	c.memory.put(item.Key, e)
	return e
}

// overtaken looks for what moved the item on; superseded means try again.
func (c *Core) overtaken(ctx context.Context, j refreshJob, item tokenstore.Item, owner string, superseded error) (record, error) {
	c.release(ctx, item, owner)
	e, err := c.read(ctx, j.key, true)
	if err != nil {
		return record{}, rules.Unavailable(err)
	}
	if !j.satisfied(e.token, c.clock.Now()) {
		return record{}, superseded
	}
	return e, nil
}

// fail shares a provider's failure with the fleet and returns it for the caller.
func (c *Core) fail(ctx context.Context, j refreshJob, e record, owner string, err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		c.release(ctx, e.item, owner)
		return err
	}
	refusal, now := rules.ProviderError(err), c.clock.Now()
	failure := rules.FailedRefresh{Item: e.item, Conn: j.conn, Err: refusal, At: now, Served: e.token.Valid(now) && !j.rejected, Jitter: c.random.Fraction()}.Failure()
	return c.remember(ctx, e, tokenstore.Fail{Key: j.key, Owner: owner, Failure: failure, RenewSlot: rules.SlotAfterFailure(e.item, e.token, failure), Now: now}, refusal)
}

// remember tells the fleet of a failure, and returns it for the caller.
func (c *Core) remember(ctx context.Context, e record, f tokenstore.Fail, reason error) error {
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	if err := c.store.Fail(detached, f); err != nil {
		audit.From(ctx).Warn(audit.FailureNotStored)
	}
	if e.token.Valid(f.Now) {
		e.item.Failure, e.item.Lease = f.Failure, tokenstore.Lease{}
		c.memory.put(e.item.Key, e)
	}
	p := rules.Remembered(f.Failure, f.Now)
	p.Cause = reason
	return p
}
