package vending

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	// serveMargin bounds what must be left of a token to hand it out; a tenth
	// of the lifetime when that is less, so that short tokens work too.
	serveMargin = 60 * time.Second
	// usefulAt and dueAt are the shares of a lifetime, in percent, at which
	// renewal is due and at which the vend path refreshes by itself.
	usefulAt, dueAt = 75, 85
	// clockSkew is how far apart the clocks of two processes may be: each five
	// seconds off. A token minted further in the future has an expiry that cannot
	// be believed either.
	clockSkew = 10 * time.Second
)

// Token is an access token that can be served, with what the warm path needs
// of the declaration that minted it. Instants are UTC wall clock without a
// monotonic reading: that clock may stand still while a sandbox is frozen.
type Token struct {
	AccessToken redact.Secret
	// ID is the token id that stands for it in logs, answers and rejections.
	ID    string
	Scope string
	// MintedAt is the instant before the provider was asked.
	MintedAt, ExpiresAt time.Time
	ExpiresInAssumed    bool
	// EarlyRefresh false: the provider refuses to replace it before it expires.
	EarlyRefresh bool
	// Callers is the second gate; AskedScope what it judges: the scope the
	// token was requested with.
	Callers    connection.Callers
	AskedScope string
	// ConfigHash, SecretVersion and SecretIncarnation say what minted it.
	ConfigHash, SecretVersion, SecretIncarnation string
}

// Lifetime is the whole life the provider gave it.
func (t Token) Lifetime() time.Duration { return t.ExpiresAt.Sub(t.MintedAt) }

// Valid reports whether it has not expired, and whether its instants can be
// believed: who minted it in the future had a clock that runs ahead, and counted
// its expiry by that.
func (t Token) Valid(now time.Time) bool {
	return t.ID != "" && t.ExpiresAt.After(now) && !t.MintedAt.After(now.Add(clockSkew))
}

// Usable is the rule that says whether a token may be handed to a caller who
// wants it to live for at least minTTL: no other place compares these times.
func (t Token) Usable(now time.Time, minTTL time.Duration) bool {
	if !t.Valid(now) {
		return false
	}
	if !t.EarlyRefresh {
		return true // asking sooner is useless: minTTL is best effort
	}
	return t.ExpiresAt.Sub(now) >= max(minTTL, min(serveMargin, t.Lifetime()/10))
}

// MaxMinTTL is the most a caller may ask for: half the lifetime, else one
// caller could force a refresh with every call.
func (t Token) MaxMinTTL() time.Duration { return (t.Lifetime() / 2).Truncate(time.Second) }

// Due reports whether the vend path should replace it although it is usable.
func (t Token) Due(now time.Time) bool {
	return t.EarlyRefresh && !now.Before(t.at(dueAt))
}

// RefreshIn is when asking again is useful: at the renewal point, after it at
// the point where the vend path refreshes; never less than a second.
func (t Token) RefreshIn(now time.Time) time.Duration {
	next := t.ExpiresAt
	switch {
	case !t.EarlyRefresh:
	case now.Before(t.at(usefulAt)):
		next = t.at(usefulAt)
	case now.Before(t.at(dueAt)):
		next = t.at(dueAt)
	default:
		next = now
	}
	return max(next.Sub(now), time.Second)
}

func (t Token) at(percent int64) time.Time {
	return t.MintedAt.Add(t.Lifetime() / 100 * time.Duration(percent))
}
