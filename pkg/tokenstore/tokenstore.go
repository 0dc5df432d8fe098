// Package tokenstore describes the records that tokens are kept in.
//
// A store does single-item operations only, each write conditional, and knows
// nothing of tokens: what is secret arrives sealed. Two stores exist, memory
// and awsdynamodb; storetest is the suite both must pass, and the place to
// read what an operation promises.
package tokenstore

import (
	"errors"
	"fmt"
	"time"
)

// Key names one item: a connection, the subject of a delegated one, and the
// scope variant a caller chose.
type Key struct {
	Connection string
	// Subject is empty for a client_credentials connection.
	Subject string
	// Variant is empty for the connection's own scope, else a digest of the scope asked for.
	Variant string
}

// Item is one record as it stands. The zero Item, with Version 0, is one that
// does not exist.
type Item struct {
	Key Key
	// Version moves on commit, adopt, reject, drop and delete; never on lease, mark
	// or failure, nor when a commit stores the grant alone.
	Version int64
	// SecretIncarnation is the hash of the secret's ARN that the token was minted under.
	SecretIncarnation string
	Token             SealedToken
	Lease             Lease
	Failure           Failure
	// RejectedID is the id of the current token when a caller reported it dead
	// and it has not been replaced yet; ForcedRefreshes are the instants of the latest
	// forced refreshes, oldest first.
	RejectedID      string
	ForcedRefreshes []time.Time
	// RequiredSecretVersion is the secret version that the next minter must use, set by a drop.
	RequiredSecretVersion string
	// Used says that a caller was served the current token.
	Used bool
	// RenewSlot is the key of the sparse renewal index; empty keeps the item out of it.
	RenewSlot string
	// Variants are the scope variants that exist beside the connection's own
	// item; only the item with an empty Variant carries them.
	Variants []string
	// Grant is what a user's consent left behind; an item that holds one is never swept.
	Grant SealedGrant
	// RefreshAttempt is the spending of the grant's refresh token that is, or was, under way.
	RefreshAttempt RefreshAttempt
}

// SealedGrant is the stored part of a grant. The zero SealedGrant is none.
type SealedGrant struct {
	// Fingerprint names the refresh token: the first 16 hex digits of its SHA-256.
	Fingerprint string
	// Sealed is the refresh token and what a refresh needs to know with it, sealed.
	Sealed []byte
	// SecretIncarnation is the hash of the secret's ARN that it was consented under.
	SecretIncarnation string
	// Client is the hash of provider, token URL, issuer and client id: a grant is
	// of no use to another.
	Client string
	// ConsentedBy is who consented, where the provider says so; ConsentedAt is
	// when, and tells one consent from the next.
	ConsentedBy string
	ConsentedAt time.Time
	// RefreshedAt is when the refresh token was last used, or first stored.
	RefreshedAt time.Time
	// ExpiresAt is the refresh token's end; zero is unknown.
	ExpiresAt time.Time
}

// RefreshAttempt marks a refresh token as being presented to the provider. The mark
// is written with the lease, before anything is sent, so that whoever comes
// after a holder that died knows that the token may be spent. Only the attempt
// that set it takes it away; a new consent and the end of a grant do so too.
type RefreshAttempt struct {
	// Fingerprint is the refresh token's; empty when none is under way, also
	// when the item held no grant to mark.
	Fingerprint string
	// Attempt is the owner of the lease it was marked under, StartedAt when.
	Attempt   string
	StartedAt time.Time
	// Before is the fingerprint that was marked already when the lease was taken:
	// when it is still the grant's, an earlier attempt never told how it ended.
	Before string
}

// SealedToken is the stored part of an access token. The zero SealedToken is none.
type SealedToken struct {
	// ID is the token id: the first 16 hex digits of the token's SHA-256.
	ID string
	// Sealed is everything needed to serve it, sealed.
	Sealed []byte
	// MintedAt and ExpiresAt bound its life, to the millisecond.
	MintedAt, ExpiresAt time.Time
	// ConfigHash is the hash of the declaration that minted it.
	ConfigHash string
	// SecretVersion is the version of the secret that minted it.
	SecretVersion string
}

// Lease is the right of one holder to refresh an item.
type Lease struct {
	// Owner is a random id, new for each acquisition; empty when nobody holds it.
	Owner string
	// Until is the instant it ends by itself.
	Until time.Time
	// Seq counts acquisitions.
	Seq int64
}

// Failure is what the fleet remembers of failed refreshes.
type Failure struct {
	// Count is how many failed in a row; zero means none.
	Count int
	// Code is the service's error code, Status and ProviderCode what the provider said.
	Code         string
	Status       int
	ProviderCode string
	// FailedAt and NextAttemptAt: no call to the provider in between.
	FailedAt, NextAttemptAt time.Time
	// Cause is the fingerprint of secret version and configuration that failed;
	// when they change, the failure is forgotten.
	Cause string
}

