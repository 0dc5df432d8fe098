package lease

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// errOutcomeUnknown: an earlier holder sent the refresh token and its result was
// never recorded, while the access token from before is still valid.
var errOutcomeUnknown = errors.New("the outcome of an earlier refresh is unknown")

// refreshToken obtains a token with the stored grant (RFC 6749 §6). A refresh
// token may be used up by the first request that contains it, so an attempt
// whose outcome is unknown is never repeated while callers have a valid token
// (CR-14), unless the server is declared to accept it again (CR-42).
type refreshToken struct{ grant record.Grant }

// ready opens the grant. After an attempt without a known outcome the old access
// token is served until it expires, unless a caller has rejected it.
func (s *refreshToken) ready(ctx context.Context, h *Holder) (err error) {
	l, item := h.leases, h.rec.Item
	if err := rules.RequireConsent(item, h.req.Conn.Connection, l.clock.Now()); err != nil && !h.req.MayRetry(item) {
		return err
	}
	if rules.OutcomeUnknown(item) && !h.repeatable() && h.req.canServeStale(h.rec, l.clock.Now()) {
		return h.deferRefresh(ctx)
	}
	s.grant, err = l.records.OpenGrant(ctx, item)
	return err
}

func (s *refreshToken) request(Refresh) issue.Request {
	return issue.Request{GrantType: issue.RefreshToken, Scope: s.grant.Scope, Granted: s.grant.Granted, Extra: s.grant.Extra, RefreshToken: s.grant.RefreshToken}
}

// store stores both tokens in one write, before any caller sees the access token.
// It does not end with the caller's context.
func (s *refreshToken) store(ctx context.Context, h *Holder, t token.Issued) (record.Record, error) {
	l, receivedAt := h.leases, h.leases.clock.Now()
	next, err := l.records.SealGrant(ctx, h.req.Key, s.grant.Refreshed(h.req.Conn.Connection, t))
	if err != nil {
		return record.Record{}, err // the keyset was there a moment ago; the mark stays
	}
	sealed, err := l.records.SealToken(ctx, h.req.Key, t.Token, next)
	if err != nil {
		return record.Record{}, err
	}
	item, err := l.records.Save(ctx, record.Write{Commit: &tokenstore.Commit{
		Key: h.req.Key, Owner: h.owner, Version: h.rec.Item.Version, SecretIncarnation: t.SecretIncarnation, Token: sealed,
		Used: h.req.ForCaller, RenewSlot: rules.GrantSlot(h.req.Key, h.req.Conn.Connection, t.Token, next),
		Consumed: s.grant.Fingerprint, Grant: next, Now: l.clock.Now()}})
	audit.From(ctx).Unsaved = l.clock.Now().Sub(receivedAt)
	rules.WarnOfExpiry(ctx, next, l.clock.Now())
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded):
		s.discard(ctx, h, item, t.RefreshToken)
	case err != nil:
		return record.Record{}, rules.Unavailable(err)
	case item.Token.ID != t.ID:
		err = tokenstore.ErrSuperseded // the grant is stored; the item has another token by now
	}
	if err != nil {
		h.rec.Item = item
		h.release(ctx)
		return record.Record{}, err
	}
	return l.records.Issued(item, t.Token), nil
}

// discard does not store a refresh token whose grant was disconnected or replaced
// meanwhile (FI-49), and revokes it if that ends no stored grant.
func (s *refreshToken) discard(ctx context.Context, h *Holder, current tokenstore.Item, refreshToken redact.Secret) {
	audit.From(ctx).Warn(audit.RefreshSuperseded)
	if !rules.SameConsent(current.Grant, s.grant.SealedGrant) {
		safe := rules.Disconnected(current, h.owner) || rules.MayRevoke(h.req.Conn.Connection, s.grant.SealedGrant, current.Grant)
		h.leases.revokeOrphan(ctx, h.req.Conn.Connection, issue.RefreshTokenOf(refreshToken), safe)
	}
}

// repeatable reports whether the server accepts the refresh token once more that was
// sent without an answer: under this lease, or before.
func (h *Holder) repeatable() bool {
	now, mark := h.leases.clock.Now(), h.rec.Item.RefreshAttempt
	if !rules.OutcomeUnknown(h.rec.Item) {
		return rules.Repeatable(h.req.Conn.Connection, mark.StartedAt, now, true)
	}
	if h.req.Attempted.Fingerprint != mark.Fingerprint {
		return rules.Repeatable(h.req.Conn.Connection, time.Time{}, now, false)
	}
	return rules.Repeatable(h.req.Conn.Connection, h.req.Attempted.StartedAt, now, false)
}

// lost reports whether a refresh had no answer, and its refresh token can be sent again
// at once.
func (s *refreshToken) lost(h *Holder, err error) bool {
	p := (*problem.Error)(nil)
	if err == nil || errors.As(err, &p) {
		return false
	}
	refusal := rules.ProviderError(err)
	return refusal.Ambiguous && refusal.RefreshToken.IsZero() && h.repeatable() &&
		h.requireTime(issue.RefreshBudget(h.req.Conn.Connection)) == nil
}

