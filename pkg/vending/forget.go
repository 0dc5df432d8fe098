package vending

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Forget drops the connection's stored token and every scope variant of it. With
// revoke set each is revoked at the provider first (RFC 7009), where the provider
// has an endpoint for it. A revocation that fails leaves the token, so that it
// can be tried again. Every error is a *problem.Error.
func (c *Core) Forget(ctx context.Context, r Request, revoke bool) error {
	return rules.Problem(c.forgetAll(ctx, r, revoke))
}

// forgetAll uses the declaration in force: the next token must not be minted with
// a cached copy of a former one.
func (c *Core) forgetAll(ctx context.Context, r Request, revoke bool) error {
	c.FlushPending(ctx)
	conn, err := c.declarations.Load(ctx, r.Connection, true)
	if err != nil {
		return err
	}
	if err := r.access().Permit(conn); err != nil {
		return err
	}
	own := r.key()
	rec, err := c.records.Get(ctx, own, true)
	if err != nil {
		return rules.Unavailable(err)
	}
	for _, v := range rec.Item.Variants {
		variant := tokenstore.Key{Connection: own.Connection, Subject: own.Subject, Variant: v}
		if err := c.forget(ctx, conn, variant, revoke); err != nil {
			return err
		}
	}
	return c.forget(ctx, conn, own, revoke)
}

func (c *Core) forget(ctx context.Context, conn connection.Connection, key tokenstore.Key, revoke bool) error {
	rec, err := c.records.Get(ctx, key, true)
	if err != nil {
		return rules.Unavailable(err)
	}
	if revoke && conn.RevocationURL != "" && rec.Token.Valid(c.clock.Now()) {
		if err := c.issuer.RevokeAccessToken(ctx, conn, rec.Token.AccessToken); err != nil {
			return err
		}
		if rec, err = c.records.Get(ctx, key, true); err != nil { // a grant may have come meanwhile
			return rules.Unavailable(err)
		}
	}
	return c.records.DropToken(ctx, rec.Item, conn.SecretVersion)
}
