package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// operation is one call with its arguments.
type operation struct {
	name string
	// moves reports that success increments the version.
	moves bool
	call  func(ctx context.Context, s Store) (tokenstore.Item, error)
}

// steps is the number of operations in one random history.
const steps = 15

// randomOperation draws an operation on k, whose item is current. Most of them can
// succeed.
func randomOperation(rt *rapid.T, k tokenstore.Key, current tokenstore.Item, now time.Time) operation {
	owner := rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "owner")
	id := rapid.SampledFrom([]string{"token_1", "token_2"}).Draw(rt, "token")
	version := max(0, current.Version+rapid.SampledFrom([]int64{0, 0, 0, -1, 1}).Draw(rt, "offset"))
	unknown := rapid.Bool().Draw(rt, "outcome unknown")
	ops := append(grantOperations(rt, committed(k, owner, version, id), current, now), []operation{
		{"acquire", false, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return s.Acquire(ctx, acquire(k, owner, now))
		}},
		{"commit", true, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			c := committed(k, owner, version, id)
			c.Used, c.Now = version%2 == 0, now
			return s.Commit(ctx, c)
		}},
		{"fail", false, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			f := failed(k, owner, int(version%3))
			f.OutcomeUnknown = unknown
			return tokenstore.Item{}, s.Fail(ctx, f)
		}},
		{"release", false, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return tokenstore.Item{}, s.Release(ctx, tokenstore.Release{Key: k, Owner: owner, OutcomeUnknown: unknown})
		}},
		{"reject", true, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return s.Reject(ctx, tokenstore.Reject{Key: k, Version: version, TokenID: id, Read: current.ForcedRefreshes, ForcedRefreshes: forcedAt(now)})
		}},
		{"drop", true, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return s.Drop(ctx, tokenstore.Drop{Key: k, RenewSlot: id, Now: now})
		}},
		{"mark used", false, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return tokenstore.Item{}, s.MarkUsed(ctx, k, version)
		}},
		{"add variant", false, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return tokenstore.Item{}, s.AddVariant(ctx, k, id)
		}},
	}...)
	return ops[rapid.IntRange(0, len(ops)-1).Draw(rt, "operation")]
}

// grantOperations returns the operations on a grant, with the token, version and
// owner of c.
func grantOperations(rt *rapid.T, c tokenstore.Commit, current tokenstore.Item, now time.Time) []operation {
	refresh := rapid.SampledFrom([]string{"rt_1", "rt_2", "rt_3"}).Draw(rt, "refresh token")
	consumed := rapid.SampledFrom([]string{"rt_1", current.Grant.Fingerprint, current.Grant.Fingerprint}).Draw(rt, "consumed")
	if consumed == "" {
		consumed = "rt_2"
	}
	return []operation{
		{"acquire for refresh", false, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return s.Acquire(ctx, acquireForRefresh(c.Key, c.Owner, now))
		}},
		{"store grant", true, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return s.StoreGrant(ctx, newStoreGrant(c.Key, c.Owner, c.Version, refresh, c.Token.ID))
		}},
		{"refresh", true, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return s.Commit(ctx, refreshed(c.Key, c.Owner, c.Version, consumed, refresh, c.Token.ID))
		}},
		{"disconnect", true, func(ctx context.Context, s Store) (tokenstore.Item, error) {
			return s.Drop(ctx, tokenstore.Drop{Key: c.Key, Grant: true, Now: now})
		}},
	}
}

// randomOperations checks the invariants of every operation on random histories.
func randomOperations(t *testing.T, f *fixture) {
	history := 0
	rapid.Check(t, func(rt *rapid.T) {
		history++
		k := key(t)
		k.Connection += fmt.Sprint("-", history)
		now, before := start, tokenstore.Item{Key: k}
		for range steps {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, leaseTTL + time.Second}).Draw(rt, "pause"))
			op := randomOperation(rt, k, before, now)
			returned, err := op.call(t.Context(), f)
			after, getErr := f.Get(t.Context(), k, true)
			if getErr != nil {
				rt.Fatalf("Get: %v", getErr)
			}
			checkStep(rt, op, before, after, returned, err)
			before = after
		}
	})
}

