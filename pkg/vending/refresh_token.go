package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// errUnsettled: an earlier attempt to spend the refresh token never told how it
// ended, and the access token that came before it still lives.
var errOutcomeUnknown = errors.New("the outcome of an earlier refresh is not known")

// loadGrant opens the grant that the job will spend. After an attempt without
// an outcome the old access token is served to its end first: the refresh token
// may be spent, and showing it again may cost the whole grant (CR-14). A token
// that a caller reported dead is nothing to wait for.
func (c *Core) loadGrant(ctx context.Context, j *refreshJob, e record) error {
	if err := rules.RequireConsent(e.item, j.conn, c.clock.Now()); err != nil && !j.mayRetry(e.item) {
		return err
	}
	if rules.OutcomeUnknown(e.item) && c.canServeStale(*j, e) {
		return errOutcomeUnknown
	}
	g, err := c.openGrant(ctx, e.item)
	j.grant = g
	return err
}

// canServeStale reports whether e's token may be served while its refresh has to wait:
// not to who reported it dead, nor when another declaration minted it, which will
// have it dropped.
func (c *Core) canServeStale(j refreshJob, e record) bool {
	return e.token.Valid(c.clock.Now()) && e.token.ConfigHash == j.conn.ConfigHash && !j.rejected
}

// deferRefresh leaves the refresh token alone until the access token has ended; for a
// moment only where somebody reported that one dead, who will not wait so long.
func (c *Core) deferRefresh(ctx context.Context, j refreshJob, e record, owner string) error {
	audit.From(ctx).Warn(audit.RefreshAmbiguous)
	now := c.clock.Now()
	failure := tokenstore.Failure{
		Count: e.item.Failure.Count + 1, Code: string(problem.ProviderTimeout),
		FailedAt: now, NextAttemptAt: e.token.ExpiresAt, Cause: declaration.FailureCause(e.item, j.conn),
	}
	if e.item.RejectedID == e.token.ID {
		failure.NextAttemptAt = earlier(failure.NextAttemptAt, now.Add(rules.BackoffUnserved))
	}
	return c.remember(ctx, e, tokenstore.Fail{Key: j.key, Owner: owner, Failure: failure, OutcomeUnknown: true,
		RenewSlot: rules.SlotAfterFailure(e.item, e.token, failure), Now: now}, errOutcomeUnknown)
}

// failGrant settles a refresh that brought no access token. What is certain is
// told to the fleet; what is not leaves the mark that the token may be spent.
func (c *Core) failGrant(ctx context.Context, j refreshJob, e record, owner string, err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		c.release(ctx, e.item, owner)
		return err
	}
	refusal, now := rules.ProviderError(err), c.clock.Now()
	if !refusal.RefreshToken.IsZero() {
		e, refusal.Ambiguous = c.saveSuccessor(ctx, j, e, owner, refusal)
	}
	if refusal.Kind == oauth.Rejected && refusal.Code == rules.InvalidGrant {
		return c.confirmInvalidGrant(ctx, j, e, owner, refusal)
	}
	valid := c.canServeStale(j, e)
	failure := rules.FailedRefresh{Item: e.item, Conn: j.conn, Err: refusal, At: now, Served: valid, Jitter: c.random.Fraction()}.Failure()
	unsettled := refusal.Ambiguous || rules.OutcomeUnknown(e.item)
	if refusal.Ambiguous {
		audit.From(ctx).Warn(audit.RefreshAmbiguous)
	}
	if unsettled && valid {
		failure.NextAttemptAt = later(failure.NextAttemptAt, e.token.ExpiresAt)
	}
	return c.remember(ctx, e, tokenstore.Fail{Key: j.key, Owner: owner, Failure: failure, OutcomeUnknown: unsettled,
		RenewSlot: rules.SlotAfterFailure(e.item, e.token, failure), Now: now}, refusal)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const (
	// confirmReads and rereadEvery bound how long a confirmed end is looked for: a
	// former holder may be about to store the refresh token that replaced ours.
	confirmReads = 4
	confirmEvery = 500 * time.Millisecond
)

