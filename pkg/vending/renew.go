package vending

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// Renewal is a token whose visit found that it should be replaced.
type Renewal struct {
	// Key is the token's; Host is the provider's, which bounds how many may be
	// asked at once.
	Key        tokenstore.Key
	Host       string
	core       *Core
	refreshJob refreshJob
}

// Inspect looks at one token of the wheel. It returns nil when there is nothing to
// do: nobody used the token since its last renewal, it lasts until its next
// visit, or it is gone. next is when the slot has its turn again; zero means
// that it has not, and the token is renewed now. Every error is a *problem.Error.
func (c *Core) Inspect(ctx context.Context, key tokenstore.Key, next time.Time) (*Renewal, error) {
	c.flushPending(ctx)
	e, err := c.read(ctx, key, false)
	if err != nil {
		return nil, problem.Of(unavailable(err))
	}
	if !c.needsRenewal(e, next) {
		return nil, nil
	}
	name, err := connection.ParseName(key.Connection)
	if err != nil {
		return nil, problem.Of(err)
	}
	conn, err := c.declarations.load(ctx, name, false)
	if problem.Is(err, problem.ConnectionNotFound) {
		return nil, c.dropped(ctx, tokenstore.Drop{Key: key})
	}
	if err != nil {
		return nil, problem.Of(err)
	}
	if active(e.item, conn, c.now()) || !c.renewable(conn, e) {
		return nil, nil
	}
	return c.renewal(conn, e, e.token.ID), nil
}

// needsRenewal reports whether a visit has something to do: a token that is used and
// does not last, or a refresh token that must not go unused for longer.
func (c *Core) needsRenewal(e record, next time.Time) bool {
	if e.item.Grant.Fingerprint != "" && !staysAlive(e.item.Grant, next) {
		return true
	}
	return e.item.Used && e.token.Valid(c.now()) && !lasts(e.token, next)
}

// staysAlive reports whether g may wait until its next visit, though that be late.
func staysAlive(g tokenstore.SealedGrant, next time.Time) bool {
	return !next.IsZero() && next.Add(wheel.Slack).Before(g.RefreshedAt.Add(keepAliveFor(g)))
}

// renewable reports whether the provider will give a new token for e's now
// without pulling the old one from under somebody.
func (c *Core) renewable(conn connection.Connection, e record) bool {
	if !conn.Delegated() {
		return true
	}
	early := conn.EarlyRefresh && !conn.NewTokenRevokesOld
	return granted(e.item.Grant, conn) && (early || !e.token.Valid(c.now()))
}

// RegularSlot is the slot that the token of key belongs to when it has nothing to do in
// the retry slot where it is; empty when it has none. Every error is a *problem.Error.
func (c *Core) RegularSlot(ctx context.Context, key tokenstore.Key) (string, error) {
	e, err := c.read(ctx, key, false)
	if err != nil {
		return "", problem.Of(unavailable(err))
	}
	if e.item.Failure.NextAttemptAt.Equal(never) {
		return "", nil
	}
	own, g := wheel.Slot(slotKey(key), e.token.Lifetime()), e.item.Grant
	if g.Fingerprint != "" && (own == "" || e.token.Lifetime() > keepAliveFor(g)) {
		return keepAliveSlot(key, g), nil
	}
	return own, nil
}

// lasts reports whether t stays usable until its next visit, though that be late.
func lasts(t Token, next time.Time) bool {
	return !next.IsZero() && t.Usable(next.Add(wheel.Slack), 0)
}

// renewal plans to mint e's token anew. replaces is the id of the token that is
// not to be kept, empty when any of conn's current declaration will do.
func (c *Core) renewal(conn connection.Connection, e record, replaces string) *Renewal {
	j := refreshJob{key: e.item.Key, conn: conn, replaces: replaces, renewal: true}
	if e.item.Key.Variant != "" {
		j.scope = e.token.AskedScope
	}
	return &Renewal{Key: j.key, Host: host(conn.TokenURL), core: c, refreshJob: j}
}

func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// Run renews. It reports false without an error when somebody else is at it
// already. Every error is a *problem.Error.
func (r *Renewal) Run(ctx context.Context) (renewed bool, err error) {
	e, err := r.core.run(ctx, r.refreshJob)
	if errors.Is(err, errBusy) {
		return false, nil
	}
	if err != nil {
		return false, problem.Of(unavailable(err))
	}
	return e.source == FromProvider, nil
}

// renewSlot is where a token of this job turns on the wheel. None: providers
// that refuse early, and those whose new token kills the one in callers' hands.
func renewSlot(j refreshJob, t Token) string {
	if !j.conn.EarlyRefresh || j.conn.NewTokenRevokesOld {
		return ""
	}
	return wheel.Slot(slotKey(j.key), t.Lifetime())
}

// grantSlot is where a grant turns: where its token does, unless that comes
// round too seldom, or never, to keep the refresh token alive.
func grantSlot(key tokenstore.Key, conn connection.Connection, t Token, g tokenstore.SealedGrant) string {
	own := renewSlot(refreshJob{key: key, conn: conn}, t)
	if own != "" && t.Lifetime() <= keepAliveFor(g) {
		return own
	}
	return keepAliveSlot(key, g)
}

// keepAliveSlot is where a grant turns that has no token; an item without a grant has no place.
func keepAliveSlot(key tokenstore.Key, g tokenstore.SealedGrant) string {
	if g.Fingerprint == "" {
		return ""
	}
	return wheel.Slot(slotKey(key), keepAliveFor(g))
}

// retrySlot is where a token that could not be renewed waits for its next
// attempt. One that has no slot gets none, and one that will have expired by
// then is left to its callers.
func retrySlot(e record, f tokenstore.Failure) string {
	if e.item.Grant.Fingerprint != "" {
		return RetrySlot(e.item.Key, f.NextAttemptAt) // a grant outlives its token
	}
	if e.item.RenewSlot == "" || !e.token.Valid(f.NextAttemptAt) {
		return e.item.RenewSlot
	}
	return RetrySlot(e.item.Key, f.NextAttemptAt)
}

// RetrySlot is where the token of key waits for an attempt at an instant.
func RetrySlot(key tokenstore.Key, at time.Time) string { return wheel.RetrySlot(slotKey(key), at) }

func slotKey(key tokenstore.Key) string {
	return strings.Join([]string{key.Connection, key.Subject, key.Variant}, "\x00")
}
