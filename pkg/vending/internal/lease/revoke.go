package lease

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// FlushPending stores what an earlier invocation could not. A grant that came too
// late is revoked when that cannot end the one that is stored instead.
func (l *Leases) FlushPending(ctx context.Context) {
	for _, s := range l.records.FlushPending(ctx) {
		conn, err := l.loader.Load(ctx, connection.Name(s.Key.Connection), false)
		if err != nil || !s.Disconnected && !rules.MayRevoke(conn, s.Grant, s.Current) {
			audit.From(ctx).Warn(audit.NotRevoked)
			continue
		}
		l.RevokeFormer(ctx, conn, tokenstore.Item{Key: s.Key, Grant: s.Grant}, s.Current)
	}
}

// revokeReplaced revokes the grant of former, which a consent has replaced by
// current, if that cannot end current.
func (l *Leases) revokeReplaced(ctx context.Context, conn connection.Connection, former tokenstore.Item, current tokenstore.SealedGrant) {
	g := former.Grant
	switch {
	case g.Fingerprint == "" || g.Fingerprint == current.Fingerprint || conn.RevocationURL == "":
	case !rules.MayRevoke(conn, g, current):
		audit.From(ctx).Warn(audit.NotRevoked)
	default:
		l.RevokeFormer(ctx, conn, former, current)
	}
}

// revokeOrphan revokes the token of a grant that could not be stored. Unless safe is
// set, that might end a stored grant, and only a warning is written.
func (l *Leases) revokeOrphan(ctx context.Context, conn connection.Connection, of issue.Credential, safe bool) {
	switch {
	case of.Token.IsZero() || conn.RevocationURL == "":
	case !safe:
		audit.From(ctx).Warn(audit.NotRevoked)
	default:
		l.issuer.RevokeOrphan(ctx, conn, of)
	}
}

// RevokeFormer revokes the grant of former, unless that is also the current one.
// The caller has made sure that this was requested, or ends no other grant. After a
// failure only a warning is written.
func (l *Leases) RevokeFormer(ctx context.Context, conn connection.Connection, former tokenstore.Item, current tokenstore.SealedGrant) {
	if former.Grant.Fingerprint == "" || former.Grant.Fingerprint == current.Fingerprint {
		return
	}
	if !declaration.GrantUsable(former.Grant, conn) {
		audit.From(ctx).Warn(audit.NotRevoked)
		return
	}
	old, err := l.records.OpenGrant(ctx, former)
	if err != nil {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
		return
	}
	l.issuer.RevokeOrphan(ctx, conn, credential(old))
}

// RevokeAtProvider revokes the grant of item, if it has one that can be read and
// was given to the client of conn. While the provider cannot be reached that is an
// error.
func (l *Leases) RevokeAtProvider(ctx context.Context, conn connection.Connection, item tokenstore.Item) error {
	if item.Grant.Fingerprint == "" {
		return nil
	}
	if !declaration.GrantUsable(item.Grant, conn) {
		audit.From(ctx).Warn(audit.NotRevoked)
		return nil
	}
	g, err := l.records.OpenGrant(ctx, item)
	if problem.Is(err, problem.InternalError) {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
		return nil
	}
	if err != nil {
		return err
	}
	return l.issuer.EndGrant(ctx, conn, credential(g))
}

// credential is the token by which a grant is revoked.
func credential(g record.Grant) issue.Credential {
	if !g.AccessToken.IsZero() {
		return issue.AccessTokenOf(g.AccessToken)
	}
	return issue.RefreshTokenOf(g.RefreshToken)
}
