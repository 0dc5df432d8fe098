package vending

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Config is what a Core is made of.
type Config struct {
	Store   Store
	Secrets Secrets
	Parser  connection.Parser
	Minter  Minter
	Revoker Revoker
	Sealer  Sealer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand makes lease owners and jitter; nil means crypto/rand.
	Rand io.Reader
	// Wait pauses between polls of a lease; nil waits for real.
	Wait func(context.Context, time.Duration) error
}

// Core vends. It is safe for concurrent use.
type Core struct {
	declarations declaration.Loader
	store        Store
	minter       Minter
	revoker      Revoker
	sealer       Sealer
	clock        rules.Clock
	random       rules.Random

	memory   *memory
	flights  flights
	fallback secretFallback
	degraded rules.Throttle // minting while the table is down
	looks    rules.Throttle // looking at the secret of a failing connection
	late     rules.Throttle // storing what the table did not take before
	pending  pendingWrites
}

// New returns a Core.
func New(c Config) *Core {
	return &Core{
		declarations: declaration.Loader{Secrets: c.Secrets, Parser: c.Parser},
		store:        c.Store, minter: c.Minter, revoker: c.Revoker, sealer: c.Sealer,
		clock: rules.NewClock(c.Now, c.Wait), random: rules.Random{Source: c.Rand}, memory: newMemory(),
		degraded: rules.Throttle{Every: degradedEvery}, looks: rules.Throttle{Every: lookEvery}, late: rules.Throttle{Every: lookEvery},
	}
}

// Vend returns a usable token. Every error is a *problem.Error.
func (c *Core) Vend(ctx context.Context, r Request) (Vended, error) {
	c.flushPending(ctx)
	var v Vended
	var err error
	if r.RejectedTokenID != "" {
		v, err = c.vendRejected(ctx, r)
	} else {
		v, err = c.vend(ctx, r)
	}
	if err == nil && !v.Valid(c.clock.Now()) {
		err = rules.InProgress("the token expired before it could be handed out")
	}
	if err != nil {
		return Vended{}, problem.Of(err)
	}
	writeAudit(ctx, v)
	return v, nil
}

func writeAudit(ctx context.Context, v Vended) {
	e := audit.From(ctx)
	e.Source, e.Stale = string(v.Source), v.Stale
	e.TokenID, e.ExpiresAt, e.SecretIncarnation = v.ID, v.ExpiresAt, v.SecretIncarnation
}

func (c *Core) vend(ctx context.Context, r Request) (Vended, error) {
	e, source, err := c.lookup(ctx, r.key())
	if err != nil && !errors.Is(err, tokenstore.ErrUnavailable) {
		return Vended{}, err
	}
	if err != nil {
		return c.vendWithoutStore(ctx, r)
	}
	return c.vendFrom(ctx, r, e, source)
}

// vendFrom serves e when it may be served, and refreshes it otherwise.
func (c *Core) vendFrom(ctx context.Context, r Request, e record, source Source) (Vended, error) {
	if !e.token.Valid(c.clock.Now()) {
		return c.refresh(ctx, r, e)
	}
	if err := r.access().PermitToken(e.token); err != nil {
		return Vended{}, err
	}
	if err := rules.CheckMinTTL(e.token, r.MinTTL); err != nil {
		return Vended{}, err
	}
	if e.token.Usable(c.clock.Now(), r.MinTTL) && !c.replaceable(e) {
		c.markUsed(ctx, e)
		return Vended{Token: e.token, Source: source}, nil
	}
	return c.refreshOrServe(ctx, r, e, source)
}

// replaceable reports whether a usable token should be replaced by one caller
// while the others get it: late in its life, or reported dead.
func (c *Core) replaceable(e record) bool {
	return e.token.Due(c.clock.Now()) || e.item.RejectedID == e.token.ID
}

// refreshOrServe tries for a newer token and falls back to the valid one at hand.
func (c *Core) refreshOrServe(ctx context.Context, r Request, e record, source Source) (Vended, error) {
	usable := e.token.Usable(c.clock.Now(), r.MinTTL)
	if usable && (c.flights.busy(r.key()) || c.holding(e)) {
		return Vended{Token: e.token, Source: source, Stale: e.item.Failure.Count > 0}, nil
	}
	v, err := c.refresh(ctx, r, e)
	if err == nil || !fallsBack(err) || !e.token.Valid(c.clock.Now()) {
		return v, err
	}
	audit.From(ctx).SetCause(err)
	return Vended{Token: e.token, Source: source, Stale: !problem.Is(err, problem.RefreshInProgress)}, nil
}

// holding reports whether another holder is refreshing, or the fleet's memory
// of a failure says that nobody should. The failure's cause is not compared:
// while the token is usable, waiting for its next attempt costs nobody anything.
func (c *Core) holding(e record) bool {
	now := c.clock.Now()
	return e.item.Lease.Owner != "" && e.item.Lease.Until.After(now) ||
		e.item.Failure.Count > 0 && e.item.Failure.NextAttemptAt.After(now)
}

// fallsBack reports whether a valid token may stand in after err: when
// refreshing failed, and not when the caller may not have the token.
func fallsBack(err error) bool {
	switch problem.Of(err).Code {
	case problem.AccessDenied, problem.InvalidScope, problem.InvalidRequest, problem.ConnectionNotFound:
		return false
	}
	return true
}

// markUsed notes once per token that a caller uses it, so that only such tokens
// are renewed ahead. It is a mark, not a promise: failing costs nobody anything.
func (c *Core) markUsed(ctx context.Context, e record) {
	if e.item.Used {
		return
	}
	e.item.Used = true
	c.memory.put(e.item.Key, e)
	if err := c.store.MarkUsed(ctx, e.item.Key, e.item.Version); err != nil {
		audit.From(ctx).Warn(audit.InUseMarkNotWritten)
	}
}
