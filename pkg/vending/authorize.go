package vending

import (
	"cmp"
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Delegated returns the current declaration of a delegated connection, if r's
// caller may use it for r's subject. It bypasses every cache. Every error is a
// *problem.Error.
func (c *Core) Delegated(ctx context.Context, r Request) (connection.Connection, error) {
	c.FlushPending(ctx)
	current, err := c.declared.Current(ctx, r.Connection)
	if err == nil {
		err = r.access().PermitConsent(current.Connection)
	}
	return current.Connection, rules.Problem(unavailable(err))
}

// Authorize exchanges the code of a consent and stores the grant, which replaces
// the former one if there is one. The former grant is revoked afterwards if it is
// another user's. Nothing is sent before the result can be stored, and after a
// failure the former grant remains in use. Every error is a *problem.Error, or
// Consume's.
func (c *Core) Authorize(ctx context.Context, a Authorization) error {
	key := tokenstore.Key{Connection: string(a.Connection.Name), Subject: string(a.Subject)}
	err := c.leases.Authorize(ctx, key, a.Connection, lease.NewGrant{
		Request: issue.Request{GrantType: issue.AuthorizationCode, Scope: a.Scope,
			Code: a.Code, Verifier: a.Verifier, RedirectURI: a.RedirectURI, Extra: a.Extra},
		Consume: a.Consume,
	})
	return explainInvalidGrant(err, "the provider reports that the code has expired or was used; start again with POST …/authorization")
}

// Import stores a grant that was issued elsewhere, after a refresh has proved that
// it is valid. Every error is a *problem.Error.
func (c *Core) Import(ctx context.Context, i Import) error {
	conn, err := c.Delegated(ctx, i.Request)
	if err != nil {
		return err
	}
	err = c.leases.Authorize(ctx, i.key(), conn, lease.NewGrant{
		Request:   issue.Request{GrantType: issue.RefreshToken, Scope: cmp.Or(i.Scope, conn.Scope), RefreshToken: i.RefreshToken, Extra: i.Extra},
		ExpiresAt: i.ExpiresAt,
	})
	return explainInvalidGrant(err, "the provider reports that this refresh token is not valid for this client; nothing was stored")
}

// Extra is what callers get besides the token that is stored for r, whose caller has
// just consented or imported it. Every error is a *problem.Error.
func (c *Core) Extra(ctx context.Context, r Request) (extra.Values, error) {
	rec, err := c.records.Get(ctx, r.key(), true)
	if err != nil {
		return nil, rules.Problem(rules.Unavailable(err))
	}
	return rec.Token.Extra, nil
}

// explainInvalidGrant says of invalid_grant what was tried: a user has to consent,
// and nothing was stored.
func explainInvalidGrant(err error, detail string) error {
	var p *problem.Error
	if errors.As(err, &p) && p.Provider != nil && (p.Provider.Error == rules.InvalidGrant || rules.IsInvalidGrant(rules.ProviderError(p.Cause))) {
		return &problem.Error{Code: problem.AuthorizationRequired, Detail: detail, Provider: p.Provider, Cause: p.Cause}
	}
	return err
}
