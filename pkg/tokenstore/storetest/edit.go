package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func reject(t *testing.T, f *fixture) {
	f.run(t, "CR-23 keeps the token, marks it, increments the version", rejectKeepsToken)
	for _, tc := range []struct {
		name    string
		version int64
		id      string
	}{
		{"CR-23 an older version is superseded", 1, "token_2"},
		{"CR-23 a newer version is superseded", 3, "token_2"},
		{"CR-23 another token is superseded", 2, "token_1"},
		{"CR-23 no version is superseded", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := key(t)
			mustMint(t, f, k, "token_1")
			want := mustMint(t, f, k, "token_2")
			item, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: tc.version, TokenID: tc.id, ForcedRefreshes: forcedAt(start)})
			if !errors.Is(err, tokenstore.ErrSuperseded) {
				t.Fatalf("Reject: %v, want ErrSuperseded", err)
			}
			diff(t, "returned", want, item)
			diff(t, "stored", want, get(t, f, k))
		})
	}
	f.run(t, "CR-23 a missing item is superseded and stays missing", rejectOfMissingItem)
	f.run(t, "CR-36 the same report repeated succeeds and increments the version once", rejectRepeated)
	f.run(t, "FI-42 of 50 different reports one succeeds", rejectsRace)
}

func rejectKeepsToken(t *testing.T, f *fixture) {
	k := key(t)
	want := mustMint(t, f, k, "token_1")
	got, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1"})
	if err != nil {
		t.Fatalf("Reject: %v", err)
	}
	want.Version, want.RejectedID = 2, "token_1"
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func rejectOfMissingItem(t *testing.T, f *fixture) {
	k := key(t)
	_, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, TokenID: "token_1"})
	if !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("Reject: %v, want ErrSuperseded", err)
	}
	diff(t, "stored", tokenstore.Item{Key: k}, get(t, f, k))
}

func rejectRepeated(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	for range 2 {
		item, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1", ForcedRefreshes: forcedAt(start)})
		if err != nil || item.Version != 2 {
			t.Errorf("Reject: version %d, %v, want 2", item.Version, err)
		}
	}
}

func rejectsRace(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	errs := race(50, func(i int) error {
		_, err := f.Reject(t.Context(), tokenstore.Reject{
			Key: k, Version: 1, TokenID: "token_1", ForcedRefreshes: forcedAt(start.Add(time.Duration(i) * time.Second)),
		})
		return err
	})
	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
		} else if !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("Reject: %v, want ErrSuperseded", err)
		}
	}
	if item := get(t, f, k); succeeded != 1 || item.Version != 2 || len(item.ForcedRefreshes) != 1 {
		t.Errorf("%d succeeded, version %d, %d forced; want 1, 2, 1", succeeded, item.Version, len(item.ForcedRefreshes))
	}
}

func drop(t *testing.T, f *fixture) {
	f.run(t, "CR-21 removes what belongs to the token, keeps lease, limits and variants, returns the item as it was", dropClears)
	f.run(t, "CR-18 keeps the failure with KeepFailure", dropKeepsFailure)
	f.run(t, "FI-49 fences the commit of an item that did not exist", dropFencesCommit)
	f.run(t, "CR-21 creates a missing item", dropCreatesItem)
}

func dropClears(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	if err := f.AddVariant(t.Context(), k, "0badcafe"); err != nil {
		t.Fatalf("AddVariant: %v", err)
	}
	if _, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1", ForcedRefreshes: forcedAt(start)}); err != nil {
		t.Fatalf("Reject: %v", err)
	}
	mustAcquire(t, f, k, "failing", start)
	if err := f.Fail(t.Context(), failed(k, "failing", 1)); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	was := mustAcquire(t, f, k, "holder", start)
	got, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start})
	if err != nil {
		t.Fatalf("Drop: %v", err)
	}
	diff(t, "returned", was, got)
	want := tokenstore.Item{
		Key: k, Version: 3, Lease: was.Lease, ForcedRefreshes: was.ForcedRefreshes, Variants: was.Variants,
	}
	diff(t, "stored", want, get(t, f, k))
}

