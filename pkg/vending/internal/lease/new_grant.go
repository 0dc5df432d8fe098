package lease

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// NewGrant is a grant to be stored: the code of a consent, or a refresh token
// that was issued elsewhere.
type NewGrant struct {
	// Request exchanges the code, or proves that the refresh token is valid. Its
	// scope is what was consented to.
	Request issue.Request
	// ExpiresAt is the expiry of an imported refresh token; zero is unknown.
	ExpiresAt time.Time
	// Consume is called once, when the code is about to be sent and its result can
	// be stored; an error stops everything and is returned. Nil does nothing.
	Consume func(context.Context) error
}

// imported: the grant was issued elsewhere. It may belong to the same token
// family as the stored grant, and revoking one token of a family revokes all (RFC
// 7009 §2.1), so an import leads to no revocation.
func (g NewGrant) imported() bool { return g.Request.GrantType == issue.RefreshToken }

// Authorize obtains a new grant and stores it in place of the former one, if there
// is one. The lease prevents concurrent refreshes of the former grant. Every error
// is a *problem.Error, or Consume's.
func (l *Leases) Authorize(ctx context.Context, key tokenstore.Key, conn connection.Connection, g NewGrant) error {
	l.FlushPending(ctx)
	if err := l.records.Prepare(ctx); err != nil {
		return err
	}
	r := &Refresh{Key: key, Conn: declared.Unrecorded(conn), ForCaller: true}
	h, _, err := l.Hold(ctx, r, Wait{Until: l.clock.Now().Add(waitBudget), ReplacesGrant: true})
	if err != nil {
		return problem.Of(rules.Unavailable(err))
	}
	s := &authorizationCode{NewGrant: g}
	defer h.releaseUnlessEnded(ctx)
	if err := s.reload(ctx, h); err != nil {
		return problem.Of(err)
	}
	if s.alreadyStored(h.rec.Item, r.Conn.Connection) {
		h.release(ctx)
		return rules.Problem(s.verifyStored(ctx, h))
	}
	if _, err = h.exchange(ctx, s); errors.Is(err, errLeaseTooOld) {
		return rules.InProgress("reading the connection's secret took too long; ask again")
	}
	return err
}

// authorizationCode obtains a token and a new grant with a code (RFC 6749
// §4.1.3), or with the refresh token of an import.
type authorizationCode struct{ NewGrant }

// reload takes the current declaration, which may have changed during the wait for
// the lease. A code or a refresh token is valid for one client only.
func (s *authorizationCode) reload(ctx context.Context, h *Holder) error {
	conn := h.req.Conn
	current, err := h.leases.declared.Current(ctx, conn.Name)
	switch {
	case err != nil:
		return rules.Unavailable(err)
	case !s.Request.AllowsClientOf(conn.Connection, current.Connection):
		return problem.New(problem.AuthorizationRequired, "connection "+string(conn.Name)+
			" was declared for another client meanwhile; start again with POST …/authorization")
	}
	h.req.Conn = current
	return nil
}

// ready ends the consent session, which cannot be undone either.
func (s *authorizationCode) ready(ctx context.Context, h *Holder) error {
	if s.Consume == nil {
		return nil
	}
	if err := h.requireTime(consumeBudget + issue.RefreshBudget(h.req.Conn.Connection)); err != nil {
		return err
	}
	return s.Consume(ctx)
}

func (s *authorizationCode) request(Refresh) issue.Request { return s.Request }

// failed leaves the stored grant as it is. A refresh token that an unusable response
// contained is not revoked: no user is named in it, who may be that of a stored
// grant.
func (s *authorizationCode) failed(ctx context.Context, h *Holder, err error) error {
	refusal := rules.ProviderError(err)
	if !s.imported() {
		h.release(ctx)
		h.leases.revokeOrphan(ctx, h.req.Conn.Connection, issue.RefreshTokenOf(refusal.RefreshToken), false)
		return rules.ProviderProblem(err)
	}
	if item := h.rec.Item; rules.IsInvalidGrant(refusal) && item.Grant.Fingerprint == "" && item.Token.ID == "" {
		_ = h.fail(ctx, tokenstore.Fail{Failure: rules.ImportRefused(refusal.Code, refusal.Trace.Status, h.leases.clock.Now())}, err)
		return rules.ProviderProblem(err)
	}
	h.release(ctx)
	return rules.ProviderProblem(err)
}

