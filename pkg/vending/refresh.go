package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// providerBudget bounds all calls to the provider in one refresh,
	// persistBudget the storing of their result. With two seconds of clock skew
	// and some slack they make the lease, which is also how long a holder that
	// died holds up everybody.
	providerBudget = 10 * time.Second
	persistBudget  = 5 * time.Second
	leaseTTL       = 20 * time.Second
	// waitBudget bounds waiting for another holder.
	waitBudget = 8 * time.Second
	// answerBudget is kept for answering the caller after waiting.
	answerBudget = 2 * time.Second
	// attempts bounds starting over when others moved the item on, or brought what
	// will not do.
	attempts = 2
)

// refreshJob is one refresh: what is wanted and under which declaration.
type refreshJob struct {
	key  tokenstore.Key
	conn connection.Connection
	// scope is the caller's choice; empty for the connection's own.
	scope  string
	minTTL time.Duration
	// replaces is the id of a token that will not do: another is wanted.
	replaces string
	// rejected: a caller reported that token dead, so it stands in for nothing.
	rejected bool
	// unwanted is the id of the token that the caller reported dead, whether or
	// not it is still the current one: an older refresh may yet bring it.
	unwanted string
	// impatient: there is a usable token, so nothing is worth waiting for.
	noWait bool
	// renewal: nobody asked, so nobody has used the result yet.
	renewal bool
	// storeDown: the table did not answer a moment ago.
	storeDown bool
	// revives: the word that the grant is dead is to be doubted once.
	retryDeadGrant bool
	// grant is the opened one of a delegated connection, known under the lease.
	grant grant
	// code is set where the code of a consent is exchanged instead.
	code *Authorization
}

// refresh gets r a token that is newer than e's.
func (c *Core) refresh(ctx context.Context, r Request, e record) (Vended, error) {
	return c.refreshAfterRejection(ctx, r, e, false)
}

// refreshAfterRejection is refresh where the word that the grant has ended may be
// doubted once: a caller has just reported its token dead (CR-28).
func (c *Core) refreshAfterRejection(ctx context.Context, r Request, e record, retryDeadGrant bool) (Vended, error) {
	conn, err := c.declarations.Load(ctx, r.Connection, false)
	if err != nil {
		return Vended{}, err
	}
	if err := r.access().Permit(conn); err != nil {
		return Vended{}, err
	}
	j := refreshJob{key: r.key(), conn: conn, scope: r.Scope, minTTL: r.MinTTL, unwanted: r.RejectedTokenID}
	j.rejected = j.unwanted != "" && e.token.ID == j.unwanted
	j.retryDeadGrant = retryDeadGrant
	usable := e.token.Usable(c.clock.Now(), r.MinTTL)
	if j.rejected || usable {
		j.replaces = e.token.ID
	}
	if e, err = c.consented(ctx, &j, e); err != nil {
		return Vended{}, err
	}
	if conn = j.conn; conn.Delegated() && j.satisfied(e.token, c.clock.Now()) {
		return c.deliver(r, j, e)
	}
	if declaration.InBackoff(e.item, conn, c.clock.Now()) && !j.mayRetry(e.item) {
		if j.conn, err = c.reconsider(ctx, conn, e.item); err != nil {
			return Vended{}, err
		}
	}
	j.noWait = usable && !j.rejected
	return c.fly(ctx, r, j)
}

// consented makes sure that there is a grant to refresh with, and asks nobody to
// consent on the word of a replica that lags. Nothing is written over a
// connection that nobody has consented to.
func (c *Core) consented(ctx context.Context, j *refreshJob, e record) (record, error) {
	if !j.conn.Delegated() || rules.RequireConsent(e.item, j.conn, c.clock.Now()) == nil || j.mayRetry(e.item) {
		return e, nil
	}
	e, err := c.read(ctx, j.key, true)
	if err != nil {
		return record{}, rules.Unavailable(err)
	}
	if e.item.Grant.Fingerprint != "" && !declaration.GrantUsable(e.item.Grant, j.conn) {
		err = c.reload(ctx, j) // a cached declaration may be older than the consent
	}
	if err != nil || j.satisfied(e.token, c.clock.Now()) || j.mayRetry(e.item) {
		return e, err
	}
	return e, rules.RequireConsent(e.item, j.conn, c.clock.Now())
}

