// Package tokenstore defines the items in which tokens and grants are stored, and
// the requests that read and change them.
//
// An item has one access token, and for a connection that a user consented to,
// the grant with its refresh token. A process takes the item's lease before it
// refreshes the token, so that one process at a time does. A lease may expire
// while its owner still works. Therefore each write of a token is also fenced: it
// names the version of the item, or the refresh token, that it is based on, and
// fails with [ErrSuperseded] if that has changed.
//
// A store performs operations on single items only, and each write is
// conditional. It does not interpret tokens: secret values arrive sealed. There
// are two stores, memory and awsdynamodb. Both must pass the suite of package
// storetest, which specifies each operation.
package tokenstore

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Key identifies one item: a connection, the subject of a delegated connection,
// and the scope variant that a caller requested.
type Key struct {
	Connection string
	// Subject is empty for a client_credentials connection.
	Subject string
	// Variant is empty for the connection's own scope, otherwise a digest of the
	// requested scope.
	Variant string
}

// Item is the current state of one item. The zero Item, with Version 0, is a
// missing item.
type Item struct {
	Key Key
	// Version increases with Commit, StoreGrant, Reject and Drop. It does not
	// change with a lease, the in-use mark or a failure, nor when a commit stores
	// the grant alone.
	Version int64
	// SecretIncarnation is the hash of the ARN of the secret that the token was
	// requested with. A secret that was deleted and created again has another ARN.
	SecretIncarnation string
	Token             SealedToken
	Lease             Lease
	Failure           Failure
	// RejectedID is the id of the current token if a caller reported it as
	// rejected and it has not been replaced yet. ForcedRefreshes are the
	// latest forced refreshes, oldest first.
	RejectedID      string
	ForcedRefreshes []ForcedRefresh
	// Used reports that a caller was served the current token.
	Used bool
	// RenewSlot is the key in the sparse renewal index; an item with an empty slot
	// is not in the index.
	RenewSlot string
	// Variants lists the scope variants that exist in addition to the connection's
	// own item. Only the item with an empty Variant has this list.
	Variants []string
	// Grant is the result of a user's consent. An item with a grant never expires.
	Grant SealedGrant
	// RefreshAttempt is the latest use of the grant's refresh token whose outcome is
	// not recorded.
	RefreshAttempt RefreshAttempt
}

// SealedGrant is the stored form of a grant. The zero SealedGrant is no grant.
type SealedGrant struct {
	// Fingerprint identifies the refresh token: the first 16 hexadecimal digits of
	// its SHA-256.
	Fingerprint string
	// Sealed is the refresh token, sealed together with what a refresh needs.
	Sealed []byte
	// SecretIncarnation is the hash of the ARN of the secret at the time of consent.
	SecretIncarnation string
	// Client is the hash of provider, token URL, issuer and client id, by which the
	// release before this one recognizes the client. Another client cannot use the grant.
	Client string
	// Bound is the hash of the client id and the hosts that a refresh token is sent to;
	// empty for a grant that the release before this one stored last.
	Bound string
	// ConsentedBy is the user who consented, if the provider reports it.
	// ConsentedAt is the time of the consent and distinguishes it from the next.
	ConsentedBy string
	ConsentedAt time.Time
	// RefreshedAt is the time at which the refresh token was last used, or first
	// stored. It is zero for an access token without end; see IsAccessToken.
	RefreshedAt time.Time
	// ExpiresAt is the expiry of the refresh token; zero means unknown.
	ExpiresAt time.Time
}

// IsAccessToken reports whether the grant is an access token without end, whose
// consent returned no refresh token: Sealed has that access token then, and
// Fingerprint is its id. It is never refreshed.
func (g SealedGrant) IsAccessToken() bool { return g.Fingerprint != "" && g.RefreshedAt.IsZero() }

// RefreshAttempt marks a refresh token as being sent to the provider. The mark is
// written with the lease, before anything is sent. After a crash, the next holder
// knows from it that the refresh token may have been used. Only the attempt that
// wrote the mark removes it, or a new consent, or the end of the grant.
type RefreshAttempt struct {
	// Fingerprint is that of the marked refresh token. It is empty without an
	// attempt, and when the item had no grant to mark.
	Fingerprint string
	// Attempt is the owner of the lease that the mark was written with; StartedAt is
	// the time of the write.
	Attempt   string
	StartedAt time.Time
	// Before is the fingerprint that was already marked when the lease was taken. If
	// it equals the grant's fingerprint, the outcome of an earlier refresh is
	// unknown.
	Before string
}

