package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// tryLease is one attempt at the lease.
func (c *Core) tryLease(ctx context.Context, j *refreshJob, until time.Time) (record, error) {
	if rules.Remaining(ctx) < providerBudget+persistBudget {
		return record{}, rules.InProgress("too little of the invocation's time is left to start a refresh")
	}
	if c.flushPending(ctx); c.pending.has(j.key) {
		return record{}, rules.Unavailable(errPendingWrite)
	}
	owner, err := c.random.Owner()
	if err != nil {
		return record{}, err
	}
	item, err := c.store.Acquire(ctx, tokenstore.Acquire{Key: j.key, Owner: owner, Now: c.clock.Now(), TTL: leaseTTL, UsesRefreshToken: j.conn.Delegated()})
	switch {
	case errors.Is(err, tokenstore.ErrGrantCorrupt):
		return record{}, rules.CorruptGrant(ctx, j.key, err)
	case errors.Is(err, tokenstore.ErrHeld) && (j.noWait || j.renewal):
		c.rememberHolder(ctx, item)
		return record{}, errBusy
	case errors.Is(err, tokenstore.ErrHeld):
		return c.await(ctx, *j, until)
	case errors.Is(err, tokenstore.ErrUnavailable) && !j.noWait && !j.renewal:
		return c.withoutStore(ctx, *j, err)
	case err != nil:
		return record{}, rules.Unavailable(err)
	}
	audit.From(ctx).LeaseSeq = item.Lease.Seq
	return c.refreshUnderLease(ctx, j, item, owner)
}

// rememberHolder remembers who holds the lease, so that the callers who come meanwhile do
// not each ask for it: that would be a write per caller.
func (c *Core) rememberHolder(ctx context.Context, item tokenstore.Item) {
	if e, err := c.open(ctx, item); err == nil {
		c.memory.put(item.Key, e)
	}
}

// refreshUnderLease refreshes under the lease: unless a look at the item as it now stands
// shows that there is nothing to do, or that nobody should.
func (c *Core) refreshUnderLease(ctx context.Context, j *refreshJob, item tokenstore.Item, owner string) (record, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTTL-persistBudget)
	defer cancel()
	was := j.conn.GrantType
	e, err := c.examineVariant(ctx, j, item)
	if err == nil && j.satisfied(e.token, c.clock.Now()) {
		c.release(ctx, item, owner)
		return e, nil
	}
	if err == nil && j.conn.GrantType != was {
		err = tokenstore.ErrSuperseded // the lease was taken for another kind of token
	}
	if now := c.clock.Now(); err == nil && declaration.InBackoff(item, j.conn, now) && !j.mayRetry(item) {
		err = rules.Remembered(item.Failure, now)
	}
	if err == nil {
		err = c.prepare(ctx)
	}
	if err == nil && j.conn.Delegated() {
		err = c.loadGrant(ctx, j, e)
	}
	if errors.Is(err, errOutcomeUnknown) {
		return record{}, c.deferRefresh(ctx, *j, e, owner)
	}
	if err != nil {
		c.release(ctx, item, owner)
		return record{}, err
	}
	if j.conn.Delegated() && item.Lease.Until.Sub(c.clock.Now()) < providerBudget+persistBudget {
		c.release(ctx, item, owner) // it took too long to come here: another may hold the lease before the answer is stored
		return record{}, tokenstore.ErrSuperseded
	}
	m, err := c.mint(ctx, j)
	switch {
	case err != nil && j.conn.Delegated():
		return record{}, c.failGrant(ctx, *j, e, owner, err)
	case err != nil:
		return record{}, c.fail(ctx, *j, e, owner, err)
	case j.conn.Delegated():
		return c.commitGrant(ctx, *j, item, owner, m)
	}
	return c.commit(ctx, *j, item, owner, m.Token)
}

