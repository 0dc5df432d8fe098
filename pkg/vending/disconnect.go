package vending

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Disconnect revokes a grant at the provider and deletes it with its tokens. If the
// provider cannot be reached, the grant is kept, so that the call can be repeated.
// If the provider refuses to revoke or has no revocation endpoint, or the
// declaration is missing, the grant is deleted all the same. Every error is a
// *problem.Error.
func (c *Core) Disconnect(ctx context.Context, r Request) error {
	c.FlushPending(ctx)
	d, err := c.deletion(ctx, r, rules.Access.PermitConsent)
	var notDelegated error
	if problem.Is(err, problem.InvalidRequest) {
		err, notDelegated = nil, err // it may have been delegated, and have a grant from then
	}
	if err == nil && c.records.Pending(r.key()) {
		err = rules.Unavailable(record.ErrPendingWrite)
	}
	if err == nil {
		err = c.disconnect(ctx, r, d, notDelegated)
	}
	return rules.Problem(err)
}

// disconnect ends what is stored of r. Without a grant the error is none.
func (c *Core) disconnect(ctx context.Context, r Request, d deletion, none error) error {
	item, err := c.store.Get(ctx, r.key(), true)
	switch {
	case none != nil && errors.Is(err, tokenstore.ErrCorrupt) && !errors.Is(err, tokenstore.ErrGrantCorrupt):
		return none
	case errors.Is(err, tokenstore.ErrCorrupt):
		audit.From(ctx).Warn(audit.NotRevoked) // there may be a grant, which cannot be read
	case err != nil:
		return rules.Unavailable(err)
	case item.Grant.Fingerprint == "" && none != nil:
		return none
	default:
		rec, err := c.records.Accept(ctx, item)
		if err != nil {
			return err
		}
		if rec.Missing() {
			return nil
		}
		if err := c.revoke(ctx, d, item); err != nil {
			return err
		}
	}
	before, err := c.records.Drop(ctx, tokenstore.Drop{Key: r.key(), Grant: true})
	if err == nil && !d.gone {
		c.leases.RevokeFormer(ctx, d.conn, before, item.Grant) // a refresh may have replaced the one just revoked
	}
	return err
}

// revoke revokes the grant of item. Without a declaration it only warns.
func (c *Core) revoke(ctx context.Context, d deletion, item tokenstore.Item) error {
	if !d.gone {
		return c.leases.RevokeAtProvider(ctx, d.conn, item)
	}
	if item.Grant.Fingerprint != "" {
		audit.From(ctx).Warn(audit.NotRevoked)
	}
	return nil
}