// SealedToken is the stored form of an access token. The zero SealedToken is no token.
type SealedToken struct {
	// ID is the token id: the first 16 hexadecimal digits of the token's SHA-256.
	ID string
	// Sealed is everything that is needed to serve the token, sealed.
	Sealed []byte
	// MintedAt and ExpiresAt bound the token's lifetime, to the millisecond. A token
	// without end has NoEnd.
	MintedAt, ExpiresAt time.Time
	// MintID is that of the declaration record under which the token was issued; empty
	// where there was none. ConfigHash is the hash of the declaration.
	MintID, ConfigHash string
	// SecretVersion is the version of the secret that the token was requested with.
	SecretVersion string
	// Departures are the members of the provider's response that depart from RFC
	// 6749, ExtraNames the names of what callers get besides the token. Both are
	// sorted, and are for the status.
	Departures, ExtraNames []string
}

// NoEnd is the expiry of a token that has none.
var NoEnd = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// ForcedRefresh is a refresh that a caller forced by a rejection. Of a grant that is
// an access token it is a report that the token is refused, and forces nothing.
type ForcedRefresh struct {
	At time.Time
	// By identifies the caller's principal; empty where that is unknown.
	By string
}

// Lease is the exclusive right of one owner to refresh an item.
type Lease struct {
	// Owner is a random id, a new one for each acquisition; empty when the lease is
	// free.
	Owner string
	// Until is the instant at which the lease expires.
	Until time.Time
	// Seq counts acquisitions.
	Seq int64
}

// Failure is the record of failed refreshes that all processes share.
type Failure struct {
	// Count is the number of consecutive failures; zero means no failure.
	Count int
	// Code is the service's error code; Status and ProviderCode are the provider's
	// HTTP status and error code.
	Code         string
	Status       int
	ProviderCode string
	// Detail says what could not be used of the provider's response; empty when Code
	// says all.
	Detail string
	// FailedAt and NextAttemptAt bound the time in which the provider is not called.
	FailedAt, NextAttemptAt time.Time
	// Cause is the fingerprint of the secret version and configuration that failed.
	// When they change, the failure no longer applies.
	Cause string
}

// Acquire requests the lease of Key.
type Acquire struct {
	Key   Key
	Owner string
	// Now and TTL determine the end of the lease. A stored lease that ends later
	// than MaxLeaseEnd is corrupt and is taken over.
	Now time.Time
	TTL time.Duration
	// UsesRefreshToken writes the RefreshAttempt with the lease. The item need not
	// have a grant.
	UsesRefreshToken bool
}

// MaxLeaseEnd is the latest plausible end of another owner's lease (BI-74): a full
// TTL ahead, plus the possible difference between clocks. Two concurrent owners
// of a lease cost one extra token request, but two concurrent uses of a refresh
// token may cost the grant. So that no valid lease is taken over there, the
// requester's clock may be ten minutes behind (CR-10), or its request delayed by
// as much.
func (a Acquire) MaxLeaseEnd() time.Time {
	skew := time.Minute
	if a.UsesRefreshToken {
		skew = 10 * time.Minute
	}
	return a.Now.Add(a.TTL + skew)
}

// Commit stores a new token and ends the lease.
type Commit struct {
	Key Key
	// Owner is the owner of the lease. Version is the version read under the lease,
	// which fences the write.
	Owner             string
	Version           int64
	SecretIncarnation string
	Token             SealedToken
	// Used is the in-use mark of the new token; see Item.
	Used      bool
	RenewSlot string
	// Consumed, if not empty, is the fingerprint of the refresh token that was
	// exchanged for this commit's tokens, and Grant replaces the stored grant.
	// Consumed alone fences the grant: if the version has changed, only the access
	// token is discarded, and the returned item has another Token.ID than this
	// commit's and the current version. If Consumed is empty, the stored grant is
	// unchanged.
	Consumed string
	Grant    SealedGrant
	Now      time.Time
}

// StoreGrant stores the grant and the token of a new consent, replaces any stored
// grant, and ends the lease. The version fences it. Of a consent without a refresh
// token it stores the token alone.
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

