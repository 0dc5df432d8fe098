package vending

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const (
	// providerBudget bounds all calls to the provider in one refresh,
	// persistBudget the storing of their result. With two seconds of clock skew
	// and some slack they make the lease.
	providerBudget = 10 * time.Second
	persistBudget  = 5 * time.Second
	leaseTTL       = 20 * time.Second
	// waitBudget bounds waiting for another holder.
	waitBudget = 8 * time.Second
	// answerBudget is kept for answering the caller after waiting.
	answerBudget = 2 * time.Second
	// attempts bounds starting over when a commit was superseded.
	attempts = 2
)

// job is one refresh: what is wanted and under which declaration.
type job struct {
	key  tokenstore.Key
	conn connection.Connection
	// scope is the caller's choice; empty for the connection's own.
	scope  string
	minTTL time.Duration
	// replaces is the id of a token that will not do: another is wanted.
	replaces string
	// rejected: a caller reported that token dead, so it stands in for nothing.
	rejected bool
	// renewal: nobody waits for the result, and nobody has used it yet.
	renewal bool
	// storeDown: the table did not answer a moment ago.
	storeDown bool
}

// refresh gets r a token that is newer than e's.
func (c *Core) refresh(ctx context.Context, r Request, e entry) (Vended, error) {
	conn, err := c.declarations.load(ctx, r.Connection, false)
	if err != nil {
		return Vended{}, err
	}
	if err := permit(conn, r); err != nil {
		return Vended{}, err
	}
	if now := c.now(); active(e.item.Failure, conn, now) {
		return Vended{}, remembered(e.item.Failure, now)
	}
	j := job{key: r.key(), conn: conn, scope: r.Scope, minTTL: r.MinTTL, rejected: r.RejectedTokenID != ""}
	if j.rejected || e.token.Usable(c.now(), r.MinTTL) {
		j.replaces = e.token.ID
	}
	return c.fly(ctx, r, j)
}

// vendAlone serves r while the table does not answer.
func (c *Core) vendAlone(ctx context.Context, r Request) (Vended, error) {
	conn, err := c.declarations.load(ctx, r.Connection, false)
	if err != nil {
		return Vended{}, err
	}
	if err := permit(conn, r); err != nil {
		return Vended{}, err
	}
	return c.fly(ctx, r, job{key: r.key(), conn: conn, scope: r.Scope, minTTL: r.MinTTL, storeDown: true})
}

// fly shares one refresh among the callers of this process. What another
// caller's refresh brought may not do for this one; then it flies itself, once.
func (c *Core) fly(ctx context.Context, r Request, j job) (Vended, error) {
	var e entry
	for range attempts {
		var led bool
		var err error
		e, led, err = c.flights.do(ctx, j.key, func(ctx context.Context) (entry, error) { return c.run(ctx, j) })
		if err != nil {
			return Vended{}, flightProblem(err)
		}
		if led || j.satisfied(e.token, c.now()) {
			break
		}
	}
	if j.rejected && e.token.ID == j.replaces {
		return Vended{}, problem.New(problem.ProviderMalformed, "the provider issued the rejected token once more")
	}
	if err := allow(r, e.token); err != nil {
		return Vended{}, err
	}
	if err := e.token.checkMinTTL(r.MinTTL); err != nil {
		return Vended{}, err
	}
	return Vended{Token: e.token, Source: e.source}, nil
}

func flightProblem(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return inProgress("the invocation ended before the refresh did")
	}
	return err
}

// satisfied reports whether t is what the job is for.
func (j job) satisfied(t Token, now time.Time) bool {
	return t.Usable(now, j.minTTL) && t.ID != j.replaces &&
		t.Declaration == j.conn.Hash && t.Generation == j.conn.Generation
}

// run takes the lease and refreshes, or waits for the holder's result.
func (c *Core) run(ctx context.Context, j job) (entry, error) {
	if j.storeDown {
		return c.mintAlone(ctx, j)
	}
	if remaining(ctx) < providerBudget+persistBudget {
		return entry{}, inProgress("too little of the invocation's time is left to start a refresh")
	}
	until := c.now().Add(waitBudget)
	for superseded := 0; superseded < attempts; {
		e, err := c.turn(ctx, &j, until)
		switch {
		case errors.Is(err, errLeaseEnded):
		case errors.Is(err, tokenstore.ErrSuperseded):
			superseded++
		default:
			return e, err
		}
	}
	return entry{}, inProgress("the token was changed by others while it was being refreshed")
}

