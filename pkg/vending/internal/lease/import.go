package lease

import (
	"cmp"
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// newGrant is a grant to conn that begins now, still without a refresh token.
func newGrant(conn connection.Connection, consentedBy string, now time.Time) record.Grant {
	return record.Grant{SealedGrant: tokenstore.SealedGrant{
		SecretIncarnation: conn.SecretIncarnation, Client: declaration.ClientID(conn), Bound: declaration.BoundClient(conn),
		ConsentedBy: consentedBy, ConsentedAt: now, RefreshedAt: now,
	}}
}

// alreadyStored reports whether an import is the very grant that item has.
func (s *authorizationCode) alreadyStored(item tokenstore.Item, conn connection.Connection) bool {
	return s.imported() && rules.Fingerprint(s.Request.RefreshToken) == item.Grant.Fingerprint && declaration.GrantUsable(item.Grant, conn)
}

// verifyStored proves that the stored grant is valid by an ordinary refresh, with
// its mark and its fence. To store it again would revoke it as the former one.
func (s *authorizationCode) verifyStored(ctx context.Context, h *Holder) error {
	rec, err := h.leases.Run(ctx, Refresh{Key: h.req.Key, Conn: h.req.Conn, ForCaller: true, RetryDeadGrant: true,
		Want: Want{Not: [2]string{h.rec.Item.Token.ID}}})
	if err == nil {
		err = s.amendStored(ctx, h, rec)
	}
	if err != nil {
		return problem.Of(rules.Unavailable(callerError(err)))
	}
	return nil
}

// amendStored stores what an import says of a grant that was stored before, if
// the refresh token is still the imported one.
func (s *authorizationCode) amendStored(ctx context.Context, h *Holder, rec record.Record) error {
	item := rec.Item
	if !s.alreadyStored(item, h.req.Conn.Connection) {
		return nil
	}
	l, g := h.leases, record.Grant{SealedGrant: item.Grant, RefreshToken: s.Request.RefreshToken, Scope: s.Request.Scope, Granted: rec.Token.Scope,
		Extra: rec.Token.Extra.Over(s.Request.Extra)}
	g.ExpiresAt = cmp.Or(s.ExpiresAt, g.ExpiresAt)
	sealed, err := l.records.SealGrant(ctx, h.req.Key, g)
	if err != nil {
		return err
	}
	_, err = l.records.Save(ctx, record.Write{Commit: &tokenstore.Commit{
		Key: h.req.Key, Version: grantOnly, Consumed: item.Grant.Fingerprint, Grant: sealed, Now: l.clock.Now()}})
	rules.WarnOfExpiry(ctx, sealed, l.clock.Now())
	return err
}