// mayRetry reports whether the job may doubt that the grant of item has ended, or
// need not wait for the end of its token, which has just been reported dead.
func (j refreshJob) mayRetry(item tokenstore.Item) bool {
	heldOff := item.Token.ID != "" && item.Failure.NextAttemptAt.UnixMilli() == item.Token.ExpiresAt.UnixMilli()
	return j.retryDeadGrant && (heldOff || item.Failure.Code == string(problem.AuthorizationRequired))
}

// vendWithoutStore serves r while the table does not answer. That a caller has left
// says nothing of the table.
func (c *Core) vendWithoutStore(ctx context.Context, r Request) (Vended, error) {
	if err := ctx.Err(); err != nil {
		return Vended{}, flightProblem(err)
	}
	conn, err := c.declarations.Load(ctx, r.Connection, false)
	if err != nil {
		return Vended{}, err
	}
	if err := r.access().Permit(conn); err != nil {
		return Vended{}, err
	}
	return c.fly(ctx, r, refreshJob{key: r.key(), conn: conn, scope: r.Scope, minTTL: r.MinTTL, storeDown: true})
}

// fly shares one refresh among the callers of this process. What another
// caller's refresh brought may not do for this one; then it flies itself, once.
func (c *Core) fly(ctx context.Context, r Request, j refreshJob) (Vended, error) {
	var e record
	for range attempts {
		var led bool
		var err error
		e, led, err = c.flights.do(ctx, j.key, func(ctx context.Context) (record, error) { return c.run(ctx, j) })
		if errors.Is(err, errBusy) && !led && !j.noWait {
			continue // who led it would not wait; this caller will
		}
		if err != nil {
			return Vended{}, flightProblem(err)
		}
		if led || j.satisfied(e.token, c.clock.Now()) {
			break
		}
	}
	if e.token.ID == "" {
		return Vended{}, flightProblem(errBusy) // whoever led each flight would not wait
	}
	return c.deliver(r, j, e)
}

// deliver hands a refresh's result to one caller.
func (c *Core) deliver(r Request, j refreshJob, e record) (Vended, error) {
	if e.token.ID == j.unwanted {
		return Vended{}, problem.New(problem.ProviderMalformed, "the provider issued the rejected token once more")
	}
	if err := r.access().PermitToken(e.token); err != nil {
		return Vended{}, err
	}
	if err := rules.CheckMinTTL(e.token, r.MinTTL); err != nil {
		return Vended{}, err
	}
	return Vended{Token: e.token, Source: e.source}, nil
}

func flightProblem(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return rules.InProgress("the invocation ended before the refresh did")
	case errors.Is(err, errBusy):
		return rules.InProgress("another process is refreshing this token")
	}
	return err
}

// satisfied reports whether t is what the job is for.
func (j refreshJob) satisfied(t Token, now time.Time) bool {
	// More than half a lifetime is refused, not minted for: once per caller.
	return t.Usable(now, min(j.minTTL, t.MaxMinTTL())) && t.ID != j.replaces && t.ID != j.unwanted &&
		t.ConfigHash == j.conn.ConfigHash && t.SecretIncarnation == j.conn.SecretIncarnation
}

// withoutStore is what is left when the table does not answer: to mint for this
// process alone. A refresh token is not spent where its successor cannot be kept.
func (c *Core) withoutStore(ctx context.Context, j refreshJob, cause error) (record, error) {
	if j.conn.Delegated() {
		return record{}, rules.Unavailable(cause)
	}
	return c.mintWithoutStore(ctx, j)
}

// run takes the lease and refreshes, or waits for the holder's result.
func (c *Core) run(ctx context.Context, j refreshJob) (record, error) {
	if j.storeDown {
		return c.withoutStore(ctx, j, tokenstore.ErrUnavailable)
	}
	until := c.clock.Now().Add(waitBudget)
	for superseded := 0; superseded < attempts; {
		e, err := c.tryLease(ctx, &j, until)
		switch {
		case errors.Is(err, errLeaseEnded):
		case errors.Is(err, tokenstore.ErrSuperseded):
			superseded++
		default:
			return e, err
		}
	}
	return record{}, rules.InProgress("the token was changed by others while it was being refreshed")
}