// turn is one attempt at the lease.
func (c *Core) turn(ctx context.Context, j *job, until time.Time) (entry, error) {
	owner, err := c.newOwner()
	if err != nil {
		return entry{}, err
	}
	item, err := c.store.Acquire(ctx, tokenstore.Acquire{Key: j.key, Owner: owner, Now: c.now(), TTL: leaseTTL})
	switch {
	case errors.Is(err, tokenstore.ErrHeld) && j.renewal:
		return entry{}, errBusy
	case errors.Is(err, tokenstore.ErrHeld):
		return c.await(ctx, *j, until)
	case errors.Is(err, tokenstore.ErrUnavailable) && !j.renewal:
		return c.mintAlone(ctx, *j)
	case err != nil:
		return entry{}, err
	}
	audit.From(ctx).LeaseSeq = item.Lease.Seq
	return c.hold(ctx, j, item, owner)
}

// hold refreshes under the lease: unless a look at the item as it now stands
// shows that there is nothing to do, or that nobody should.
func (c *Core) hold(ctx context.Context, j *job, item tokenstore.Item, owner string) (entry, error) {
	e, err := c.examine(ctx, j, item)
	if err == nil && j.satisfied(e.token, c.now()) {
		c.release(ctx, j.key, owner)
		return e, nil
	}
	if now := c.now(); err == nil && active(item.Failure, j.conn, now) {
		err = remembered(item.Failure, now)
	}
	if err == nil {
		err = c.prepare(ctx, j, item)
	}
	if err != nil {
		c.release(ctx, j.key, owner)
		return entry{}, err
	}
	m, err := c.mint(ctx, j.conn, j.scope)
	if err != nil {
		return entry{}, c.fail(ctx, *j, e, owner, err)
	}
	return c.commit(ctx, *j, item, owner, m)
}

// examine opens the item and makes sure that the job's declaration is not older
// than what is stored: a cached secret may be, and must then not overrule it.
func (c *Core) examine(ctx context.Context, j *job, item tokenstore.Item) (entry, error) {
	e, err := c.open(ctx, item)
	if err != nil {
		return entry{}, err
	}
	stale := item.MustLoad != "" && item.MustLoad != j.conn.SecretVersion ||
		e.token.ID != "" && e.token.Declaration != j.conn.Hash
	if !stale {
		return e, nil
	}
	conn, err := c.declarations.load(ctx, j.conn.Name, true)
	if err != nil {
		return entry{}, err
	}
	j.conn = conn
	return e, nil
}

// prepare makes sure, before the provider is called, that its answer can be
// stored and found again.
func (c *Core) prepare(ctx context.Context, j *job, item tokenstore.Item) error {
	if err := c.sealer.Prefetch(ctx); err != nil {
		return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
			Detail: "the keyset that seals tokens cannot be had"}
	}
	if j.key.Variant == "" || item.Version > 0 {
		return nil
	}
	own := tokenstore.Key{Connection: j.key.Connection, Subject: j.key.Subject}
	if err := c.store.AddVariant(ctx, own, j.key.Variant); err != nil {
		return unavailable(err)
	}
	return nil
}

// await polls until the holder's result is there, its failure is known, its
// lease has ended without either (errLeaseEnded), or the time is up.
func (c *Core) await(ctx context.Context, j job, until time.Time) (entry, error) {
	until = earlier(until, c.now().Add(remaining(ctx)-answerBudget))
	for pause := 100 * time.Millisecond; ; pause = min(pause*3/2, time.Second) {
		pause := min(c.jittered(pause), until.Sub(c.now()))
		if pause <= 0 {
			return entry{}, inProgress("another process is refreshing this token")
		}
		if err := c.wait(ctx, pause); err != nil {
			return entry{}, err
		}
		e, err := c.read(ctx, j.key, true)
		now := c.now()
		switch {
		case err != nil:
			return entry{}, unavailable(err)
		case j.satisfied(e.token, now):
			return e, nil
		case active(e.item.Failure, j.conn, now):
			return entry{}, remembered(e.item.Failure, now)
		case e.item.Lease.Owner == "" || !e.item.Lease.Until.After(now):
			return entry{}, errLeaseEnded
		}
	}
}