// Acquire asks for the lease of Key.
type Acquire struct {
	Key   Key
	Owner string
	// Now and TTL set the lease's end. A lease that ends later than Believable is
	// corrupt and is taken over.
	Now time.Time
	TTL time.Duration
	// UsesRefreshToken marks the grant's refresh token as in flight, in the same write. The
	// item need not hold one.
	UsesRefreshToken bool
}

// Believable is the latest end of another's lease that is not absurd (BI-74): a
// whole lease ahead, and what clocks may differ by. Two holders of a lease cost
// a token request; two who spend a refresh token may cost the grant, so there
// the asker's clock may lag far behind (CR-10), or its request have been held up,
// before a living lease is taken over.
func (a Acquire) Believable() time.Time {
	apart := time.Minute
	if a.UsesRefreshToken {
		apart = 10 * time.Minute
	}
	return a.Now.Add(a.TTL + apart)
}

// Commit stores a new token and ends the lease.
type Commit struct {
	Key Key
	// Owner is the lease held; Version the one read under it, which fences the write.
	Owner             string
	Version           int64
	SecretIncarnation string
	Token             SealedToken
	// Used is the in-use mark of the new token.
	Used      bool
	RenewSlot string
	// Consumed, when set, is the fingerprint of the refresh token that this
	// commit's tokens came for; Grant is then what replaces it. It fences the
	// grant by itself: a version that has moved costs the access token only, and
	// the item then comes back with another Token.ID than this commit's and the
	// version that stands. Without it a grant stays as it is.
	Consumed string
	Grant    SealedGrant
	Now      time.Time
}

// StoreGrant stores the grant and the token of a new consent, over whatever grant
// was there, and ends the lease. The version fences it.
type StoreGrant struct {
	Key               Key
	Owner             string
	Version           int64
	SecretIncarnation string
	Token             SealedToken
	Grant             SealedGrant
	RenewSlot         string
	Now               time.Time
}

// Fail remembers a failure and ends the lease.
type Fail struct {
	Key     Key
	Owner   string
	Failure Failure
	// RenewSlot replaces the item's slot: the minute of the next attempt.
	RenewSlot string
	// Unsettled leaves the in-flight mark: the refresh token may have been spent.
	// Otherwise the mark goes, if Owner set it.
	Unsettled bool
	Now       time.Time
}

// Release ends a lease without a result.
type Release struct {
	Key   Key
	Owner string
	// Unsettled leaves the in-flight mark: an earlier holder never told what
	// became of the refresh token. Otherwise the mark goes, if Owner set it.
	Unsettled bool
}

// Reject marks the current token as reported dead by a caller.
type Reject struct {
	Key Key
	// Version and TokenID are what the reporter saw; both must still stand.
	Version int64
	TokenID string
	// ForcedRefreshes replaces the item's instants of forced refreshes.
	ForcedRefreshes []time.Time
}

// Drop forgets the token.
type Drop struct {
	Key Key
	// RequiredSecretVersion, when set, is the secret version that the next minter must use.
	RequiredSecretVersion string
	// KeepFailure leaves what is remembered of a failure.
	KeepFailure bool
	// RenewSlot replaces the item's slot: a grant is kept alive without a token.
	RenewSlot string
	// Grant forgets the grant too, also one that cannot be read. Without it an
	// unreadable item that holds a grant is ErrGrantCorrupt.
	Grant bool
	Now   time.Time
}

// Session is one record of a consent under way. The store knows nothing of its
// text.
type Session struct {
	// ID is the hash of the session's id.
	ID string
	// Version moves with each write; 0 is a session that does not exist.
	Version int64
	Text    []byte
	// SweepAt is when the store may forget it, to the second.
	SweepAt time.Time
}

// Document is a small record of the renewer itself.
type Document struct {
	Name string
	// Version moves with each write; 0 is a document that does not exist.
	Version int64
	Text    []byte
}

// The kinds of failure of a store; test with errors.Is.
var (
	// ErrHeld: another holder has the lease. The item comes with it.
	ErrHeld = errors.New("lease held by another")
	// ErrSuperseded: the item has moved on since it was read; nothing was written.
	ErrSuperseded = errors.New("item superseded")
	// ErrCorrupt: the item cannot be understood. It comes back with its key and nothing else.
	ErrCorrupt = errors.New("item corrupt")
	// ErrGrantCorrupt: the same of an item that holds a grant, perhaps the only
	// living refresh token: nothing may overwrite it unasked. It is ErrCorrupt too.
	ErrGrantCorrupt = fmt.Errorf("%w: it holds a grant", ErrCorrupt)
	// ErrUnavailable: the store does not answer or throttles; a later try may succeed.
	ErrUnavailable = errors.New("token store unavailable")
)
