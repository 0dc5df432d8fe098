// Package tokenstore describes the records that tokens are kept in.
//
// A store does single-item operations only, each write conditional, and knows
// nothing of tokens: what is secret arrives sealed. Two stores exist, memory
// and awsdynamodb; storetest is the suite both must pass, and the place to
// read what an operation promises.
package tokenstore

import (
	"errors"
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
	// Version moves on commit, reject, drop and delete; never on lease, mark or failure.
	Version int64
	// Generation is the hash of the secret's ARN that the token was minted under.
	Generation string
	Token      Token
	Lease      Lease
	Failure    Failure
	// RejectedID is the id of the current token when a caller reported it dead
	// and it has not been replaced yet; Forced are the instants of the latest
	// forced refreshes, oldest first.
	RejectedID string
	Forced     []time.Time
	// MustLoad is the secret version that the next minter must use, set by a drop.
	MustLoad string
	// Used says that a caller was served the current token.
	Used bool
	// RenewSlot is the key of the sparse renewal index; empty keeps the item out of it.
	RenewSlot string
	// Variants are the scope variants that exist beside the connection's own
	// item; only the item with an empty Variant carries them.
	Variants []string
}

// Token is the stored part of an access token. The zero Token is none.
type Token struct {
	// ID is the token id: the first 16 hex digits of the token's SHA-256.
	ID string
	// Sealed is everything needed to serve it, sealed.
	Sealed []byte
	// MintedAt and ExpiresAt bound its life, to the millisecond.
	MintedAt, ExpiresAt time.Time
	// Declaration is the hash of the declaration that minted it.
	Declaration string
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
	// Now and TTL set the lease's end. A lease that ends later than Now plus
	// TTL plus a minute is corrupt and is taken over.
	Now time.Time
	TTL time.Duration
}

// Commit stores a new token and ends the lease.
type Commit struct {
	Key Key
	// Owner is the lease held; Version the one read under it, which fences the write.
	Owner      string
	Version    int64
	Generation string
	Token      Token
	// Used is the in-use mark of the new token.
	Used      bool
	RenewSlot string
	Now       time.Time
}

// Fail remembers a failure and ends the lease.
type Fail struct {
	Key     Key
	Owner   string
	Failure Failure
	// RenewSlot replaces the item's slot: the minute of the next attempt.
	RenewSlot string
	Now       time.Time
}

// Reject marks the current token as reported dead by a caller.
type Reject struct {
	Key Key
	// Version and TokenID are what the reporter saw; both must still stand.
	Version int64
	TokenID string
	// Forced replaces the item's instants of forced refreshes.
	Forced []time.Time
}

// Drop forgets the token.
type Drop struct {
	Key Key
	// MustLoad, when set, is the secret version that the next minter must use.
	MustLoad string
	// KeepFailure leaves what is remembered of a failure.
	KeepFailure bool
	Now         time.Time
}

// Note is a small record of the renewer itself.
type Note struct {
	Name string
	// Version moves with each write; 0 is a note that does not exist.
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
	// ErrUnavailable: the store does not answer or throttles; a later try may succeed.
	ErrUnavailable = errors.New("token store unavailable")
)
