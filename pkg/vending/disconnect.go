package vending

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Disconnect revokes a grant at the provider and forgets it, with its tokens.
// While the provider cannot be reached the grant stays, so that it can be tried
// again. A provider that refuses to revoke, or has no endpoint for it, does not
// keep the grant from being forgotten, nor does a missing declaration. Every error
// is a *problem.Error.
func (c *Core) Disconnect(ctx context.Context, r Request) error {
	c.FlushPending(ctx)
	d, err := c.declared(ctx, r)
	if err == nil && !d.gone {
		err = r.access().PermitConsent(d.conn)
	}
	if err == nil && c.records.Pending(r.key()) {
		err = rules.Unavailable(record.ErrPendingWrite)
	}
	if err == nil {
		err = c.disconnect(ctx, r, d)
	}
	return rules.Problem(err)
}

func (c *Core) disconnect(ctx context.Context, r Request, d declared) error {
	item, err := c.store.Get(ctx, r.key(), true)
	if err != nil && !errors.Is(err, tokenstore.ErrCorrupt) {
		return rules.Unavailable(err)
	}
	if err == nil {
		rec, err := c.records.Accept(ctx, item)
		if err != nil {
			return err
		}
		if err := d.permitToken(r, rec); err != nil || rec.Missing() {
			return err
		}
		if !d.gone {
			err = c.leases.RevokeAtProvider(ctx, d.conn, item)
		}
		if err != nil {
			return err
		}
	}
	before, err := c.records.Drop(ctx, tokenstore.Drop{Key: r.key(), RequiredSecretVersion: d.conn.SecretVersion, Grant: true})
	switch {
	case err != nil:
		return err
	case !d.gone:
		c.leases.RevokeLeftOver(ctx, d.conn, before, item.Grant) // a refresh may have replaced the one just revoked
	case before.Grant.Fingerprint != "":
		audit.From(ctx).Warn(audit.NotRevoked)
	}
	return nil
}