// deferRefresh does not use the refresh token until the access token expires. The
// time is short if a caller has rejected that token, because that caller does not
// wait so long.
func (h *Holder) deferRefresh(ctx context.Context) error {
	audit.From(ctx).Warn(audit.RefreshAmbiguous)
	now, item := h.leases.clock.Now(), h.rec.Item
	failure := tokenstore.Failure{
		Count: item.Failure.Count + 1, Code: string(problem.ProviderTimeout),
		FailedAt: now, NextAttemptAt: h.rec.Token.End(), Cause: declaration.FailureCause(item, h.req.Conn.Connection),
	}
	if item.RejectedID == h.rec.Token.ID {
		failure.NextAttemptAt = earlier(failure.NextAttemptAt, now.Add(rules.BackoffUnserved))
	}
	return h.fail(ctx, tokenstore.Fail{Failure: failure, OutcomeUnknown: true,
		RenewSlot: rules.SlotAfterFailure(item, h.rec.Token, failure)}, errOutcomeUnknown)
}

// failed handles a refresh that returned no access token. A certain outcome is
// shared with the fleet; an uncertain one leaves the mark.
func (s *refreshToken) failed(ctx context.Context, h *Holder, err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		h.release(ctx)
		return err
	}
	refusal, now := rules.ProviderError(err), h.leases.clock.Now()
	if !refusal.RefreshToken.IsZero() {
		refusal.Ambiguous = s.saveSuccessor(ctx, h, refusal)
	}
	if rules.IsInvalidGrant(refusal) {
		return s.confirmInvalidGrant(ctx, h, refusal)
	}
	served := h.req.canServeStale(h.rec, now)
	failure := rules.FailedRefresh{Item: h.rec.Item, Conn: h.req.Conn.Connection, Err: refusal, At: now,
		Served: served, Jitter: h.leases.random.Fraction()}.Failure()
	if refusal.Ambiguous {
		audit.From(ctx).Warn(audit.RefreshAmbiguous)
	}
	unknown := refusal.Ambiguous || rules.OutcomeUnknown(h.rec.Item)
	if unknown && served && !h.repeatable() {
		failure.NextAttemptAt = later(failure.NextAttemptAt, h.rec.Token.End())
	}
	return h.fail(ctx, tokenstore.Fail{Failure: failure, OutcomeUnknown: unknown,
		RenewSlot: rules.SlotAfterFailure(h.rec.Item, h.rec.Token, failure)}, refusal)
}

// grantOnly is a version that no item has: a commit fenced by it stores the grant.
const grantOnly = -1

// saveSuccessor stores a refresh token from a response that is otherwise
// unusable: it may be the only valid one. It reports whether the outcome is still
// unknown: the old one is used up, and its successor could not be stored yet.
func (s *refreshToken) saveSuccessor(ctx context.Context, h *Holder, refusal *oauth.Error) (unknown bool) {
	l := h.leases
	t := token.Issued{RefreshToken: refusal.RefreshToken, RefreshExpiresAt: refusal.RefreshTokenExpiresAt,
		Token: token.Token{MintedAt: l.clock.Now()}}
	next, err := l.records.SealGrant(ctx, h.req.Key, s.grant.Refreshed(h.req.Conn.Connection, t))
	if err != nil {
		return true
	}
	item, err := l.records.Save(ctx, record.Write{Commit: &tokenstore.Commit{
		Key: h.req.Key, Owner: h.owner, Version: grantOnly, Consumed: s.grant.Fingerprint, Grant: next, Now: l.clock.Now()}})
	if errors.Is(err, tokenstore.ErrSuperseded) {
		s.discard(ctx, h, item, t.RefreshToken)
	}
	if err != nil {
		return true
	}
	h.rec.Item = item
	// The failure that follows is written under the lease.
	held, err := l.store.Acquire(ctx, tokenstore.Acquire{Key: h.req.Key, Owner: h.owner, Now: l.clock.Now(), TTL: TTLOf(h.req.Conn.Connection)})
	if err == nil {
		h.rec.Item = held
	}
	return false
}

const (
	// confirmReads and confirmEvery bound how long a changed refresh token is
	// looked for: a former holder may be about to store its successor.
	confirmReads = 4
	confirmEvery = 500 * time.Millisecond
)

// confirmInvalidGrant accepts the provider's invalid_grant only when the stored
// refresh token is still the one that was sent (CR-15). Otherwise
// tokenstore.ErrSuperseded asks for another attempt with the newer one.
func (s *refreshToken) confirmInvalidGrant(ctx context.Context, h *Holder, refusal *oauth.Error) error {
	l := h.leases
	for read, raced := 0, rules.OutcomeUnknown(h.rec.Item); read == 0 || raced && read < confirmReads; read++ {
		if read > 0 && l.clock.Wait(ctx, confirmEvery) != nil {
			break
		}
		current, err := l.store.Get(ctx, h.req.Key, true)
		if err != nil {
			h.release(ctx)
			return rules.Unavailable(err)
		}
		if current.Grant.Fingerprint != s.grant.Fingerprint {
			h.release(ctx)
			return tokenstore.ErrSuperseded
		}
		if current.Lease.Owner != h.owner && read == confirmReads-1 {
			return rules.InProgress("another process is refreshing this token") // it sees the refusal itself
		}
		raced = raced || current.Lease.Owner != h.owner
	}
	audit.From(ctx).Warn(audit.GrantEnded)
	return h.fail(ctx, tokenstore.Fail{Failure: tokenstore.Failure{
		Count: h.rec.Item.Failure.Count + 1, Code: string(problem.AuthorizationRequired), Status: refusal.Trace.Status,
		ProviderCode: refusal.Code, FailedAt: l.clock.Now(), NextAttemptAt: rules.Never,
		Cause: declaration.FailureCause(h.rec.Item, h.req.Conn.Connection)}}, refusal)
}