func (s *authorizationCode) store(ctx context.Context, h *Holder, t token.Issued) (record.Record, error) {
	if t.RefreshToken.IsZero() && !s.imported() && !(t.NoEnd() && s.replaces(h, t)) {
		return record.Record{}, rules.Problem(s.storeTokenOnly(ctx, h, t))
	}
	return record.Record{}, rules.Problem(s.storeGrant(ctx, h, t))
}

// storeGrant stores the new grant and its token. The grant that it replaced is
// revoked if that is another user's.
func (s *authorizationCode) storeGrant(ctx context.Context, h *Holder, t token.Issued) error {
	l, conn := h.leases, h.req.Conn.Connection
	opened := s.grant(conn, t, l.clock.Now())
	g, err := l.records.SealGrant(ctx, h.req.Key, opened)
	if err != nil {
		return err
	}
	sealed, err := l.records.SealToken(ctx, h.req.Key, t.Token, g)
	if err != nil {
		return err
	}
	write := tokenstore.StoreGrant{Key: h.req.Key, Owner: h.owner, Version: h.rec.Item.Version, SecretIncarnation: t.SecretIncarnation,
		Token: sealed, Grant: g, RenewSlot: rules.GrantSlot(h.req.Key, conn, t.Token, g), Now: l.clock.Now()}
	item, err := s.save(ctx, h, &write)
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded) && rules.SameConsent(item.Grant, g):
		_, _ = l.records.Accept(ctx, item) // it was stored, and refreshed before the response of the store came
	case errors.Is(err, tokenstore.ErrSuperseded):
		if !s.imported() {
			disconnected := h.rec.Item.Grant.Fingerprint != "" && rules.Disconnected(item, h.owner)
			l.revokeOrphan(ctx, conn, credential(opened), disconnected || rules.MayRevoke(conn, g, item.Grant))
		}
		return rules.InProgress("the grant was changed by others while it was being stored; consent again")
	case err != nil:
		return rules.Unavailable(err)
	default:
		l.records.Issued(item, t.Token)
	}
	rules.WarnOfExpiry(ctx, g, l.clock.Now())
	if !s.imported() {
		l.revokeReplaced(ctx, conn, h.rec.Item, g)
	}
	return nil
}

// replaces reports whether an access token without end is the new grant: not where its
// user has a refresh token from a former consent.
func (s *authorizationCode) replaces(h *Holder, t token.Issued) bool {
	former := h.rec.Item
	return former.Grant.IsAccessToken() || !rules.GrantValid(former, h.req.Conn.Connection, h.leases.clock.Now()) ||
		!rules.SameUser(former.Grant, tokenstore.SealedGrant{ConsentedBy: t.ConsentedBy})
}

// grant is the grant that t was issued with: its access token if that has no end and
// came without a refresh token. Only the importer knows how old an imported refresh
// token is.
func (s *authorizationCode) grant(conn connection.Connection, t token.Issued, now time.Time) record.Grant {
	g := newGrant(conn, t.ConsentedBy, now)
	g.Scope, g.Granted, g.Extra = s.Request.Scope, t.Scope, t.Extra
	switch {
	case t.RefreshToken.IsZero() && !s.imported():
		g.AccessToken, g.Departures, g.RefreshedAt = t.AccessToken, t.Departures, time.Time{}
	case t.RefreshToken.IsZero() || t.RefreshToken == s.Request.RefreshToken:
		g.RefreshToken, g.ExpiresAt = s.Request.RefreshToken, cmp.Or(t.RefreshExpiresAt, s.ExpiresAt)
	default:
		g.RefreshToken, g.ExpiresAt = t.RefreshToken, rules.RefreshTokenExpiry(conn, t)
	}
	return g
}

// save stores a new grant although others may have changed the item meanwhile. Once
// it may have been stored, a changed version may be that of its successor: another
// write could restore a used refresh token, or a disconnected grant.
//
// Another consent that was stored meanwhile is the newer one, and a disconnection
// is final.
func (s *authorizationCode) save(ctx context.Context, h *Holder, write *tokenstore.StoreGrant) (item tokenstore.Item, err error) {
	was := h.rec.Item.Grant
	for range attempts + 1 {
		item, err = h.leases.records.Save(ctx, record.Write{Grant: write, Imported: s.imported()})
		unchanged := rules.SameConsent(item.Grant, was) || item.Grant.Fingerprint == "" && was.Fingerprint == ""
		if !errors.Is(err, tokenstore.ErrSuperseded) || errors.Is(err, record.ErrUncertain) || !unchanged {
			break
		}
		write.Version = item.Version
	}
	return item, err
}
