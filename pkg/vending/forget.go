package vending

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Forget drops the connection's cached token and every scope variant of it.
// With revoke set each is revoked at the provider first (RFC 7009), where the
// provider has an endpoint for it; a revocation that fails leaves the token, so
// that it can be tried again. Every error is a *problem.Error.
func (c *Core) Forget(ctx context.Context, r Request, revoke bool) error {
	if err := c.forgetAll(ctx, r, revoke); err != nil {
		return problem.Of(err)
	}
	return nil
}

// forgetAll goes by the declaration in force, for the next token must not be
// minted with a cached copy of a former one.
func (c *Core) forgetAll(ctx context.Context, r Request, revoke bool) error {
	c.flushPending(ctx)
	conn, err := c.declarations.Load(ctx, r.Connection, true)
	if err != nil {
		return err
	}
	if err := r.access().Permit(conn); err != nil {
		return err
	}
	own := r.key()
	e, err := c.read(ctx, own, true)
	if err != nil {
		return rules.Unavailable(err)
	}
	for _, v := range e.item.Variants {
		variant := tokenstore.Key{Connection: own.Connection, Subject: own.Subject, Variant: v}
		if err := c.forget(ctx, conn, variant, revoke); err != nil {
			return err
		}
	}
	return c.forget(ctx, conn, own, revoke)
}

func (c *Core) forget(ctx context.Context, conn connection.Connection, key tokenstore.Key, revoke bool) error {
	if revoke && conn.RevocationURL != "" {
		if err := c.revoke(ctx, conn, key); err != nil {
			return err
		}
	}
	e, err := c.read(ctx, key, true)
	if err != nil {
		return rules.Unavailable(err)
	}
	return c.drop(ctx, e.item, conn.SecretVersion)
}

func (c *Core) revoke(ctx context.Context, conn connection.Connection, key tokenstore.Key) error {
	e, err := c.read(ctx, key, true)
	if err != nil {
		return rules.Unavailable(err)
	}
	if !e.token.Valid(c.clock.Now()) {
		return nil
	}
	err = c.revoker.Revoke(ctx, oauth.Revocation{
		RevocationURL: conn.RevocationURL, Authentication: authentication(conn),
		Token: e.token.AccessToken, TokenTypeHint: "access_token",
	})
	if err != nil {
		refusal := rules.ProviderError(err)
		note(&audit.From(ctx).Provider, refusal.Trace, string(rules.Code(refusal)))
		return rules.ProviderProblem(refusal)
	}
	return nil
}
