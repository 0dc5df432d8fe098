package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Renewal is the result of an inspection: a token that should be replaced. The
// zero Renewal is one that should not.
type Renewal struct {
	// Key is the token's. Host is the provider's host, for which the number of
	// concurrent token requests is bounded.
	Key  tokenstore.Key
	Host string

	leases  *lease.Leases
	refresh lease.Refresh
}

// Inspect reads one token of the timing wheel. The renewal is not due if the token
// was not used since its last renewal, is valid until its next visit, or no longer
// exists. next is the next visit of its slot; zero means that there is none, and
// the token is renewed now. Every error is a *problem.Error.
func (c *Core) Inspect(ctx context.Context, key tokenstore.Key, next time.Time) (Renewal, error) {
	c.FlushPending(ctx)
	found, err := c.records.Visit(ctx, key)
	if err != nil {
		return Renewal{}, problem.Of(rules.Unavailable(err))
	}
	name, err := connection.ParseName(key.Connection)
	if err != nil {
		return Renewal{}, problem.Of(err)
	}
	now, item := c.clock.Now(), found.Item
	inUse := item.Used && found.Token.Valid(now)
	if !inUse && !rules.NeedsRenewal(item, found.Token, now, next) {
		return Renewal{}, nil // whatever the declaration is
	}
	rec, by, err := c.judged(ctx, key, found)
	if declaration.Gone(err) {
		return Renewal{}, nil // what is stored stays for its return, or until it expires
	}
	if err != nil {
		return Renewal{}, problem.Of(err)
	}
	replaced := inUse && rec.Token.ID == "" // by another declaration
	if !replaced && !rules.NeedsRenewal(rec.Item, rec.Token, now, next) {
		return Renewal{}, nil
	}
	conn, err := c.declared.Matching(ctx, name, by)
	if err != nil {
		return Renewal{}, problem.Of(unavailable(err))
	}
	if declaration.InBackoff(rec.Item, conn.Connection, now) || !rules.Renewable(rec.Item, conn.Connection, rec.Token, now) {
		return Renewal{}, nil
	}
	renewal := newRenewal(c.leases, conn, key, found.Token.AskedScope, rec.Token.ID)
	renewal.refresh.Attempted = rec.Item.RefreshAttempt
	return renewal, nil
}

// RegularSlot returns the slot to which the token of key returns after a retry;
// empty if it has none. Every error is a *problem.Error.
func (c *Core) RegularSlot(ctx context.Context, key tokenstore.Key) (string, error) {
	rec, err := c.records.Get(ctx, key, false)
	if err != nil {
		return "", problem.Of(rules.Unavailable(err))
	}
	return rules.RegularSlot(rec.Item, rec.Token), nil
}

// RetrySlot is the slot where the token of key waits for an attempt at an instant.
func RetrySlot(key tokenstore.Key, at time.Time) string { return rules.RetrySlot(key, at) }

// newRenewal plans to replace the token of key, which was requested with scope. not is
// the id of the token to be replaced; empty if any token of the declaration in force
// will do.
func newRenewal(leases *lease.Leases, conn declared.InForce, key tokenstore.Key, scope, not string) Renewal {
	refresh := lease.Refresh{Key: key, Conn: conn, Want: lease.Want{Not: [2]string{not}}}
	if key.Variant != "" {
		refresh.Want.Scope = scope
	}
	return Renewal{Key: refresh.Key, Host: declaration.Host(conn.TokenURL), leases: leases, refresh: refresh}
}

// Due reports whether there is something to renew.
func (r Renewal) Due() bool { return r.leases != nil }

// Run renews the token. It reports false without an error if another process is
// already renewing it. Every error is a *problem.Error.
func (r Renewal) Run(ctx context.Context) (renewed bool, err error) {
	rec, err := r.leases.Run(ctx, r.refresh)
	if errors.Is(err, lease.ErrBusy) {
		return false, nil
	}
	if err != nil {
		return false, problem.Of(rules.Unavailable(err))
	}
	return rec.Source == FromProvider, nil
}
