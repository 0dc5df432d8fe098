package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Vend returns a usable token. Every error is a *problem.Error.
func (c *Core) Vend(ctx context.Context, r Request) (Vended, error) {
	c.FlushPending(ctx)
	var v Vended
	var err error
	switch {
	case r.RejectedTokenID != "":
		v, err = c.vendRejected(ctx, r)
	case r.ClearReport:
		v, err = c.clearReport(ctx, r)
	default:
		v, err = c.vend(ctx, r)
	}
	if err == nil && !v.Valid(c.clock.Now()) {
		err = rules.InProgress("the token expired before it could be served")
	}
	if err != nil {
		return Vended{}, problem.Of(err)
	}
	e := audit.From(ctx)
	e.Source, e.Stale = string(v.Source), v.Stale
	e.TokenID, e.ExpiresAt, e.SecretIncarnation = v.ID, v.ExpiresAt, v.SecretIncarnation
	return v, nil
}

func (c *Core) vend(ctx context.Context, r Request) (Vended, error) {
	found, err := c.records.Lookup(ctx, r.key())
	switch {
	case errors.Is(err, tokenstore.ErrThrottled):
		return Vended{}, rules.Unavailable(err)
	case errors.Is(err, tokenstore.ErrUnavailable):
		return c.vendWithoutStore(ctx, r)
	case err != nil:
		return Vended{}, err
	}
	rec, by, err := c.judged(ctx, r.key(), found)
	if err != nil {
		return Vended{}, err
	}
	return c.vendFrom(ctx, r, rec, by)
}

// vendFrom serves rec's token when it may be served, and refreshes it otherwise.
func (c *Core) vendFrom(ctx context.Context, r Request, rec record.Record, by declaration.Record) (Vended, error) {
	if !rec.Token.Valid(c.clock.Now()) {
		return c.refresh(ctx, r, rec, by, false)
	}
	if err := r.check(ctx, rec.Token, by); err != nil {
		return Vended{}, err
	}
	if err := rules.RequireUnreported(rec.Item, r.principal()); err != nil {
		return Vended{}, err
	}
	// One caller replaces a token that is late in its life, or was rejected, while
	// the others are served with it.
	rejected := rec.Item.RejectedID == rec.Token.ID && !rec.Item.Grant.IsAccessToken()
	replace := rec.Token.Due(c.clock.Now()) || rejected
	if rec.Token.Usable(c.clock.Now(), r.MinTTL) && !replace {
		c.records.MarkUsed(ctx, rec)
		return served(rec, by), nil
	}
	return c.refreshOrServe(ctx, r, rec, by)
}

// refreshOrServe refreshes and falls back to the valid token at hand.
func (c *Core) refreshOrServe(ctx context.Context, r Request, rec record.Record, by declaration.Record) (v Vended, err error) {
	usable := rec.Token.Usable(c.clock.Now(), r.MinTTL)
	if usable && (c.leases.Busy(r.key()) || refreshBlocked(rec.Item, c.clock.Now())) {
		v = served(rec, by)
		v.Stale = rec.Item.Failure.Count > 0
		return v, nil
	}
	v, err = c.refresh(ctx, r, rec, by, false)
	if err == nil || !mayServeStale(err) || !rec.Token.Valid(c.clock.Now()) {
		return v, err
	}
	audit.From(ctx).SetCause(err)
	v = served(rec, by)
	v.Stale = !problem.Is(err, problem.RefreshInProgress)
	return v, nil
}

// refreshBlocked reports whether another holder is refreshing, or a remembered failure
// forbids it. The failure's cause is not compared: while the token is usable,
// waiting for the next attempt costs nothing.
func refreshBlocked(item tokenstore.Item, now time.Time) bool {
	return item.Lease.Owner != "" && item.Lease.Until.After(now) ||
		item.Failure.Count > 0 && item.Failure.NextAttemptAt.After(now)
}

// mayServeStale reports whether a valid token may be served after err: when
// refreshing failed, but not when the caller is not authorized, or the connection is
// no longer declared.
func mayServeStale(err error) bool {
	if declaration.Gone(err) {
		return false
	}
	switch problem.Of(err).Code {
	case problem.AccessDenied, problem.InvalidScope, problem.InvalidRequest, problem.ConnectionNotFound:
		return false
	default:
		return true
	}
}

