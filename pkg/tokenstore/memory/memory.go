// Package memory is a token store in the memory of one process, for local
// development and for tests.
//
// It passes the whole suite of package storetest, including its races, so that
// code which works on it also works on the table. It is not a cache: it evicts
// nothing, and its contents end with the process.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Store is a token store. It is safe for concurrent use. What it returns shares
// no memory with it.
type Store struct {
	throttled atomic.Bool

	mu        sync.Mutex
	items     map[tokenstore.Key]tokenstore.Item
	slots     slots
	documents map[string]tokenstore.Document
	// sessions are by id; they are never deleted.
	sessions map[string]tokenstore.Session
	// declarations are by connection, and declared lists the connections by shard;
	// they are never deleted.
	declarations map[string]tokenstore.DeclarationRecord
	declared     slots
}

// New returns an empty store.
func New() *Store {
	return &Store{
		items:     make(map[tokenstore.Key]tokenstore.Item),
		slots:     make(slots),
		documents: make(map[string]tokenstore.Document),
		sessions:  make(map[string]tokenstore.Session),

		declarations: make(map[string]tokenstore.DeclarationRecord),
		declared:     make(slots),
	}
}

// Throttle makes every operation fail with tokenstore.ErrThrottled, as a table does
// that has too many requests, until it is called with false. It is for tests.
func (s *Store) Throttle(on bool) { s.throttled.Store(on) }