// confirmInvalidGrant takes the provider's invalid_grant at its word only when the stored
// refresh token is still the one that was presented (CR-15). When it is not,
// tokenstore.ErrSuperseded asks for another turn with the newer one.
func (c *Core) confirmInvalidGrant(ctx context.Context, j refreshJob, e record, owner string, refusal *oauth.Error) error {
	for look, lost := 0, rules.OutcomeUnknown(e.item); look == 0 || lost && look < confirmReads; look++ {
		if look > 0 && c.clock.Wait(ctx, confirmEvery) != nil {
			break
		}
		now, err := c.store.Get(ctx, j.key, true)
		if err != nil {
			c.release(ctx, e.item, owner)
			return rules.Unavailable(err)
		}
		if now.Grant.Fingerprint != j.grant.Fingerprint {
			c.release(ctx, e.item, owner)
			return tokenstore.ErrSuperseded
		}
		if now.Lease.Owner != owner && look == confirmReads-1 {
			return rules.InProgress("another process is refreshing this token") // and will find out for itself
		}
		lost = lost || now.Lease.Owner != owner
	}
	audit.From(ctx).Warn(audit.GrantEnded)
	failure := tokenstore.Failure{
		Count: e.item.Failure.Count + 1, Code: string(problem.AuthorizationRequired), Status: refusal.Trace.Status,
		ProviderCode: refusal.Code, FailedAt: c.clock.Now(), NextAttemptAt: rules.Never, Cause: declaration.FailureCause(e.item, j.conn),
	}
	return c.remember(ctx, e, tokenstore.Fail{Key: j.key, Owner: owner, Failure: failure, Now: c.clock.Now()}, refusal)
}

// saveSuccessor stores a refresh token that came with an answer which is
// otherwise of no use: it may be the only one that lives. It returns the entry
// as it then stands, and whether the outcome is still unsettled: the one that was
// presented is spent, and what replaced it could not be stored yet.
func (c *Core) saveSuccessor(ctx context.Context, j refreshJob, e record, owner string, refusal *oauth.Error) (_ record, unsettled bool) {
	m := token.Issued{RefreshToken: refusal.RefreshToken, RefreshExpiresAt: refusal.RefreshTokenExpiresAt, Token: Token{MintedAt: c.clock.Now()}}
	next, err := c.renewed(ctx, j.key, j.grant, j.conn, m)
	if err != nil {
		return e, true
	}
	item, err := c.persist(ctx, pendingWrite{commit: &tokenstore.Commit{
		Key: j.key, Owner: owner, Version: grantOnly, Consumed: j.grant.Fingerprint, Grant: next, Now: c.clock.Now()}})
	if errors.Is(err, tokenstore.ErrSuperseded) {
		c.discard(ctx, j, item, m)
	}
	if err != nil {
		return e, true
	}
	e.item = item
	// The failure that goes with it is written under the lease.
	if held, err := c.store.Acquire(ctx, tokenstore.Acquire{Key: j.key, Owner: owner, Now: c.clock.Now(), TTL: leaseTTL}); err == nil {
		e.item = held
	}
	return e, false
}

// grantOnly is a version that no item has: a commit fenced by it stores the grant.
const grantOnly = -1

// commitGrant stores what a refresh brought: both tokens in one write, before
// any caller sees the access token. It no longer depends on the caller.
func (c *Core) commitGrant(ctx context.Context, j refreshJob, item tokenstore.Item, owner string, m token.Issued) (record, error) {
	receivedAt := c.clock.Now()
	next, err := c.renewed(ctx, j.key, j.grant, j.conn, m)
	if err != nil {
		return record{}, err // the keyset was at hand a moment ago; the in-flight mark stays
	}
	stored, err := c.sealToken(ctx, j.key, m.Token)
	if err != nil {
		return record{}, err
	}
	commit := tokenstore.Commit{Key: j.key, Owner: owner, Version: item.Version, SecretIncarnation: m.SecretIncarnation, Token: stored,
		Used: !j.renewal, RenewSlot: rules.GrantSlot(j.key, j.conn, m.Token, next), Consumed: j.grant.Fingerprint, Grant: next, Now: c.clock.Now()}
	committed, err := c.persist(ctx, pendingWrite{commit: &commit})
	entry := audit.From(ctx)
	entry.Unsaved = c.clock.Now().Sub(receivedAt)
	rules.WarnOfEnd(ctx, next, c.clock.Now())
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded):
		c.discard(ctx, j, committed, m)
	case err != nil:
		return record{}, rules.Unavailable(err)
	case committed.Token.ID != m.ID:
		err = tokenstore.ErrSuperseded // the grant is saved; the item has moved on
	}
	if err != nil {
		c.release(ctx, committed, owner)
		return record{}, err
	}
	e := record{item: committed, token: m.Token, readAt: c.clock.Now(), source: FromProvider}
	c.memory.put(j.key, e)
	return e, nil
}

// discard revokes, as well as it can be done, a refresh token that came for a
// grant which was disconnected or replaced meanwhile: nothing comes back (FI-49).
func (c *Core) discard(ctx context.Context, j refreshJob, stands tokenstore.Item, m token.Issued) {
	entry := audit.From(ctx)
	entry.Warn(audit.RefreshSuperseded)
	if !rules.SameConsent(stands.Grant, j.grant.SealedGrant) {
		c.revokeOrphan(ctx, j.conn, m.RefreshToken)
	}
}
