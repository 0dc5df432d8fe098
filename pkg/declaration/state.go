package declaration

import (
	"cmp"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// FailureCause fingerprints what a failure of item depends on: with another
// secret version, declaration or refresh token the next attempt is not delayed.
func FailureCause(item tokenstore.Item, conn connection.Connection) string {
	parts := []string{conn.SecretVersion, conn.ConfigHash, conn.SecretIncarnation}
	if conn.Delegated() {
		parts = append(parts, item.Grant.Fingerprint)
	}
	return digest.Short(parts...)
}

// FailureApplies reports whether item's failure was recorded for conn as it is
// declared now.
func FailureApplies(item tokenstore.Item, conn connection.Connection) bool {
	return item.Failure.Count > 0 && item.Failure.Cause == FailureCause(item, conn)
}

// InBackoff reports whether item's failure forbids a call to the provider for
// conn now.
func InBackoff(item tokenstore.Item, conn connection.Connection, now time.Time) bool {
	return FailureApplies(item, conn) && item.Failure.NextAttemptAt.After(now)
}

// GrantEnded reports whether the provider has reported item's grant as invalid, or
// callers have reported a grant that is an access token. That holds until a user
// consents again or the client changes.
func GrantEnded(item tokenstore.Item, conn connection.Connection, now time.Time) bool {
	return ReportsOf(item).Dead() || item.Failure.Code == string(problem.AuthorizationRequired) && InBackoff(item, conn, now)
}

// GrantUsable reports whether g exists and was given to the client of conn. A grant
// that does not say what it is bound to was stored by the release before this one,
// and is held by its client until its next refresh.
func GrantUsable(g tokenstore.SealedGrant, conn connection.Connection) bool {
	same := g.Bound == BoundClient(conn)
	if g.Bound == "" {
		same = g.Client == ClientID(conn)
	}
	return g.Fingerprint != "" && same && g.SecretIncarnation == conn.SecretIncarnation
}

// ClientID identifies the client at the provider as the release before this one does.
func ClientID(conn connection.Connection) string {
	return digest.Short(conn.Provider, conn.TokenURL, conn.Issuer, conn.ClientID)
}

// BoundClient identifies the client and the hosts to which its refresh tokens are
// sent. The provider's name, paths and the issuer are not part of it.
func BoundClient(conn connection.Connection) string {
	return digest.Short(conn.ClientID, Host(conn.TokenURL), Host(cmp.Or(conn.RefreshURL, conn.TokenURL)))
}