// Get reads one item. Every read is consistent. The only error is
// tokenstore.ErrUnavailable, when ctx has ended or after Throttle.
func (s *Store) Get(ctx context.Context, key tokenstore.Key, _ bool) (tokenstore.Item, error) {
	if err := s.check(ctx, "get"); err != nil {
		return tokenstore.Item{Key: key}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(key), nil
}

// Acquire takes the lease if it is free, has expired, ends implausibly late, or
// a.Owner already has it. A repeated Acquire that uses the refresh token changes
// nothing. tokenstore.ErrHeld comes with the item.
func (s *Store) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	if err := s.check(ctx, "acquire"); err != nil {
		return tokenstore.Item{Key: a.Key}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	item := s.read(a.Key)
	switch {
	case !leaseFree(item.Lease, a) && item.Lease.Owner != a.Owner:
		return item, tokenstore.ErrHeld
	case !leaseFree(item.Lease, a) && a.UsesRefreshToken && item.RefreshAttempt.Attempt == a.Owner:
		return item, nil
	}
	item.Lease = tokenstore.Lease{Owner: a.Owner, Until: instant(a.Now.Add(a.TTL)), Seq: item.Lease.Seq + 1}
	if a.UsesRefreshToken {
		item.RefreshAttempt = newAttempt(item, a)
	}
	return s.write(item), nil
}

// Commit stores a token, fenced by the version, and a grant, fenced by the
// consumed refresh token. It ends the lease if c.Owner has it. A repeated commit
// succeeds and changes nothing.
func (s *Store) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	if err := s.check(ctx, "commit"); err != nil {
		return tokenstore.Item{Key: c.Key}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	item := s.read(c.Key)
	switch {
	case c.AlreadyApplied(item):
		return item, nil
	case c.Consumed != "" && item.Grant.Fingerprint != c.Consumed, c.Consumed == "" && item.Version != c.Version:
		return item, tokenstore.ErrSuperseded
	}
	if c.Consumed != "" {
		item.Grant = c.Grant
	}
	if item.Version == c.Version {
		item.Version++
		item.SecretIncarnation, item.Token = c.SecretIncarnation, c.Token
		item.Used, item.RenewSlot = c.Used, c.RenewSlot
		item.Failure, item.RejectedID = tokenstore.Failure{}, ""
	}
	item.RefreshAttempt = cleared(item.RefreshAttempt, c.Owner)
	item.Lease = released(item.Lease, c.Owner)
	return s.write(item), nil
}

// Fail records a failure and ends the lease; it changes nothing if another owner
// has the lease.
func (s *Store) Fail(ctx context.Context, f tokenstore.Fail) error {
	return s.underLease(ctx, "fail", f.Key, f.Owner, func(item *tokenstore.Item) {
		item.Failure, item.RenewSlot = f.Failure, f.RenewSlot
		if !f.OutcomeUnknown {
			item.RefreshAttempt = cleared(item.RefreshAttempt, f.Owner)
		}
	})
}

// Release ends the lease if r.Owner has it.
func (s *Store) Release(ctx context.Context, r tokenstore.Release) error {
	return s.underLease(ctx, "release", r.Key, r.Owner, func(item *tokenstore.Item) {
		if !r.OutcomeUnknown {
			item.RefreshAttempt = cleared(item.RefreshAttempt, r.Owner)
		}
	})
}

// Reject marks the current token as rejected and increments the version.
// Repeating the same report succeeds.
func (s *Store) Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error) {
	if err := s.check(ctx, "reject"); err != nil {
		return tokenstore.Item{Key: r.Key}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	item, forced := s.read(r.Key), forcedRefreshes(r.ForcedRefreshes)
	switch {
	case item.Token.ID != r.TokenID:
		return item, tokenstore.ErrSuperseded
	case item.Version == r.Version+1 && item.RejectedID == r.TokenID && slices.Equal(item.ForcedRefreshes, forced):
		return item, nil
	case item.Version != r.Version, !slices.EqualFunc(item.ForcedRefreshes, r.Read, tokenstore.ForcedRefresh.Same):
		return item, tokenstore.ErrSuperseded
	}
	item.Version++
	item.RejectedID, item.ForcedRefreshes = r.TokenID, forced
	return s.write(item), nil
}

// Drop removes token, failure and rejection, and with d.Grant the grant, and
// returns the item as it was before. A missing item is created, so that a
// pending commit to it is fenced.
func (s *Store) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	if err := s.check(ctx, "drop"); err != nil {
		return tokenstore.Item{Key: d.Key}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.read(d.Key)
	after := tokenstore.Item{
		Key: d.Key, Version: before.Version + 1, Lease: before.Lease,
		ForcedRefreshes: before.ForcedRefreshes, Variants: before.Variants,
		RenewSlot: d.RenewSlot,
	}
	if !d.Grant {
		after.Grant, after.RefreshAttempt = before.Grant, before.RefreshAttempt
	}
	if d.KeepFailure {
		after.Failure = before.Failure
	}
	s.write(after)
	return before, nil
}

// MarkUsed records that the token of that version was served.
func (s *Store) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error {
	if err := s.check(ctx, "mark used"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if item := s.read(key); version > 0 && item.Version == version {
		item.Used = true
		s.write(item)
	}
	return nil
}

// SetForcedRefreshes replaces the record of forced refreshes if it is still was.
// Repeating it succeeds.
func (s *Store) SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []tokenstore.ForcedRefresh) error {
	if err := s.check(ctx, "set forced"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	item := s.read(key)
	switch {
	case tokenstore.AlreadyForced(item.ForcedRefreshes, was, forced):
		return nil
	case !slices.EqualFunc(item.ForcedRefreshes, was, tokenstore.ForcedRefresh.Same):
		return fmt.Errorf("set forced: %w", tokenstore.ErrSuperseded)
	}
	item.ForcedRefreshes = forcedRefreshes(forced)
	s.write(item)
	return nil
}

// RemoveVariant removes a variant from the list of the connection's own item.
func (s *Store) RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	if err := s.check(ctx, "remove variant"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key.Variant = ""
	item := s.read(key)
	if at, found := slices.BinarySearch(item.Variants, variant); found {
		item.Variants = slices.Delete(item.Variants, at, at+1)
		s.write(item)
	}
	return nil
}

// AddVariant adds a variant to the list of the connection's own item.
func (s *Store) AddVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	if err := s.check(ctx, "add variant"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key.Variant = ""
	item := s.read(key)
	if at, found := slices.BinarySearch(item.Variants, variant); !found {
		item.Variants = slices.Insert(item.Variants, at, variant)
		s.write(item)
	}
	return nil
}

// underLease changes the item if owner has its lease, and ends the lease.
func (s *Store) underLease(ctx context.Context, verb string, key tokenstore.Key, owner string, change func(*tokenstore.Item)) error {
	if err := s.check(ctx, verb); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	item := s.read(key)
	if owner == "" || item.Lease.Owner != owner {
		return nil
	}
	change(&item)
	item.Lease = released(item.Lease, owner)
	s.write(item)
	return nil
}

// read returns a copy of the item; a missing item has Version 0. The caller holds
// mu.
func (s *Store) read(key tokenstore.Key) tokenstore.Item {
	item := clone(s.items[key])
	item.Key = key
	return item
}

// write stores a normalized copy of item and returns another copy. The caller
// holds mu.
func (s *Store) write(item tokenstore.Item) tokenstore.Item {
	s.slots.move(item.Key, s.items[item.Key].RenewSlot, item.RenewSlot)
	s.items[item.Key] = normalized(clone(item))
	return s.read(item.Key)
}

// leaseFree reports whether a may take a lease from any owner.
func leaseFree(l tokenstore.Lease, a tokenstore.Acquire) bool {
	return l.Owner == "" ||
		l.Until.Before(instant(a.Now)) || l.Until.After(instant(a.MaxLeaseEnd()))
}

// released ends the lease if owner has it. The count of acquisitions is kept.
func released(l tokenstore.Lease, owner string) tokenstore.Lease {
	if l.Owner != owner {
		return l
	}
	return tokenstore.Lease{Seq: l.Seq}
}

func clone(item tokenstore.Item) tokenstore.Item {
	item.Token.Sealed = slices.Clone(item.Token.Sealed)
	item.Token.Departures = slices.Clone(item.Token.Departures)
	item.Token.ExtraNames = slices.Clone(item.Token.ExtraNames)
	item.Grant.Sealed = slices.Clone(item.Grant.Sealed)
	item.ForcedRefreshes = slices.Clone(item.ForcedRefreshes)
	item.Variants = slices.Clone(item.Variants)
	return item
}

// normalized returns an item as a table would store it: with instants in
// milliseconds and UTC, and without fields of a failure that did not occur.
func normalized(item tokenstore.Item) tokenstore.Item {
	for _, at := range []*time.Time{
		&item.Token.MintedAt, &item.Token.ExpiresAt, &item.Lease.Until,
		&item.Failure.FailedAt, &item.Failure.NextAttemptAt, &item.RefreshAttempt.StartedAt,
		&item.Grant.ConsentedAt, &item.Grant.RefreshedAt, &item.Grant.ExpiresAt,
	} {
		*at = instant(*at)
	}
	if item.Failure.Count == 0 {
		item.Failure = tokenstore.Failure{}
	}
	item.ForcedRefreshes = forcedRefreshes(item.ForcedRefreshes)
	return item
}

func instant(at time.Time) time.Time {
	if at.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(at.UnixMilli()).UTC()
}

func forcedRefreshes(in []tokenstore.ForcedRefresh) []tokenstore.ForcedRefresh {
	if len(in) == 0 {
		return nil
	}
	out := slices.Clone(in)
	for i := range out {
		out[i].At = instant(out[i].At)
	}
	return out
}

// check fails where a table would not be reached.
func (s *Store) check(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w: %w", verb, tokenstore.ErrUnavailable, err)
	}
	if s.throttled.Load() {
		return fmt.Errorf("%s: %w", verb, tokenstore.ErrThrottled)
	}
	return nil
}
