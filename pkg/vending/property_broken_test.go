package vending_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// scriptsPerBug is how many scripts may pass before a broken guarantee is detected.
const scriptsPerBug = 12_000

// TestPropertyDetectsBrokenStores breaks one guarantee of the store at a time. The
// property test is useful only while it detects each of them, by the invariant
// that the guarantee serves.
func TestPropertyDetectsBrokenStores(t *testing.T) {
	tests := []struct {
		name, invariant string
		broken          func(*env) vending.Store
	}{
		{"CR-04 a lease taken without a condition", "INV-2", func(w *env) vending.Store { return unconditional{w.truth} }},
		{"FI-07 a commit not fenced by the version", "FI-07", func(w *env) vending.Store { return unfenced{w.truth} }},
		{"FI-03 an expired lease that is never taken over", "INV-7", func(w *env) vending.Store { return neverExpiring{w.truth} }},
		{"CR-04 a valid lease treated as expired", "INV-2", func(w *env) vending.Store { return expiredTooSoon{w.truth} }},
		{"CR-04 a release that ends another holder's lease", "INV-2", func(w *env) vending.Store { return releasesAll{w.truth} }},
		{"CR-04 a commit that ends another holder's lease", "INV-2", func(w *env) vending.Store { return commitEndsAll{w.truth} }},
		{"CR-08 no second read under the lease", "INV-2", func(w *env) vending.Store { return staleUnderLease{w.truth, w} }},
		{"CR-18 a failure that is not shared", "CR-18", func(w *env) vending.Store { return forgetsFailures{w.truth} }},
		{"FI-49 a drop that does not move the version", "FI-49", func(w *env) vending.Store { return dropKeepingVersion{w.truth} }},
		{"FI-29 a repeated acquisition that is not recognised", "FI-29", func(w *env) vending.Store { return ownLeaseNotRecognised{w.truth} }},
		{"CR-21 a declaration record that is not stored", "INV-2", func(w *env) vending.Store { return storesNoRecord{w.truth} }},
		{"CR-21 a declaration record that is written once", "INV-1", func(w *env) vending.Store { return storesFirstRecord{w.truth} }},
		{"CR-21 a declaration record written without a condition", "INV-2", func(w *env) vending.Store { return storesAnyRecord{w.truth} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range scriptsPerBug {
				found, trace := play(t, scripts().Example(seed), tt.broken)
				if found != "" {
					t.Logf("detected by script %d: %s\n%s", seed, found, strings.Join(trace, "\n"))
					return
				}
			}
			t.Errorf("%d scripts, and nothing violates %s", scriptsPerBug, tt.invariant)
		})
	}
}

// unconditional grants every acquisition.
type unconditional struct{ *memory.Store }

func (s unconditional) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	return takeOver(ctx, s.Store, a)
}

func takeOver(ctx context.Context, s *memory.Store, a tokenstore.Acquire) (tokenstore.Item, error) {
	item, err := s.Get(ctx, a.Key, true)
	if err == nil {
		err = s.Release(ctx, tokenstore.Release{Key: a.Key, Owner: item.Lease.Owner})
	}
	if err != nil {
		return item, err
	}
	return s.Acquire(ctx, a)
}

// unfenced commits over any version.
type unfenced struct{ *memory.Store }

func (s unfenced) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	item, err := s.Get(ctx, c.Key, true)
	if err != nil {
		return item, err
	}
	c.Version = item.Version
	return s.Store.Commit(ctx, c)
}

// neverExpiring never lets a lease expire.
type neverExpiring struct{ *memory.Store }

func (s neverExpiring) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	item, err := s.Get(ctx, a.Key, true)
	if err == nil && item.Lease.Owner != "" && item.Lease.Owner != a.Owner {
		err = tokenstore.ErrHeld
	}
	if err != nil {
		return item, err
	}
	return s.Store.Acquire(ctx, a)
}

// expiredTooSoon compares a lease's end with the wrong instant.
type expiredTooSoon struct{ *memory.Store }

func (s expiredTooSoon) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	item, err := s.Get(ctx, a.Key, true)
	if err != nil || item.Lease.Until.After(a.Now.Add(a.TTL/2)) {
		return item, tokenstore.ErrHeld
	}
	return takeOver(ctx, s.Store, a)
}

// releasesAll ends a lease without checking its owner.
type releasesAll struct{ *memory.Store }

func (s releasesAll) Release(ctx context.Context, r tokenstore.Release) error {
	item, err := s.Get(ctx, r.Key, true)
	if err != nil {
		return err
	}
	r.Owner = item.Lease.Owner
	return s.Store.Release(ctx, r)
}

// commitEndsAll does so with every commit, also a refused one.
type commitEndsAll struct{ *memory.Store }

func (s commitEndsAll) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	item, err := s.Store.Commit(ctx, c)
	if releaseErr := s.Release(ctx, tokenstore.Release{Key: c.Key, Owner: item.Lease.Owner}); releaseErr != nil {
		return item, releaseErr
	}
	return item, err
}

// staleUnderLease answers an acquisition with the item as it was a while ago.
type staleUnderLease struct {
	*memory.Store
	w *env
}

func (s staleUnderLease) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	old := s.w.past.oldest(a.Key)
	item, err := s.Store.Acquire(ctx, a)
	if err != nil {
		return item, err
	}
	old.Lease = item.Lease
	return old, nil
}

// forgetsFailures ends the lease and stores no failure.
type forgetsFailures struct{ *memory.Store }

func (s forgetsFailures) Fail(ctx context.Context, f tokenstore.Fail) error {
	return s.Release(ctx, tokenstore.Release{Key: f.Key, Owner: f.Owner})
}

// dropKeepingVersion forgets a token without moving the version.
type dropKeepingVersion struct{ *memory.Store }

func (s dropKeepingVersion) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	return s.Get(ctx, d.Key, true)
}

// ownLeaseNotRecognised treats a repeated acquisition as another holder's.
type ownLeaseNotRecognised struct{ *memory.Store }

func (s ownLeaseNotRecognised) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	item, err := s.Get(ctx, a.Key, true)
	if err == nil && item.Lease.Owner == a.Owner {
		err = tokenstore.ErrHeld
	}
	if err != nil {
		return item, err
	}
	return s.Store.Acquire(ctx, a)
}

// storesNoRecord claims to have written a declaration record.
type storesNoRecord struct{ *memory.Store }

func (s storesNoRecord) WriteDeclaration(_ context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	return d.Next(), nil
}

// storesFirstRecord never replaces a declaration record.
type storesFirstRecord struct{ *memory.Store }

func (s storesFirstRecord) WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	if d.Version > 0 {
		return d.Next(), nil
	}
	return s.Store.WriteDeclaration(ctx, d)
}

// storesAnyRecord replaces a declaration record that has moved.
type storesAnyRecord struct{ *memory.Store }

func (s storesAnyRecord) WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	current, err := s.ReadDeclarations(ctx, []string{d.Connection}, true)
	if err != nil {
		return d, err
	}
	d.Version = current[0].Version
	return s.Store.WriteDeclaration(ctx, d)
}
