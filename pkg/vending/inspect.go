package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
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
	rec, err := c.records.Get(ctx, key, false)
	if err != nil {
		return Renewal{}, problem.Of(rules.Unavailable(err))
	}
	if !rules.NeedsRenewal(rec.Item, rec.Token, c.clock.Now(), next) {
		return Renewal{}, nil
	}
	name, err := connection.ParseName(key.Connection)
	if err != nil {
		return Renewal{}, problem.Of(err)
	}
	conn, err := c.declarations.Load(ctx, name, false)
	if problem.Is(err, problem.ConnectionNotFound) {
		_, err := c.records.Drop(ctx, tokenstore.Drop{Key: key})
		return Renewal{}, err
	}
	if err != nil {
		return Renewal{}, problem.Of(err)
	}
	if declaration.InBackoff(rec.Item, conn, c.clock.Now()) || !rules.Renewable(rec.Item, conn, rec.Token, c.clock.Now()) {
		return Renewal{}, nil
	}
	return newRenewal(c.leases, conn, rec, rec.Token.ID), nil
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

// newRenewal plans to replace rec's token. not is the id of the token to be
// replaced; empty if any token of conn's current declaration is acceptable.
func newRenewal(leases *lease.Leases, conn connection.Connection, rec record.Record, not string) Renewal {
	refresh := lease.Refresh{Key: rec.Item.Key, Conn: conn, Want: lease.Want{Not: [2]string{not}}}
	if rec.Item.Key.Variant != "" {
		refresh.Want.Scope = rec.Token.AskedScope
	}
	return Renewal{Key: refresh.Key, Host: rules.Host(conn.TokenURL), leases: leases, refresh: refresh}
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
