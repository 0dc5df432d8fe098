package vending

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
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
		return nil, problem.Of(rules.Unavailable(err))
	}
	if !rules.NeedsRenewal(e.item, e.token, c.clock.Now(), next) {
		return nil, nil
	}
	name, err := connection.ParseName(key.Connection)
	if err != nil {
		return nil, problem.Of(err)
	}
	conn, err := c.declarations.Load(ctx, name, false)
	if problem.Is(err, problem.ConnectionNotFound) {
		return nil, c.dropped(ctx, tokenstore.Drop{Key: key})
	}
	if err != nil {
		return nil, problem.Of(err)
	}
	if declaration.InBackoff(e.item, conn, c.clock.Now()) || !c.renewable(conn, e) {
		return nil, nil
	}
	return c.renewal(conn, e, e.token.ID), nil
}

// renewable reports whether the provider will give a new token for e's now
// without pulling the old one from under somebody.
func (c *Core) renewable(conn connection.Connection, e record) bool {
	if !conn.Delegated() {
		return true
	}
	early := conn.EarlyRefresh && !conn.NewTokenRevokesOld
	return declaration.GrantUsable(e.item.Grant, conn) && (early || !e.token.Valid(c.clock.Now()))
}

// RegularSlot is the slot that the token of key belongs to when it has nothing to do in
// the retry slot where it is; empty when it has none. Every error is a *problem.Error.
func (c *Core) RegularSlot(ctx context.Context, key tokenstore.Key) (string, error) {
	e, err := c.read(ctx, key, false)
	if err != nil {
		return "", problem.Of(rules.Unavailable(err))
	}
	return rules.RegularSlot(e.item, e.token), nil
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
		return false, problem.Of(rules.Unavailable(err))
	}
	return e.source == FromProvider, nil
}

// RetrySlot is where the token of key waits for an attempt at an instant.
func RetrySlot(key tokenstore.Key, at time.Time) string { return rules.RetrySlot(key, at) }
