package lease

import (
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Want says which tokens satisfy a refresh.
type Want struct {
	MinTTL time.Duration
	// Scope is the caller's choice; empty means the connection's own.
	Scope string
	// Not are the ids of tokens that do not satisfy it: the one to be replaced, and
	// one that a caller rejected, which an earlier refresh may still return.
	Not [2]string
}

// SatisfiedBy reports whether t satisfies w and is one of the declaration in force.
func (w Want) SatisfiedBy(t token.Token, r declaration.Record, now time.Time) bool {
	// A MinTTL beyond half the lifetime is refused, not refreshed for again.
	return t.Usable(now, min(w.MinTTL, t.MaxMinTTL())) && !slices.Contains(w.Not[:], t.ID) &&
		r.Issued(t.MintID, t.ConfigHash, t.SecretIncarnation)
}

// Refresh is one refresh: which token is wanted, under which declaration.
type Refresh struct {
	Key  tokenstore.Key
	Conn declared.InForce
	Want Want
	// NoWait: there is a usable token, so another holder is not waited for.
	NoWait bool
	// ForCaller: a caller uses the result. The renewer leaves it unset; it does
	// not wait either, and its token starts without the in-use mark.
	ForCaller bool
	// Rejected: a caller rejected the current token, so it is not served in place of
	// a new one.
	Rejected bool
	// RetryDeadGrant: try the refresh token once more although the provider
	// reported invalid_grant (CR-28).
	RetryDeadGrant bool
	// After is the failure of the attempt before, as the caller read it; zero is
	// none.
	After tokenstore.Failure
	// Attempted is the use of the refresh token before, as this caller read it.
	Attempted tokenstore.RefreshAttempt
	// Probe: the provider did not answer, so that one caller at a time asks it.
	Probe bool
	// StoreDown: the table did not answer a moment ago.
	StoreDown bool
}

// SatisfiedBy reports whether t satisfies r.Want.
func (r Refresh) SatisfiedBy(t token.Token, now time.Time) bool {
	return r.Want.SatisfiedBy(t, r.Conn.Record, now)
}

// MayRetry reports whether a remembered invalid_grant, or a deferral until the
// token expires, may be ignored because a caller has just rejected the token.
func (r Refresh) MayRetry(item tokenstore.Item) bool {
	if !r.Conn.Delegated() {
		return false
	}
	deferred := item.Token.ID != "" && item.Failure.NextAttemptAt.UnixMilli() == item.Token.ExpiresAt.UnixMilli()
	return r.RetryDeadGrant && (deferred || item.Failure.Code == string(problem.AuthorizationRequired))
}

// backoff is the remembered failure that forbids asking the provider now, or nil.
func (r Refresh) backoff(item tokenstore.Item, now time.Time) error {
	if declaration.InBackoff(item, r.Conn.Connection, now) && !r.MayRetry(item) {
		return rules.Remembered(item.Failure, now)
	}
	return nil
}

// result ends the wait for another holder if its token satisfies r, or its failure
// applies to r too.
func (r Refresh) result(rec record.Record, now time.Time) (done bool, err error) {
	if r.SatisfiedBy(rec.Token, now) {
		return true, nil
	}
	err = r.backoff(rec.Item, now)
	return err != nil, err
}

// canServeStale reports whether rec's token may be served while its refresh has
// to wait: not to the caller that rejected it.
func (r Refresh) canServeStale(rec record.Record, now time.Time) bool {
	return rec.Token.Valid(now) && !r.Rejected
}
