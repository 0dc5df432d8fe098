package rules

import (
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// RenewSlot is the slot of a client_credentials token. It is empty where the
// provider refuses an early refresh, where a new token revokes the one that callers
// have, and for a token without end.
func RenewSlot(key tokenstore.Key, conn connection.Connection, t token.Token) string {
	if !conn.EarlyRefresh || conn.NewTokenRevokesOld {
		return ""
	}
	return tokenSlot(key, t)
}

// GrantSlot is the slot of a grant: its token's, unless that is visited too
// rarely, or never, to keep the refresh token alive.
func GrantSlot(key tokenstore.Key, conn connection.Connection, t token.Token, g tokenstore.SealedGrant) string {
	own := RenewSlot(key, conn, t)
	if own != "" && t.Lifetime() <= keepAliveFor(g) {
		return own
	}
	return KeepAliveSlot(key, g)
}

// KeepAliveSlot is the slot of a grant that has no token. It is empty without a
// refresh token.
func KeepAliveSlot(key tokenstore.Key, g tokenstore.SealedGrant) string {
	if !refreshable(g) {
		return ""
	}
	return wheel.Slot(slotKey(key), keepAliveFor(g))
}

// RegularSlot is the slot that item with token t returns to after a retry. It is
// empty for a grant that has ended.
func RegularSlot(item tokenstore.Item, t token.Token) string {
	if item.Failure.NextAttemptAt.Equal(Never) {
		return ""
	}
	own, g := tokenSlot(item.Key, t), item.Grant
	if refreshable(g) && (own == "" || t.Lifetime() > keepAliveFor(g)) {
		return KeepAliveSlot(item.Key, g)
	}
	return own
}

// SlotAfterFailure is where an item whose refresh failed waits for its next
// attempt. One without a slot gets none, and a token that will have expired by
// then is left to its callers.
func SlotAfterFailure(item tokenstore.Item, t token.Token, f tokenstore.Failure) string {
	if item.Grant.Fingerprint != "" {
		return RetrySlot(item.Key, f.NextAttemptAt) // a grant outlives its token
	}
	if item.RenewSlot == "" || !t.Valid(f.NextAttemptAt) {
		return item.RenewSlot
	}
	return RetrySlot(item.Key, f.NextAttemptAt)
}

// RetrySlot is where the item of key waits for an attempt at an instant.
func RetrySlot(key tokenstore.Key, at time.Time) string { return wheel.RetrySlot(slotKey(key), at) }

// refreshable reports whether g has a refresh token.
func refreshable(g tokenstore.SealedGrant) bool { return g.Fingerprint != "" && !g.IsAccessToken() }

func tokenSlot(key tokenstore.Key, t token.Token) string {
	if t.NoEnd() {
		return ""
	}
	return wheel.Slot(slotKey(key), t.Lifetime())
}

func slotKey(key tokenstore.Key) string {
	return strings.Join([]string{key.Connection, key.Subject, key.Variant}, "\x00")
}

// NeedsRenewal reports whether item needs a refresh now: its token is in use and
// expires before next, or its refresh token must be used before then. next is the next visit; zero means that there is none.
func NeedsRenewal(item tokenstore.Item, t token.Token, now, next time.Time) bool {
	if refreshable(item.Grant) && !staysAlive(item.Grant, next) {
		return true
	}
	return item.Used && t.Valid(now) && !lasts(t, next)
}

// staysAlive reports whether g can wait until its next visit, even a late one.
func staysAlive(g tokenstore.SealedGrant, next time.Time) bool {
	return !next.IsZero() && next.Add(wheel.Slack).Before(g.RefreshedAt.Add(keepAliveFor(g)))
}

// lasts reports whether t stays usable until its next visit, even a late one.
func lasts(t token.Token, next time.Time) bool {
	return t.NoEnd() || !next.IsZero() && t.Usable(next.Add(wheel.Slack), 0)
}

// OwnKey is the key of the item that lists the scope variants of key's connection.
func OwnKey(key tokenstore.Key) tokenstore.Key {
	return tokenstore.Key{Connection: key.Connection, Subject: key.Subject}
}

// Renewable reports whether the provider issues a new token for item now without
// revoking the one that callers have.
func Renewable(item tokenstore.Item, conn connection.Connection, t token.Token, now time.Time) bool {
	if !conn.Delegated() {
		return true
	}
	early := conn.EarlyRefresh && !conn.NewTokenRevokesOld || item.Grant.IsAccessToken()
	return declaration.GrantUsable(item.Grant, conn) && (early || !t.Valid(now))
}
