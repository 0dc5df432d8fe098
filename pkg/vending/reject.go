package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// rejectAttempts bounds starting over when others changed the item.
	rejectAttempts = 2
	// rejectAge is how old a token must be before a caller may have it replaced: a
	// resource server may accept a new one only after a moment.
	rejectAge = 30 * time.Second
)

// vendRejected serves a caller whose token the resource server refused. If it is
// the current one, read consistently, one refresh replaces it for all callers.
// Any other id returns the current token. A failed refresh is an error: the
// rejected token is not served to the caller that rejected it.
func (c *Core) vendRejected(ctx context.Context, r Request) (Vended, error) {
	for range rejectAttempts {
		found, err := c.records.Find(ctx, r.key(), true)
		if err != nil {
			return Vended{}, rules.Unavailable(err)
		}
		rec, by, err := c.judged(ctx, r.key(), found)
		if err != nil {
			return Vended{}, err
		}
		isGrant := rec.Item.Grant.IsAccessToken() && rec.Item.Grant.Fingerprint == r.RejectedTokenID
		if isGrant && !rec.Token.Valid(c.clock.Now()) {
			if _, err := c.refresh(ctx, r.unrejected(), rec, by, false); err != nil {
				return Vended{}, err
			}
			continue // with the token that was stored again
		}
		if !rec.Token.Valid(c.clock.Now()) || rec.Token.ID != r.RejectedTokenID {
			return c.vendFrom(ctx, r, rec, by)
		}
		replace := c.replaceRejected
		if isGrant {
			replace = c.report
		}
		v, err := replace(ctx, r, rec, by)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return v, err
		}
	}
	return Vended{}, rules.InProgress("the rejected token is being replaced by others")
}

func (c *Core) replaceRejected(ctx context.Context, r Request, rec record.Record, by declaration.Record) (Vended, error) {
	if err := r.access().PermitToken(ctx, rec.Token, by); err != nil {
		return Vended{}, err
	}
	first := rec.Item.RejectedID != rec.Token.ID
	if first {
		var err error
		if rec, err = c.markRejected(ctx, r, rec, by); err != nil {
			return Vended{}, err
		}
	}
	return c.refresh(ctx, r, rec, by, first)
}

// markRejected stores the rejection for the fleet, within the limits.
func (c *Core) markRejected(ctx context.Context, r Request, rec record.Record, by declaration.Record) (record.Record, error) {
	now := c.clock.Now()
	if err := c.oldEnough(ctx, r, rec, by); err != nil {
		return rec, err
	}
	forced, err := c.force(ctx, r, rec.Item, now)
	if err != nil {
		return rec, err
	}
	item, err := c.store.Reject(ctx, tokenstore.Reject{Key: rec.Item.Key, Version: rec.Item.Version, TokenID: rec.Token.ID,
		Read: rec.Item.ForcedRefreshes, ForcedRefreshes: forced})
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded):
		c.unforce(ctx, r, rec.Item.Key, now)
		return rec, err
	case err != nil:
		return rec, rules.Unavailable(err)
	}
	return c.records.Update(rec, item), nil
}

// oldEnough refuses to replace a token that is too new, unless its declaration has
// changed since: the provider may have revoked it with that change (CR-23).
func (c *Core) oldEnough(ctx context.Context, r Request, rec record.Record, by declaration.Record) error {
	now := c.clock.Now()
	wait := rec.Token.MintedAt.Add(rejectAge).Sub(now)
	if wait <= 0 {
		return nil
	}
	unread := c.rejectReads.Try(tokenstore.Key{Connection: string(r.Connection)}, now)
	if unread == 0 {
		current, err := c.declared.Current(ctx, r.Connection)
		switch {
		case err == nil:
			by = current.Record
		case declaration.Gone(err):
			return err
		}
	}
	switch {
	case !rules.Accepted(by, r.key().Subject, rec.Token):
		return r.access().PermitRecord(by)
	case unread > 0:
		wait = min(wait, unread) // a change since the last read of the secret is seen then
	}
	return limited("this token is too new to be replaced", wait)
}

func limited(detail string, wait time.Duration) *problem.Error {
	return &problem.Error{Code: problem.RateLimited, Detail: detail, RetryAfter: wait}
}
