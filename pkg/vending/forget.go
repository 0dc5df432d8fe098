package vending

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Forget drops the connection's stored token and every scope variant of it. With
// revoke set each is revoked at the provider first (RFC 7009), where the provider
// has an endpoint for it. If a revocation fails, the token is kept, so that
// the call can be repeated. Without a declaration nothing is revoked. If nothing is
// stored, nothing is written, except what fences a token that another process may still
// have to store. Every error is a *problem.Error.
func (c *Core) Forget(ctx context.Context, r Request, revoke bool) error {
	c.FlushPending(ctx)
	return rules.Problem(c.forgetAll(ctx, r, revoke))
}

// deletion is what decides about a request to delete what is stored of a connection.
type deletion struct {
	conn connection.Connection
	// gone: there is no valid declaration.
	gone bool
}

// deletion decides whether r's caller may delete what is stored: by the current
// declaration, past every cache, or else by the last record. Where there is neither,
// the IAM permission for the path decides. An error means that the secret could not be
// read, so that it is unknown who is authorized.
func (c *Core) deletion(ctx context.Context, r Request, permit func(rules.Access, connection.Connection) error) (deletion, error) {
	conn, err := c.loader.Load(ctx, r.Connection, true)
	if !declaration.Gone(err) {
		if err == nil {
			err = permit(r.access(), conn)
		}
		return deletion{conn: conn}, err
	}
	audit.From(ctx).SetCause(err)
	last, err := c.declared.Read(ctx, r.Connection)
	if err != nil {
		return deletion{gone: true}, rules.Unavailable(err)
	}
	return deletion{gone: true}, r.access().PermitRecord(last)
}

// mayBeUnstored reports whether another process may have a token of key that the table
// has not accepted: one minted while the table was down. Dropping the item that does
// not exist fences it. Only the own token of a declared client_credentials connection
// is minted so and stored later, so no name that a caller makes up leaves an item.
func (d deletion) mayBeUnstored(key tokenstore.Key) bool {
	return !d.gone && !d.conn.Delegated() && key.Variant == "" && key.Subject == ""
}

func (c *Core) forgetAll(ctx context.Context, r Request, revoke bool) error {
	d, err := c.deletion(ctx, r, rules.Access.Permit)
	if err != nil {
		return err
	}
	own, err := c.stored(ctx, r.key())
	if err != nil {
		return err
	}
	if grant := own.Item.Grant; revoke && !d.gone && (d.conn.Delegated() && d.conn.RevocationEndsGrant || grant.IsAccessToken()) {
		return problem.New(problem.InvalidRequest, "to revoke a token of connection "+string(r.Connection)+
			" ends its grant; use DELETE …/authorization, or omit revoke")
	}
	all := make([]record.Record, 0, 1+len(own.Item.Variants))
	for _, v := range own.Item.Variants {
		rec, err := c.stored(ctx, tokenstore.Key{Connection: own.Item.Key.Connection, Subject: own.Item.Key.Subject, Variant: v})
		if err != nil {
			return err
		}
		all = append(all, rec)
	}
	for _, rec := range append(all, own) {
		if err := c.forget(ctx, d, rec, revoke); err != nil {
			return err
		}
	}
	return c.forgetOutage(ctx, r)
}

// forgetOutage lets the next caller ask a provider that did not answer, as after any
// other failure that was forgotten.
func (c *Core) forgetOutage(ctx context.Context, r Request) error {
	outage, err := c.stored(ctx, lease.OutageKey(string(r.Connection)))
	if err != nil || outage.Missing() {
		return err
	}
	return c.records.DropToken(ctx, outage.Item)
}

// stored reads an item that is to be deleted.
func (c *Core) stored(ctx context.Context, key tokenstore.Key) (record.Record, error) {
	rec, err := c.records.Get(ctx, key, true)
	if err != nil {
		return rec, rules.Unavailable(err)
	}
	return rec, nil
}

func (c *Core) forget(ctx context.Context, d deletion, rec record.Record, revoke bool) (err error) {
	switch revoke = revoke && rec.Token.Valid(c.clock.Now()); {
	case rec.Missing() && !d.mayBeUnstored(rec.Item.Key):
		return nil
	case revoke && d.gone:
		audit.From(ctx).Warn(audit.NotRevoked)
	case revoke && d.conn.RevocationURL != "":
		if err := c.issuer.RevokeAccessToken(ctx, d.conn, rec.Token.AccessToken); err != nil {
			return err
		}
		if rec, err = c.records.Get(ctx, rec.Item.Key, true); err != nil { // a grant may have come meanwhile
			return rules.Unavailable(err)
		}
	}
	return c.records.DropToken(ctx, rec.Item)
}