// examineVariant examines the item of a scope variant after the connection's own item
// knows of it; one whose token has expired may have been forgotten there.
// Whoever drops the connection's tokens before that does not reach the
// variant's, so the declaration is read anew after it.
func (c *Core) examineVariant(ctx context.Context, j *refreshJob, item tokenstore.Item) (record, error) {
	if j.key.Variant == "" || item.Token.ExpiresAt.After(c.clock.Now()) {
		return c.examine(ctx, j, item)
	}
	if err := c.addVariant(ctx, j.key); err != nil {
		return record{}, err
	}
	if err := c.reload(ctx, j); err != nil {
		return record{}, err
	}
	return c.examine(ctx, j, item)
}

// examine opens the item and makes sure that the job's declaration is not older
// than what is stored: a cached secret may be, and must then overrule neither a
// token nor a failure that a newer one met. After a drop no cached copy counts,
// not even of the version that the drop names: drops can overtake one another.
func (c *Core) examine(ctx context.Context, j *refreshJob, item tokenstore.Item) (record, error) {
	e, err := c.open(ctx, item)
	if err != nil {
		return record{}, err
	}
	c.memory.put(j.key, e)
	stale := item.RequiredSecretVersion != "" ||
		e.token.ID != "" && e.token.ConfigHash != j.conn.ConfigHash ||
		item.Failure.NextAttemptAt.After(c.clock.Now()) && item.Failure.Cause != declaration.FailureCause(item, j.conn)
	if !stale {
		return e, nil
	}
	return e, c.reload(ctx, j)
}

// reload makes the job go by the declaration in force.
func (c *Core) reload(ctx context.Context, j *refreshJob) error {
	conn, err := c.declarations.Load(ctx, j.conn.Name, true)
	if err != nil {
		return err
	}
	j.conn = conn
	return nil
}

// prepare makes sure, before the provider is called, that its answer can be
// stored.
func (c *Core) prepare(ctx context.Context) error {
	if err := c.sealer.Prefetch(ctx); err != nil {
		return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
			Detail: "the keyset that seals tokens cannot be had"}
	}
	return nil
}

// await polls until the holder's result is there, its failure is known, its
// lease has ended without either (errLeaseEnded), or the time is up.
func (c *Core) await(ctx context.Context, j refreshJob, until time.Time) (record, error) {
	until = earlier(until, c.clock.Now().Add(rules.Remaining(ctx)-answerBudget))
	var leaseEnds time.Time
	for pause := 100 * time.Millisecond; ; pause = min(pause*3/2, time.Second) {
		now := c.clock.Now()
		pause := min(c.random.Jitter(pause), until.Sub(now))
		if left := leaseEnds.Sub(now); left > 0 {
			pause = min(pause, left+time.Millisecond) // a holder that died holds up nobody for longer
		}
		if pause <= 0 {
			return record{}, rules.InProgress("another process is refreshing this token")
		}
		if err := c.clock.Wait(ctx, pause); err != nil {
			return record{}, err
		}
		e, err := c.read(ctx, j.key, true)
		now, leaseEnds = c.clock.Now(), e.item.Lease.Until
		switch {
		case err != nil:
			return record{}, rules.Unavailable(err)
		case j.satisfied(e.token, now):
			return e, nil
		case declaration.InBackoff(e.item, j.conn, now) && !j.mayRetry(e.item):
			return record{}, rules.Remembered(e.item.Failure, now)
		case e.item.Lease.Owner == "" || !e.item.Lease.Until.After(now):
			return record{}, errLeaseEnded
		}
	}
}

// release gives the lease back. A lease that cannot be released ends by itself.
func (c *Core) release(ctx context.Context, item tokenstore.Item, owner string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	if err := c.store.Release(ctx, tokenstore.Release{Key: item.Key, Owner: owner, OutcomeUnknown: rules.OutcomeUnknown(item)}); err != nil {
		audit.From(ctx).Warn(audit.LeaseNotReleased)
	}
}

var (
	errLeaseEnded = errors.New("the lease ended without a result")
	errBusy       = errors.New("another process is refreshing")
)

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
