// Package token defines the access token that can be served and the only rule that
// says when it is usable ([Token.Usable]). No other package compares its
// instants.
package token

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const (
	// serveMargin is the least remaining lifetime of a token that is served; a
	// tenth of the lifetime when that is less, so that short tokens work too.
	serveMargin = 60 * time.Second
	// leastLeft is the remaining lifetime below which no token is served, whatever
	// the refresh did: in whole seconds its expires_in would be 0.
	leastLeft = time.Second
	// renewAt and refreshAt are the shares of the lifetime, in percent, after
	// which the renewer replaces a token and after which the vend path does.
	renewAt, refreshAt = 75, 85
	// clockSkew is the largest believable difference between the clocks of two
	// processes, five seconds each. The expiry of a token that was minted further
	// in the future is not trusted either.
	clockSkew = 10 * time.Second
	// askAgain is the time after which another request for a token without end is
	// useful: it may have been replaced.
	askAgain = time.Hour
)

// Token is an access token with the part of its declaration that is needed to serve
// it. Instants are UTC wall clock without a monotonic reading,
// because that clock may stop while an execution environment is frozen.
type Token struct {
	AccessToken redact.Secret
	// ID is the token id: it replaces the token in logs, responses and rejections.
	ID string
	// Scope is the granted scope: what the provider stated, or else the requested one.
	Scope string
	// MintedAt is the instant before the token request was sent. ExpiresAt is zero for a
	// token without end.
	MintedAt, ExpiresAt time.Time
	ExpiresInAssumed    bool
	// EarlyRefresh false: the provider refuses to replace it before it expires, or its
	// successor revokes it.
	EarlyRefresh bool
	// RevokedByNext: its successor revokes it, so that a copy of it may be of no use.
	RevokedByNext bool
	// Callers are the principals that may use it, and AskedScope is the requested
	// scope. Callers are checked against the requested and the granted scope.
	Callers    connection.Callers
	AskedScope string
	// MintID is that of the declaration record under which it was issued; empty
	// where there was none. ConfigHash, SecretVersion and SecretIncarnation identify
	// the declaration.
	MintID, ConfigHash, SecretVersion, SecretIncarnation string
	// Departures are the members of the provider's response that depart from RFC
	// 6749, sorted.
	Departures []string
	// Extra is what callers get besides the token.
	Extra extra.Values
}

// Source is where a served token came from.
type Source string

// The sources.
const (
	FromMemory   Source = "memory"
	FromTable    Source = "table"
	FromProvider Source = "provider"
)

// Issued is the result of a token request.
type Issued struct {
	Token
	// RefreshToken is empty when the response had none. RefreshExpiresAt is zero
	// when the server does not state its expiry.
	RefreshToken     redact.Secret
	RefreshExpiresAt time.Time
	// ConsentedBy is the user who consented, where the provider says so.
	ConsentedBy string
}

// NoEnd reports whether the token has no end. It is served until a caller reports that
// it is refused.
func (t Token) NoEnd() bool { return t.ID != "" && t.ExpiresAt.IsZero() }

// End is the instant at which the token ends: tokenstore.NoEnd if it has no end.
func (t Token) End() time.Time {
	if t.NoEnd() {
		return tokenstore.NoEnd
	}
	return t.ExpiresAt
}

// Lifetime is the total lifetime that the provider stated. That of a token without
// end is longer than any other.
func (t Token) Lifetime() time.Duration { return t.End().Sub(t.MintedAt) }

// Valid reports whether a second of it is left and its instants are plausible. A
// token minted in the future comes from a process whose clock is ahead, which
// computed the expiry by that clock.
func (t Token) Valid(now time.Time) bool {
	return t.ID != "" && t.End().Sub(now) >= leastLeft && !t.MintedAt.After(now.Add(clockSkew))
}

// Usable is the rule that decides whether a token may be served to a caller
// who asks for a remaining lifetime of at least minTTL.
func (t Token) Usable(now time.Time, minTTL time.Duration) bool {
	if !t.Valid(now) {
		return false
	}
	if !t.EarlyRefresh {
		return true // the provider issues no newer one: minTTL is best effort
	}
	return t.End().Sub(now) >= max(minTTL, min(serveMargin, t.Lifetime()/10))
}

// MaxMinTTL is the largest minTTL that a caller may ask for: half the lifetime.
// With more, one caller could force a refresh with every call.
func (t Token) MaxMinTTL() time.Duration { return (t.Lifetime() / 2).Truncate(time.Second) }

// Due reports whether the vend path replaces it although it is usable.
func (t Token) Due(now time.Time) bool {
	return t.EarlyRefresh && !t.NoEnd() && !now.Before(t.at(refreshAt))
}

// RefreshIn is the time after which another request is useful: the time until the
// point of renewal, or after that until the point where the vend path refreshes. It
// is never less than a second, and an hour for a token without end.
func (t Token) RefreshIn(now time.Time) time.Duration {
	next := t.ExpiresAt
	switch {
	case t.NoEnd():
		return askAgain
	case !t.EarlyRefresh:
	case now.Before(t.at(renewAt)):
		next = t.at(renewAt)
	case now.Before(t.at(refreshAt)):
		next = t.at(refreshAt)
	default:
		next = now
	}
	return max(next.Sub(now), time.Second)
}

func (t Token) at(percent int64) time.Time {
	return t.MintedAt.Add(t.Lifetime() / 100 * time.Duration(percent))
}