// refresh gets a token that is newer than rec's. With retryDeadGrant a remembered
// invalid_grant is ignored once, because a caller has just rejected the token
// (CR-28).
func (c *Core) refresh(ctx context.Context, r Request, rec record.Record, by declaration.Record, retryDeadGrant bool) (Vended, error) {
	conn, err := c.matching(ctx, r, by)
	if err != nil {
		return Vended{}, err
	}
	rejected := r.RejectedTokenID != "" && rec.Token.ID == r.RejectedTokenID
	usable := rec.Token.Usable(c.clock.Now(), r.MinTTL)
	refresh := r.refresh(conn)
	refresh.Rejected, refresh.RetryDeadGrant, refresh.NoWait = rejected, retryDeadGrant, usable && !rejected
	refresh.Attempted = rec.Item.RefreshAttempt
	if rejected || usable {
		refresh.Want.Not[0] = rec.Token.ID
	}
	if rec, err = c.requireConsent(ctx, &refresh, rec); err != nil {
		return Vended{}, err
	}
	if refresh.SatisfiedBy(rec.Token, c.clock.Now()) {
		return r.deliver(ctx, rec, refresh.Conn.Record)
	}
	if rec.Item.Grant.IsAccessToken() {
		return c.share(ctx, r, refresh) // without the provider
	}
	if err := c.reconsider(ctx, &refresh, rec.Item); err != nil {
		return Vended{}, err
	}
	outage := c.leases.Outage(ctx, &refresh)
	if err := c.reconsider(ctx, &refresh, outage); err != nil {
		return Vended{}, err
	}
	refresh.Follows(outage, rec.Item)
	return c.share(ctx, r, refresh)
}

// vendWithoutStore serves r while the table does not answer. The error of a caller
// whose context has ended is no evidence about the table.
func (c *Core) vendWithoutStore(ctx context.Context, r Request) (Vended, error) {
	if ctx.Err() != nil {
		return Vended{}, rules.InProgress("the invocation ended before the refresh did")
	}
	conn, err := c.permittedWithoutStore(ctx, r)
	if err != nil {
		return Vended{}, err
	}
	refresh := r.refresh(conn)
	refresh.StoreDown = true
	return c.share(ctx, r, refresh)
}

// permittedWithoutStore is the declaration as it is loaded, if the last known record and
// the declaration itself allow the caller to use it.
func (c *Core) permittedWithoutStore(ctx context.Context, r Request) (declared.InForce, error) {
	by, known := c.declared.LastKnown(r.Connection)
	if known && by.Gone != "" {
		return declared.InForce{}, by.Problem(r.Connection)
	}
	conn, err := c.matching(ctx, r, declaration.Record{})
	if err != nil || !known {
		return conn, err
	}
	if by.Names(conn.Connection) {
		conn.Record = by
	}
	return conn, r.access().PermitRecord(by)
}

func (c *Core) share(ctx context.Context, r Request, refresh lease.Refresh) (Vended, error) {
	rec, err := c.leases.Do(ctx, refresh)
	if err != nil {
		return Vended{}, err
	}
	by, newer := c.declared.Remembered(r.Connection)
	if !newer || by.Gone != "" {
		by = refresh.Conn.Record
	}
	return r.deliver(ctx, rec, by)
}

// requireConsent makes sure that there is a grant to refresh with. No caller is
// sent to consent because a replica lags, and nothing is written for a
// connection without a consent.
func (c *Core) requireConsent(ctx context.Context, refresh *lease.Refresh, rec record.Record) (record.Record, error) {
	if !refresh.Conn.Delegated() || rules.RequireConsent(rec.Item, refresh.Conn.Connection, c.clock.Now()) == nil || refresh.MayRetry(rec.Item) {
		return rec, nil
	}
	found, err := c.records.Find(ctx, refresh.Key, true)
	if err != nil {
		return record.Record{}, rules.Unavailable(err)
	}
	rec = found.Record
	if rec.Item.Grant.Fingerprint != "" && !declaration.GrantUsable(rec.Item.Grant, refresh.Conn.Connection) {
		conn, err := c.declared.Current(ctx, refresh.Conn.Name) // a cached one may be older than the consent
		if err != nil {
			return rec, unavailable(err)
		}
		refresh.Conn = conn
	}
	if refresh.SatisfiedBy(rec.Token, c.clock.Now()) || refresh.MayRetry(rec.Item) {
		return rec, nil
	}
	return rec, rules.RequireConsent(rec.Item, refresh.Conn.Connection, c.clock.Now())
}

// reconsider decides whether a remembered failure still applies. It does not when
// the secret has changed, so from time to time the secret is read without the cache.
// The error is the failure's, unless there is no longer a declaration.
func (c *Core) reconsider(ctx context.Context, refresh *lease.Refresh, item tokenstore.Item) error {
	if !declaration.InBackoff(item, refresh.Conn.Connection, c.clock.Now()) || refresh.MayRetry(item) {
		return nil
	}
	name := refresh.Conn.Name
	if c.secretReads.Try(tokenstore.Key{Connection: string(name)}, c.clock.Now()) == 0 {
		current, err := c.declared.Current(ctx, name)
		switch {
		case err == nil:
			refresh.Conn = current
		case declaration.Gone(err):
			return err
		}
	}
	if now := c.clock.Now(); declaration.InBackoff(item, refresh.Conn.Connection, now) {
		return rules.Remembered(item.Failure, now)
	}
	return nil
}
