package rules

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Fingerprint identifies a refresh token where the token itself must not appear.
func Fingerprint(refreshToken redact.Secret) string { return digest.Short(refreshToken.Reveal()) }

// OtherUsers reports whether a and b are known to be grants of different users.
// Many servers keep one grant per user and client, and revoking one token of it
// ends them all. So a grant is revoked without a request only if both users are
// known.
func OtherUsers(a, b tokenstore.SealedGrant) bool {
	return a.ConsentedBy != "" && b.ConsentedBy != "" && a.ConsentedBy != b.ConsentedBy
}

// MayRevoke reports whether the grant a may be revoked without a request while b is
// stored: not where revoking one token ends all of a client, whoever consented.
func MayRevoke(conn connection.Connection, a, b tokenstore.SealedGrant) bool {
	return !conn.RevocationEndsGrant && OtherUsers(a, b)
}

// Disconnected reports whether nothing is left in an item that had a grant. Its
// user also wants every grant revoked that a running refresh still obtains. While
// another than owner has the lease, a new consent may be about to be stored, and
// revoking the old grant could end the new one.
func Disconnected(item tokenstore.Item, owner string) bool {
	held := item.Lease.Owner != "" && item.Lease.Owner != owner
	return item.Grant.Fingerprint == "" && item.Token.ID == "" && !held
}

// SameUser reports whether a and b are known to be grants of one user.
func SameUser(a, b tokenstore.SealedGrant) bool {
	return a.ConsentedBy != "" && a.ConsentedBy == b.ConsentedBy
}

// GrantValid reports whether a refresh with item's grant can succeed: it was given
// to the client of conn, and is not known to have ended.
func GrantValid(item tokenstore.Item, conn connection.Connection, now time.Time) bool {
	g := item.Grant
	return declaration.GrantUsable(g, conn) && !declaration.GrantEnded(item, conn, now) && (g.ExpiresAt.IsZero() || g.ExpiresAt.After(now))
}

// CorruptGrant is the error for a stored grant that cannot be read. It is not
// overwritten without a request, because it may be the only valid refresh token
// (BI-72).
func CorruptGrant(ctx context.Context, key tokenstore.Key, cause error) error {
	audit.From(ctx).Warn(audit.GrantCorrupt)
	return &problem.Error{Code: problem.InternalError, Cause: cause,
		Detail: "the stored grant of connection " + key.Connection + " cannot be read and was left unchanged; " +
			"restore the table or the keyset, or disconnect it with DELETE …/authorization and consent again"}
}

// OutcomeUnknown reports whether an earlier holder sent the stored refresh token
// and its result was never recorded.
func OutcomeUnknown(item tokenstore.Item) bool {
	return item.RefreshAttempt.Before != "" && item.RefreshAttempt.Before == item.Grant.Fingerprint
}

// mayBeOff is how far the clocks of two processes may be apart, and atOnce how long a
// request takes to reach the server.
const mayBeOff, atOnce = 10 * time.Second, time.Second

// Repeatable reports whether the server of conn accepts a refresh token once more that
// was sent without an answer: by this process under its lease, or by another one. first
// is when it was sent first; zero is unknown.
func Repeatable(conn connection.Connection, first, now time.Time, own bool) bool {
	latency := atOnce
	if !own {
		latency += mayBeOff
	}
	switch r := conn.RefreshToken; r.Rotation {
	case provider.RotationKept, provider.RotationUntilUsed:
		return true
	case provider.RotationGrace:
		return !first.IsZero() && now.Add(latency).Before(first.Add(r.Grace))
	case provider.RotationStrict:
	}
	return false
}

// SameConsent reports whether two grants come from one consent, however often
// either was refreshed.
func SameConsent(a, b tokenstore.SealedGrant) bool {
	sameClient := a.Client == b.Client
	if a.Bound != "" && b.Bound != "" {
		sameClient = a.Bound == b.Bound
	}
	return a.Fingerprint != "" && sameClient && a.ConsentedAt.UnixMilli() == b.ConsentedAt.UnixMilli()
}

// RefreshTokenExpiry is the expiry of a new refresh token: as the server states it, or
// by the provider's documented lifetime, counted from before the request. Zero is
// unknown.
func RefreshTokenExpiry(conn connection.Connection, t token.Issued) time.Time {
	if !t.RefreshExpiresAt.IsZero() || conn.RefreshToken.ExpiresIn == 0 {
		return t.RefreshExpiresAt
	}
	return t.MintedAt.Add(conn.RefreshToken.ExpiresIn)
}

const (
	// keepAliveEvery is the longest that a refresh token goes unused.
	keepAliveEvery = 24 * time.Hour
	// warnEarly and warnLate are how long before the expiry of a refresh token a warning is written.
	warnEarly, warnLate = 7 * 24 * time.Hour, 24 * time.Hour
)

// keepAliveFor is how long a grant may go without a refresh: a day, or a quarter
// of its refresh token's lifetime.
func keepAliveFor(g tokenstore.SealedGrant) time.Duration {
	if life := g.ExpiresAt.Sub(g.RefreshedAt); !g.ExpiresAt.IsZero() && life > 0 {
		return min(keepAliveEvery, life/4)
	}
	return keepAliveEvery
}

// WarnOfExpiry warns operators in time that a user has to consent again.
func WarnOfExpiry(ctx context.Context, g tokenstore.SealedGrant, now time.Time) {
	switch left := g.ExpiresAt.Sub(now); {
	case g.ExpiresAt.IsZero() || left > warnEarly:
	case left > warnLate:
		audit.From(ctx).Warn(audit.GrantExpiresIn7Days)
	default:
		audit.From(ctx).Warn(audit.GrantExpiresIn1Day)
	}
}