// commit stores what was minted. It no longer depends on the caller: a token
// that was paid for is kept.
func (c *Core) commit(ctx context.Context, j job, item tokenstore.Item, owner string, t Token) (entry, error) {
	e := entry{item: item, token: t, readAt: c.now(), source: FromProvider}
	stored, err := c.sealToken(ctx, j.key, t)
	if err != nil {
		return c.keep(ctx, e, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	request := tokenstore.Commit{Key: j.key, Owner: owner, Version: item.Version, Generation: t.Generation,
		Token: stored, Used: !j.renewal, RenewSlot: renewSlot(j, t), Now: c.now()}
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		committed, err := c.store.Commit(ctx, request)
		switch {
		case err == nil:
			e.item = committed
			c.memory.put(j.key, e)
			return e, nil
		case errors.Is(err, tokenstore.ErrSuperseded):
			return c.overtaken(ctx, j, owner, err)
		case c.wait(ctx, c.jittered(pause)) != nil, pause > time.Second:
			return c.keep(ctx, e, err)
		}
	}
}

// keep serves from memory what could not be stored: it is valid all the same.
func (c *Core) keep(ctx context.Context, e entry, err error) (entry, error) {
	account := audit.From(ctx)
	account.Warn("token_not_stored")
	account.Explain(err)
	c.memory.put(e.item.Key, e)
	return e, nil
}

// overtaken looks for what moved the item on; superseded means try again.
func (c *Core) overtaken(ctx context.Context, j job, owner string, superseded error) (entry, error) {
	c.release(ctx, j.key, owner)
	e, err := c.read(ctx, j.key, true)
	if err != nil {
		return entry{}, unavailable(err)
	}
	if !j.satisfied(e.token, c.now()) {
		return entry{}, superseded
	}
	return e, nil
}

// fail shares a provider's failure with the fleet and returns it for the caller.
func (c *Core) fail(ctx context.Context, j job, e entry, owner string, err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		c.release(ctx, j.key, owner)
		return err
	}
	refusal, now := asProviderError(err), c.now()
	failure := nextFailure(e.item.Failure, refusal, j.conn, failureFacts{
		now: now, served: e.token.Valid(now) && !j.rejected, jitter: c.fraction()})
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	err = c.store.Fail(detached, tokenstore.Fail{Key: j.key, Owner: owner, Failure: failure, RenewSlot: retrySlot(e, failure), Now: now})
	if err != nil {
		audit.From(ctx).Warn("failure_not_stored")
	}
	if e.token.Valid(now) {
		e.item.Failure, e.item.Lease = failure, tokenstore.Lease{}
		c.memory.put(j.key, e)
	}
	p := remembered(failure, now)
	p.Cause = refusal
	return p
}

// release gives the lease back. A lease that cannot be released ends by itself.
func (c *Core) release(ctx context.Context, key tokenstore.Key, owner string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	if err := c.store.Release(ctx, key, owner); err != nil {
		audit.From(ctx).Warn("lease_not_released")
	}
}

var (
	errLeaseEnded = errors.New("the lease ended without a result")
	errBusy       = errors.New("another process is refreshing")
)

func inProgress(detail string) *problem.Error {
	return &problem.Error{Code: problem.RefreshInProgress, Detail: detail, RetryAfter: time.Second}
}

// unavailable maps a store's error for the caller; a problem stays what it is.
func unavailable(err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return err
	}
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
		Detail: "the token table does not answer"}
}

// remaining is how much of the invocation is left. No deadline means plenty;
// a deadline that has passed means nothing, never plenty.
func remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Hour
	}
	return max(time.Until(deadline), 0)
}

// newOwner is 128 random bits, new for each acquisition: neither a restored
// snapshot nor a recycled environment can repeat it.
func (c *Core) newOwner() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(c.rand, id[:]); err != nil {
		return "", fmt.Errorf("make a lease owner: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// fraction is a random number in [0, 1); without randomness it is the middle.
func (c *Core) fraction() float64 {
	var b [8]byte
	if _, err := io.ReadFull(c.rand, b[:]); err != nil {
		return 0.5
	}
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

// jittered spreads d by ± 25 %.
func (c *Core) jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + c.fraction()/2))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) + " s" }
