package lease

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// tokenOnlyLifetime is the least lifetime of an access token that is stored without
// a refresh token. With less its user would have to consent every few hours.
const tokenOnlyLifetime = 24 * time.Hour

// storeTokenOnly stores the token of a consent that returned no refresh token. The
// grant of the same user stays, and is refreshed when the token ends. Where no
// grant lives the token alone is stored, if it lasts long enough. Otherwise
// nothing is stored: a grant of another user, or of one who is not named, would
// serve that user's tokens once this one has ended.
func (s *authorizationCode) storeTokenOnly(ctx context.Context, h *Holder, t token.Issued) error {
	l, conn, former := h.leases, h.req.Conn.Connection, h.rec.Item
	audit.From(ctx).Warn(audit.NoRefreshToken)
	lives := rules.GrantValid(former, conn, l.clock.Now()) && len(declaration.ReportsOf(former)) == 0
	keep := lives && rules.SameUser(former.Grant, tokenstore.SealedGrant{ConsentedBy: t.ConsentedBy})
	if !keep && (lives || t.Lifetime() < tokenOnlyLifetime) {
		h.release(ctx)
		return problem.New(problem.AuthorizationRequired, "the provider returned no refresh token; request offline access, which some providers grant for a scope and "+
			"others for a parameter in authorization_params, and start again with POST …/authorization; nothing was stored")
	}
	if keep && former.Grant.IsAccessToken() {
		h.release(ctx)
		return nil // it has no end, unlike this one
	}
	var kept tokenstore.SealedGrant
	if keep {
		kept = former.Grant
	}
	sealed, err := l.records.SealToken(ctx, h.req.Key, t.Token, kept)
	if err != nil {
		return err
	}
	write := record.Write{Grant: &tokenstore.StoreGrant{
		Key: h.req.Key, Owner: h.owner, Version: former.Version, SecretIncarnation: t.SecretIncarnation, Token: sealed, Now: l.clock.Now()}}
	if keep {
		write = record.Write{Commit: &tokenstore.Commit{
			Key: h.req.Key, Owner: h.owner, Version: former.Version, SecretIncarnation: t.SecretIncarnation, Token: sealed,
			RenewSlot: rules.KeepAliveSlot(h.req.Key, former.Grant), Now: l.clock.Now()}}
	}
	item, err := l.records.Save(ctx, write)
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded):
		h.release(ctx)
		return rules.InProgress("the connection's token was changed by others while this one was being stored; consent again")
	case err != nil:
		return rules.Unavailable(err)
	}
	l.records.Issued(item, t.Token)
	if !keep {
		l.revokeReplaced(ctx, conn, former, tokenstore.SealedGrant{ConsentedBy: t.ConsentedBy})
	}
	return nil
}