// checkStep checks one operation of a history.
func checkStep(rt *rapid.T, op operation, before, after, returned tokenstore.Item, err error) {
	unchanged := cmp.Equal(before, after)
	switch {
	case err != nil && !errors.Is(err, tokenstore.ErrHeld) && !errors.Is(err, tokenstore.ErrSuperseded):
		rt.Fatalf("%s: %v", op.name, err)
	case err != nil && !unchanged:
		rt.Errorf("%s: %v, yet the item changed:\n%s", op.name, err, cmp.Diff(before, after))
	}
	checkVersion(rt, op, before, after, err == nil && !unchanged)
	checkKept(rt, op, before, after)
	switch op.name {
	case "drop", "disconnect":
		if !cmp.Equal(before, returned) {
			rt.Errorf("%s did not return the item as it was before:\n%s", op.name, cmp.Diff(before, returned))
		}
	case "acquire", "acquire for refresh", "commit", "refresh", "store grant", "reject":
		if !cmp.Equal(after, returned) {
			rt.Errorf("%s did not return the current item:\n%s", op.name, cmp.Diff(after, returned))
		}
	}
	taken := (op.name == "acquire" || op.name == "acquire for refresh") && err == nil && !unchanged
	if taken != (after.Lease.Seq == before.Lease.Seq+1) {
		rt.Errorf("%s moved the count of acquisitions from %d to %d", op.name, before.Lease.Seq, after.Lease.Seq)
	}
}

// checkVersion checks the change of the version. A refresh whose version has
// changed stores its grant and keeps token and version.
func checkVersion(rt *rapid.T, op operation, before, after tokenstore.Item, changed bool) {
	moved := after.Version - before.Version
	grantAlone := op.name == "refresh" && moved == 0 && cmp.Equal(before.Token, after.Token)
	if op.moves && changed && moved != 1 && !grantAlone || !op.moves && moved != 0 {
		rt.Errorf("%s moved the version from %d to %d", op.name, before.Version, after.Version)
	}
}

// checkKept checks that only the operations for it change token and grant.
func checkKept(rt *rapid.T, op operation, before, after tokenstore.Item) {
	brings := map[string]bool{"store grant": true, "refresh": true, "disconnect": true}
	if !brings[op.name] && op.name != "commit" && op.name != "drop" && !cmp.Equal(before.Token, after.Token) {
		rt.Errorf("%s changed the token:\n%s", op.name, cmp.Diff(before.Token, after.Token))
	}
	if !brings[op.name] && !cmp.Equal(before.Grant, after.Grant) {
		rt.Errorf("CR-33 %s changed the grant:\n%s", op.name, cmp.Diff(before.Grant, after.Grant))
	}
	cleared := before.RefreshAttempt.Fingerprint != "" && after.RefreshAttempt.Fingerprint == ""
	if cleared && op.name != "store grant" && op.name != "disconnect" && before.RefreshAttempt.Attempt != before.Lease.Owner &&
		before.Lease.Owner != "" && after.Lease.Owner == "" {
		rt.Errorf("CR-12 %s by %s removed the mark of %s", op.name, before.Lease.Owner, before.RefreshAttempt.Attempt)
	}
}

// Compare runs the same random histories on two stores and requires equal results,
// in every field.
func Compare(t *testing.T, want, got Store) {
	history := 0
	rapid.Check(t, func(rt *rapid.T) {
		history++
		k := key(t)
		k.Connection += fmt.Sprint("-", history)
		now, current := start, tokenstore.Item{Key: k}
		for range steps {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, leaseTTL + time.Second}).Draw(rt, "pause"))
			op := randomOperation(rt, k, current, now)
			wantItem, wantErr := op.call(t.Context(), want)
			gotItem, gotErr := op.call(t.Context(), got)
			if d := cmp.Diff(wantItem, gotItem); d != "" {
				rt.Errorf("%s returned (-want +got):\n%s", op.name, d)
			}
			if !sameKind(wantErr, gotErr) {
				rt.Errorf("%s: %v, want %v", op.name, gotErr, wantErr)
			}
			current, _ = want.Get(t.Context(), k, true)
			gotCurrent, err := got.Get(t.Context(), k, true)
			if d := cmp.Diff(current, gotCurrent); d != "" || err != nil {
				rt.Fatalf("after %s: %v (-want +got):\n%s", op.name, err, d)
			}
		}
	})
}

func sameKind(a, b error) bool {
	for _, kind := range []error{tokenstore.ErrHeld, tokenstore.ErrSuperseded, tokenstore.ErrCorrupt, tokenstore.ErrGrantCorrupt, tokenstore.ErrUnavailable} {
		if errors.Is(a, kind) != errors.Is(b, kind) {
			return false
		}
	}
	return (a == nil) == (b == nil)
}
