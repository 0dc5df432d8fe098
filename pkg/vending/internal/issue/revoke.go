package issue

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Credential is a token of a grant, and what kind of token it is (RFC 7009 §2.1).
type Credential struct {
	Token redact.Secret
	Hint  string
}

// AccessTokenOf is an access token.
func AccessTokenOf(text redact.Secret) Credential { return Credential{text, "access_token"} }

// RefreshTokenOf is a refresh token.
func RefreshTokenOf(text redact.Secret) Credential { return Credential{text, "refresh_token"} }

// RevokeAccessToken revokes an access token (RFC 7009), where the provider has an
// endpoint for that. Every error is a *problem.Error.
func (i *Issuer) RevokeAccessToken(ctx context.Context, conn connection.Connection, accessToken redact.Secret) error {
	if err := requireTime(ctx, conn); err != nil {
		return err
	}
	if err := i.revoke(ctx, conn, AccessTokenOf(accessToken)); err != nil {
		return refused(ctx, err)
	}
	return nil
}

// EndGrant revokes the token of a grant, and with it the grant (RFC 7009 §2.1). While
// the provider cannot be reached it returns a *problem.Error, so that the caller
// tries again. A provider that refuses is only warned of, and one that revokes at
// another host than the grant is bound to.
func (i *Issuer) EndGrant(ctx context.Context, conn connection.Connection, of Credential) error {
	if !mayGetRefreshToken(conn) {
		audit.From(ctx).Warn(audit.NotRevoked)
		return nil
	}
	if err := requireTime(ctx, conn); err != nil {
		return err
	}
	err := i.revoke(ctx, conn, of)
	if err == nil {
		return nil
	}
	p := refused(ctx, err)
	if kind := rules.ProviderError(err).Kind; kind == oauth.Unavailable || kind == oauth.Timeout {
		return p
	}
	audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
	return nil
}

// RevokeOrphan revokes the token of a grant that cannot be stored, so that it does not
// stay valid without being known. A failure is only warned of, also that there is
// no time: the caller still waits for its answer.
func (i *Issuer) RevokeOrphan(ctx context.Context, conn connection.Connection, of Credential) {
	switch {
	case of.Token.IsZero():
		return
	case !mayGetRefreshToken(conn):
		audit.From(ctx).Warn(audit.NotRevoked)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(orphanBudget, rules.Remaining(ctx)-answerBudget))
	defer cancel()
	if ctx.Err() != nil || i.revoke(ctx, conn, of) != nil {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
	}
}

// mayGetRefreshToken reports whether the provider's revocation endpoint, if there is
// one, is at a host that refresh tokens are sent to. Who edits the declaration could
// otherwise have them sent elsewhere.
func mayGetRefreshToken(conn connection.Connection) bool {
	host := declaration.Host(conn.RevocationURL)
	return host == "" || host == declaration.Host(conn.TokenURL) || host == declaration.Host(conn.RefreshURL)
}

// revoke does nothing where the provider has no endpoint for it.
func (i *Issuer) revoke(ctx context.Context, conn connection.Connection, of Credential) error {
	if conn.RevocationURL == "" {
		return nil
	}
	return i.revoker.Revoke(ctx, oauth.Revocation{RevocationURL: conn.RevocationURL,
		Authentication: authentication(conn), Token: of.Token, TokenTypeHint: of.Hint, RequestHeaders: conn.Request.Headers})
}

// requireTime refuses a revocation after which there may be no time to forget what
// was revoked.
func requireTime(ctx context.Context, conn connection.Connection) error {
	if conn.RevocationURL == "" {
		return nil
	}
	return RequireTime(rules.Remaining(ctx), RefreshBudget(conn))
}

// refused writes the failure of a revocation to the audit entry.
func refused(ctx context.Context, err error) error {
	refusal := rules.ProviderError(err)
	note(&audit.From(ctx).Provider, refusal.Trace, string(rules.Code(refusal)))
	return rules.ProviderProblem(refusal)
}
