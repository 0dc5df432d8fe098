package lease

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// FlushPending stores what an earlier invocation could not. A grant that came too
// late is revoked when that cannot end the one that is stored instead.
func (l *Leases) FlushPending(ctx context.Context) {
	for _, s := range l.records.FlushPending(ctx) {
		if !s.Disconnected && !rules.OtherUsers(s.Grant, s.Current) {
			audit.From(ctx).Warn(audit.NotRevoked)
			continue
		}
		conn, err := l.loader.Load(ctx, connection.Name(s.Key.Connection), false)
		if err != nil {
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
	case !rules.OtherUsers(g, current):
		audit.From(ctx).Warn(audit.NotRevoked)
	default:
		l.RevokeFormer(ctx, conn, former, current)
	}
}

// revokeOrphan revokes a refresh token that could not be stored. Unless safe is
// set, that might end a stored grant, and only a warning is written.
func (l *Leases) revokeOrphan(ctx context.Context, conn connection.Connection, refreshToken redact.Secret, safe bool) {
	switch {
	case refreshToken.IsZero() || conn.RevocationURL == "":
	case !safe:
		audit.From(ctx).Warn(audit.NotRevoked)
	default:
		l.issuer.RevokeOrphan(ctx, conn, refreshToken)
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
	l.issuer.RevokeOrphan(ctx, conn, old.RefreshToken)
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
	return l.issuer.EndGrant(ctx, conn, g.RefreshToken)
}
