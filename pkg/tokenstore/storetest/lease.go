package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// leaseCase is a second acquisition of an item.
type leaseCase struct {
	name string
	// The first owner takes a lease of firstTTL at start; then ask acquires.
	firstTTL time.Duration
	release  bool
	ask      string
	after    time.Duration
	held     bool
}

func lease(t *testing.T, f *fixture) {
	for _, tc := range []leaseCase{
		{"CR-04 held until its end", leaseTTL, false, "second", leaseTTL, true},
		{"CR-04 expired a millisecond later", leaseTTL, false, "second", leaseTTL + time.Millisecond, false},
		{"CR-04 released", leaseTTL, true, "second", 0, false},
		{"CR-36 repeated by its owner", leaseTTL, false, "first", time.Second, false},
		{"CR-36 repeated by its owner after its end", leaseTTL, false, "first", time.Hour, false},
		{"BI-74 an end one minute after a full lease is plausible", leaseTTL + time.Minute, false, "second", 0, true},
		{"BI-74 a later end is corrupt, and the lease is taken over", leaseTTL + time.Minute + time.Millisecond, false, "second", 0, false},
		{"BI-74 a lease of 200 years is taken over", 200 * 365 * 24 * time.Hour, false, "second", 0, false},
	} {
		f.run(t, tc.name, tc.test)
	}
	for ahead, held := range map[time.Duration]bool{10 * time.Minute: true, 10*time.Minute + time.Millisecond: false} {
		t.Run(fmt.Sprint("CR-10 to use a refresh token, an end ten minutes ahead is plausible: ", ahead), func(t *testing.T) {
			leaseFromAheadClock(t, f, ahead, held)
		})
	}
	f.run(t, "CR-08 the item comes with the lease", leaseReturnsItem)
	f.run(t, "CR-08 the item comes with ErrHeld", heldReturnsItem)
}

func (tc leaseCase) test(t *testing.T, f *fixture) {
	k := key(t)
	first := acquire(k, "first", start)
	first.TTL = tc.firstTTL
	if _, err := f.Acquire(t.Context(), first); err != nil {
		t.Fatalf("first Acquire: %v", err)
	}
	if tc.release {
		if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: "first"}); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
	item, err := f.Acquire(t.Context(), acquire(k, tc.ask, start.Add(tc.after)))
	want := tokenstore.Lease{Owner: tc.ask, Until: stored(start.Add(tc.after + leaseTTL)), Seq: 2}
	if tc.held {
		want = tokenstore.Lease{Owner: "first", Until: stored(start.Add(tc.firstTTL)), Seq: 1}
	}
	if errors.Is(err, tokenstore.ErrHeld) != tc.held || (err != nil && !tc.held) {
		t.Fatalf("second Acquire: %v, want held %v", err, tc.held)
	}
	diff(t, "lease returned", want, item.Lease)
	diff(t, "lease stored", want, get(t, f, k).Lease)
}

func leaseFromAheadClock(t *testing.T, f *fixture, ahead time.Duration, held bool) {
	k := key(t)
	first := acquire(k, "first", start.Add(ahead))
	if _, err := f.Acquire(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := acquire(k, "second", start)
	second.UsesRefreshToken = true
	if _, err := f.Acquire(t.Context(), second); errors.Is(err, tokenstore.ErrHeld) != held {
		t.Errorf("%v", err)
	}
}

func leaseReturnsItem(t *testing.T, f *fixture) {
	k := key(t)
	minted := mustMint(t, f, k, "token_1")
	item := mustAcquire(t, f, k, "next", start)
	minted.Lease = tokenstore.Lease{Owner: "next", Until: stored(start.Add(leaseTTL)), Seq: 2}
	diff(t, "item under the lease", minted, item)
}

func heldReturnsItem(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	want := mustAcquire(t, f, k, "holder", start)
	item, err := f.Acquire(t.Context(), acquire(k, "loser", start))
	if !errors.Is(err, tokenstore.ErrHeld) {
		t.Fatalf("Acquire: %v, want ErrHeld", err)
	}
	diff(t, "item", want, item)
}

// race runs n calls concurrently and returns their errors.
func race(n int, run func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-begin
			errs[i] = run(i)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	return errs
}

func leaseRaces(t *testing.T, f *fixture) {
	for _, tc := range []struct {
		name string
		now  time.Time
	}{
		{"FI-01 CR-04 a free lease has one winner among 100", start},
		{"CR-04 an expired lease has one winner among 100", start.Add(time.Hour)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := key(t)
			if tc.now.After(start) {
				mustAcquire(t, f, k, "crashed", start)
			}
			errs := race(100, func(i int) error {
				_, err := f.Acquire(t.Context(), acquire(k, fmt.Sprint("owner-", i), tc.now))
				return err
			})
			winners := 0
			for i, err := range errs {
				switch {
				case err == nil:
					winners++
					diff(t, "owner", fmt.Sprint("owner-", i), get(t, f, k).Lease.Owner)
				case !errors.Is(err, tokenstore.ErrHeld):
					t.Errorf("loser: %v, want ErrHeld", err)
				}
			}
			if winners != 1 {
				t.Errorf("%d winners, want 1", winners)
			}
		})
	}
}