// Fail records a failure and ends the lease.
type Fail struct {
	Key     Key
	Owner   string
	Failure Failure
	// RenewSlot replaces the item's slot with that of the next attempt.
	RenewSlot string
	// OutcomeUnknown keeps the RefreshAttempt, because the refresh token may have
	// been used. Otherwise the mark is removed if Owner wrote it.
	OutcomeUnknown bool
	// DeleteAfter lets the store delete a subject's item a day after that instant if
	// the item has no grant. Zero keeps the item.
	DeleteAfter time.Time
	Now         time.Time
}

// Release ends a lease and records no result.
type Release struct {
	Key   Key
	Owner string
	// OutcomeUnknown keeps the RefreshAttempt, because the outcome of an earlier
	// refresh is unknown. Otherwise the mark is removed if Owner wrote it.
	OutcomeUnknown bool
	// DeleteAfter is as in Fail.
	DeleteAfter time.Time
}

// Reject marks the current token as rejected, as reported by a caller.
type Reject struct {
	Key Key
	// Version and TokenID are those that the report refers to; both must be current.
	Version int64
	TokenID string
	// ForcedRefreshes replaces the list of the item, which must still be Read.
	Read, ForcedRefreshes []ForcedRefresh
}

// Drop removes the token, the failure and the rejection.
type Drop struct {
	Key Key
	// KeepFailure keeps the failure.
	KeepFailure bool
	// RenewSlot replaces the item's slot. A grant without a token has a slot too,
	// so that the renewer keeps the grant alive.
	RenewSlot string
	// Grant also removes the grant, even a corrupt one. Without it, a corrupt item
	// that contains a grant is ErrGrantCorrupt.
	Grant bool
	Now   time.Time
}

// Session is the record of one pending consent. The store does not interpret its
// text.
type Session struct {
	// ID is the hash of the session id.
	ID string
	// Version increases with each write; 0 is a missing session.
	Version int64
	Text    []byte
	// DeleteAfter is the instant after which the store may delete the session, to
	// the second.
	DeleteAfter time.Time
}

// Document is a small record of the service itself, such as the renewer's cursor.
// The store does not interpret its text.
type Document struct {
	Name string
	// Version increases with each write; 0 is a missing document.
	Version int64
	Text    []byte
}

// DeclarationRecord is the stored form of a connection's declaration record: what
// all processes share of the declaration. There is one for each connection, apart
// from the items of its tokens.
//
// A record with a Version and no Sealed is corrupt. It counts as missing, and a
// write at its Version replaces it.
type DeclarationRecord struct {
	Connection string
	// Version increases with each write; 0 is a missing record.
	Version int64
	// Sealed is the record, sealed. The store does not interpret it.
	Sealed []byte
	// DeleteAfter is the instant after which the store may delete the record, to the
	// second; zero for a record that stays. The store may return it after that.
	DeleteAfter time.Time
}

// Next returns the record as it is stored by a write of d.
func (d DeclarationRecord) Next() DeclarationRecord {
	d.Version++
	d.Sealed = slices.Clone(d.Sealed)
	if !d.DeleteAfter.IsZero() {
		d.DeleteAfter = time.Unix(d.DeleteAfter.Unix(), 0).UTC()
	}
	return d
}

// The kinds of errors of a store; test with errors.Is.
var (
	// ErrHeld: another owner has the lease. The item is returned with it.
	ErrHeld = errors.New("lease held by another owner")
	// ErrSuperseded: the item has changed since it was read; nothing was written.
	ErrSuperseded = errors.New("item superseded")
	// ErrCorrupt: the item is corrupt. It is returned with its key and nothing else.
	ErrCorrupt = errors.New("item corrupt")
	// ErrGrantCorrupt: the item is corrupt and contains a grant, perhaps the only
	// valid refresh token. Nothing overwrites it without an explicit request. It
	// is also ErrCorrupt.
	ErrGrantCorrupt = fmt.Errorf("%w: it holds a grant", ErrCorrupt)
	// ErrUnavailable: the store does not respond or throttles; a later attempt may
	// succeed.
	ErrUnavailable = errors.New("token store unavailable")
	// ErrThrottled: the store responds, and has too many requests. It is also
	// ErrUnavailable. A caller must not bypass the store then, because the rest
	// of the fleet uses it.
	ErrThrottled = fmt.Errorf("%w: throttled", ErrUnavailable)
)
