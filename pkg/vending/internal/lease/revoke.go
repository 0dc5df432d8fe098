package lease

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// revokeBudget bounds the revocation of a grant that was replaced.
const revokeBudget = 3 * time.Second

// FlushPending stores what an earlier invocation could not. A grant that came too
// late, after a newer consent or a disconnection, is revoked.
func (l *Leases) FlushPending(ctx context.Context) {
	for _, s := range l.records.FlushPending(ctx) {
		conn, err := l.declarations.Load(ctx, connection.Name(s.Key.Connection), false)
		if err != nil {
			audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
			continue
		}
		l.RevokeReplaced(ctx, conn, tokenstore.Item{Key: s.Key, Grant: s.Grant}, tokenstore.SealedGrant{})
	}
}

// RevokeReplaced revokes the grant of former, unless that is also the current
// one. A failure is only warned of.
func (l *Leases) RevokeReplaced(ctx context.Context, conn connection.Connection, former tokenstore.Item, current tokenstore.SealedGrant) {
	if !declaration.GrantUsable(former.Grant, conn) || former.Grant.Fingerprint == current.Fingerprint {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeBudget)
	defer cancel()
	old, err := l.records.OpenGrant(ctx, former)
	if err != nil {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
		return
	}
	l.issuer.RevokeOrphan(ctx, conn, old.RefreshToken)
}

// RevokeAtProvider revokes the grant of item, if it has one that can be read.
// While the provider cannot be reached that is an error.
func (l *Leases) RevokeAtProvider(ctx context.Context, conn connection.Connection, item tokenstore.Item) error {
	if !declaration.GrantUsable(item.Grant, conn) {
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