func dropKeepsFailure(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	mustAcquire(t, f, k, "failing", start)
	if err := f.Fail(t.Context(), failed(k, "failing", 1)); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	before := get(t, f, k)
	if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, KeepFailure: true, Now: start}); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	want := tokenstore.Item{Key: k, Version: before.Version + 1, Lease: before.Lease, Failure: before.Failure}
	diff(t, "stored", want, get(t, f, k))
}

func dropFencesCommit(t *testing.T, f *fixture) {
	k := key(t)
	held := mustAcquire(t, f, k, "holder", start)
	if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start}); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	if _, err := f.Commit(t.Context(), committed(k, "holder", held.Version, "token_1")); !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("Commit: %v, want ErrSuperseded", err)
	}
}

func dropCreatesItem(t *testing.T, f *fixture) {
	k := key(t)
	for version := range int64(2) {
		if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start}); err != nil {
			t.Fatalf("Drop: %v", err)
		}
		diff(t, "stored", tokenstore.Item{Key: k, Version: version + 1}, get(t, f, k))
	}
}

func markUsed(t *testing.T, f *fixture) {
	unused := func(t *testing.T) tokenstore.Item {
		k := key(t)
		mustAcquire(t, f, k, "holder", start)
		c := committed(k, "holder", 0, "token_1")
		c.Used = false
		item, err := f.Commit(t.Context(), c)
		if err != nil {
			t.Fatalf("Commit: %v", err)
		}
		return item
	}
	for _, tc := range []struct {
		name    string
		version int64
		used    bool
	}{
		{"CR-30 marks the version that was served", 1, true},
		{"CR-30 an older version changes nothing", 0, false},
		{"CR-30 a newer version changes nothing", 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := unused(t)
			if err := f.MarkUsed(t.Context(), want.Key, tc.version); err != nil {
				t.Fatalf("MarkUsed: %v", err)
			}
			want.Used = tc.used
			diff(t, "item", want, get(t, f, want.Key))
		})
	}
	t.Run("CR-30 creates no item", func(t *testing.T) {
		k := key(t)
		for _, version := range []int64{0, 1} {
			if err := f.MarkUsed(t.Context(), k, version); err != nil {
				t.Fatalf("MarkUsed: %v", err)
			}
		}
		diff(t, "item", tokenstore.Item{Key: k}, get(t, f, k))
	})
}

func variants(t *testing.T, f *fixture) {
	t.Run("CR-37 repeating changes nothing, order does not matter", func(t *testing.T) {
		k := key(t)
		of := k
		of.Variant = "b"
		for _, add := range []struct {
			key     tokenstore.Key
			variant string
		}{{of, "b"}, {k, "c"}, {k, "a"}, {of, "b"}} {
			if err := f.AddVariant(t.Context(), add.key, add.variant); err != nil {
				t.Fatalf("AddVariant: %v", err)
			}
		}
		diff(t, "own item", tokenstore.Item{Key: k, Variants: []string{"a", "b", "c"}}, get(t, f, k))
		diff(t, "variant's item", tokenstore.Item{Key: of}, get(t, f, of))
	})
	t.Run("CR-37 none is lost in 30 concurrent calls, and the rest of the item is kept", func(t *testing.T) {
		k := key(t)
		want := mustMint(t, f, k, "token_1")
		for _, err := range race(30, func(i int) error { return f.AddVariant(t.Context(), k, fmt.Sprintf("%02d", i/2)) }) {
			if err != nil {
				t.Errorf("AddVariant: %v", err)
			}
		}
		for i := range 15 {
			want.Variants = append(want.Variants, fmt.Sprintf("%02d", i))
		}
		got := get(t, f, k)
		diff(t, "item", want, got)
		if !slices.IsSorted(got.Variants) {
			t.Errorf("variants %v are not sorted", got.Variants)
		}
	})
}