func fail(t *testing.T, f *fixture) {
	f.run(t, "CR-18 recorded with the token, lease ended, version unchanged", failRecorded)
	f.run(t, "CR-18 after a lost lease it changes nothing", failAfterLostLease)
	f.run(t, "CR-36 repeated, it changes nothing more", failRepeated)
	f.run(t, "CR-18 a later failure replaces every field of the earlier one", failReplaced)
	f.run(t, "CR-19 a zero failure removes the recorded failure", failRemoved)
}

func failRecorded(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	want := mustAcquire(t, f, k, "holder", start)
	if err := f.Fail(t.Context(), failed(k, "holder", 3)); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	want.Lease = tokenstore.Lease{Seq: want.Lease.Seq}
	want.RenewSlot = "at/202601012204/3"
	want.Failure = failure(3)
	want.Failure.FailedAt, want.Failure.NextAttemptAt = stored(start), stored(start.Add(2*time.Second))
	diff(t, "item", want, get(t, f, k))
}

func failAfterLostLease(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "slow", start)
	want := mustAcquire(t, f, k, "next", start.Add(time.Hour))
	if err := f.Fail(t.Context(), failed(k, "slow", 1)); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	diff(t, "item", want, get(t, f, k))
}

func failRepeated(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "holder", start)
	for range 2 {
		if err := f.Fail(t.Context(), failed(k, "holder", 1)); err != nil {
			t.Fatalf("Fail: %v", err)
		}
	}
	if item := get(t, f, k); item.Failure.Count != 1 || item.Lease.Owner != "" || item.Version != 0 {
		t.Errorf("item %+v, want one failure and no lease", item)
	}
}

func failReplaced(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "first", start)
	if err := f.Fail(t.Context(), failed(k, "first", 1)); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	mustAcquire(t, f, k, "second", start)
	bare := tokenstore.Failure{Count: 2, FailedAt: stored(start), NextAttemptAt: stored(start.Add(time.Hour))}
	if err := f.Fail(t.Context(), tokenstore.Fail{Key: k, Owner: "second", Failure: bare, Now: start}); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	diff(t, "item", tokenstore.Item{Key: k, Lease: tokenstore.Lease{Seq: 2}, Failure: bare}, get(t, f, k))
}

func failRemoved(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "first", start)
	if err := f.Fail(t.Context(), failed(k, "first", 1)); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	mustAcquire(t, f, k, "second", start)
	if err := f.Fail(t.Context(), tokenstore.Fail{Key: k, Owner: "second", Now: start}); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	diff(t, "item", tokenstore.Item{Key: k, Lease: tokenstore.Lease{Seq: 2}}, get(t, f, k))
}

func failed(k tokenstore.Key, owner string, count int) tokenstore.Fail {
	return tokenstore.Fail{Key: k, Owner: owner, Failure: failure(count), RenewSlot: "at/202601012204/3", Now: start}
}

func release(t *testing.T, f *fixture) {
	t.Run("CR-04 ends the owner's lease and nothing else", func(t *testing.T) {
		k := key(t)
		mustMint(t, f, k, "token_1")
		want := mustAcquire(t, f, k, "holder", start)
		want.Lease = tokenstore.Lease{Seq: want.Lease.Seq}
		for range 2 {
			if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: "holder"}); err != nil {
				t.Fatalf("Release: %v", err)
			}
			diff(t, "item", want, get(t, f, k))
		}
	})
	t.Run("CR-04 never ends another owner's lease", func(t *testing.T) {
		k := key(t)
		mustAcquire(t, f, k, "slow", start)
		want := mustAcquire(t, f, k, "next", start.Add(time.Hour))
		if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: "slow"}); err != nil {
			t.Fatalf("Release: %v", err)
		}
		diff(t, "item", want, get(t, f, k))
	})
	t.Run("CR-04 a missing item stays missing", func(t *testing.T) {
		k := key(t)
		if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: "unknown"}); err != nil {
			t.Fatalf("Release: %v", err)
		}
		diff(t, "item", tokenstore.Item{Key: k}, get(t, f, k))
	})
}

func endedContext(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	want := get(t, f, k)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Get":     func() error { _, err := f.Get(ctx, k, false); return err },
		"Acquire": func() error { _, err := f.Acquire(ctx, acquire(k, "late", start)); return err },
		"Commit":  func() error { _, err := f.Commit(ctx, committed(k, "late", 1, "token_2")); return err },
		"Fail":    func() error { return f.Fail(ctx, failed(k, "late", 1)) },
		"Release": func() error { return f.Release(ctx, tokenstore.Release{Key: k, Owner: "late"}) },
		"Reject": func() error {
			_, err := f.Reject(ctx, tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1"})
			return err
		},
		"Drop":       func() error { _, err := f.Drop(ctx, tokenstore.Drop{Key: k, Now: start}); return err },
		"MarkUsed":   func() error { return f.MarkUsed(ctx, k, 1) },
		"AddVariant": func() error { return f.AddVariant(ctx, k, "late") },
	} {
		t.Run(name, func(t *testing.T) {
			if err := call(); !errors.Is(err, tokenstore.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want ErrUnavailable because the context was canceled", err)
			}
		})
	}
	diff(t, "item", want, get(t, f, k))
}
