package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func forcedRefreshes(t *testing.T, f *fixture) {
	f.run(t, "CR-23 replaced only while they are what was read", forcedRefreshesReplaced)
	f.run(t, "CR-23 each keeps its principal, also two at one instant and one without", forcedRefreshesOfPrincipals)
	f.run(t, "CR-36 repeated, they count once, also after others were counted", forcedRefreshesRepeated)
	f.run(t, "CR-23 a report replaces them only while they are what was read", forcedRefreshesRejected)
	f.run(t, "CR-23 taken back, the last one leaves nothing", forcedRefreshesTakenBack)
	f.run(t, "CR-23 of 50 concurrent calls one succeeds", forcedRefreshesRace)
}

func forcedRefreshesReplaced(t *testing.T, f *fixture) {
	k := key(t)
	want := mustMint(t, f, k, "token_1")
	first, second := forcedAt(start), forcedAt(start, start.Add(time.Minute))
	for i, step := range []struct {
		was, forced []tokenstore.ForcedRefresh
		ok          bool
	}{
		{nil, first, true}, {nil, second, false}, {second, second[1:], false}, {first, second, true}, {first, first, false},
	} {
		err := f.SetForcedRefreshes(t.Context(), k, step.was, step.forced)
		if ok := err == nil; ok != step.ok || !ok && !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("step %d: %v, want success: %v", i+1, err, step.ok)
		}
	}
	want.ForcedRefreshes = forcedAt(stored(second[0].At), stored(second[1].At))
	diff(t, "stored", want, get(t, f, k))
}

func forcedRefreshesOfPrincipals(t *testing.T, f *fixture) {
	k := key(t)
	want := mustMint(t, f, k, "token_1")
	want.ForcedRefreshes = []tokenstore.ForcedRefresh{
		{At: stored(start), By: "a/b"}, {At: stored(start), By: "c"}, {At: stored(start.Add(time.Second))}, {At: stored(start.Add(time.Minute)), By: "a/b"},
	}
	if err := f.SetForcedRefreshes(t.Context(), k, nil, want.ForcedRefreshes); err != nil {
		t.Fatal(err)
	}
	diff(t, "stored", want, get(t, f, k))
	want.ForcedRefreshes = want.ForcedRefreshes[2:]
	want.Version, want.RejectedID = 2, "token_1"
	read := get(t, f, k).ForcedRefreshes
	got, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1", Read: read, ForcedRefreshes: want.ForcedRefreshes})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "after Reject", want, got)
}

func forcedRefreshesRepeated(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	one, two := tokenstore.ForcedRefresh{At: start, By: "a"}, tokenstore.ForcedRefresh{At: start, By: "b"}
	set := func(was, forced []tokenstore.ForcedRefresh) {
		t.Helper()
		if err := f.SetForcedRefreshes(t.Context(), k, was, forced); err != nil {
			t.Error(err)
		}
	}
	first := []tokenstore.ForcedRefresh{one}
	both := []tokenstore.ForcedRefresh{one, two}
	for range 2 {
		set(nil, first)
	}
	set(first, both)
	set(nil, first) // its response was lost, and another was counted meanwhile
	for range 2 {
		set(both, first)
	}
	diff(t, "stored", []tokenstore.ForcedRefresh{{At: stored(start), By: "a"}}, get(t, f, k).ForcedRefreshes)
	if err := f.SetForcedRefreshes(t.Context(), k, nil, []tokenstore.ForcedRefresh{two}); !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("another principal's at the same instant: %v, want ErrSuperseded", err)
	}
}

// forcedRefreshesRejected: what a scope variant counts on the item between read and
// report is not lost.
func forcedRefreshesRejected(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	counted := forcedAt(start)
	if err := f.SetForcedRefreshes(t.Context(), k, nil, counted); err != nil {
		t.Fatal(err)
	}
	later := start.Add(time.Second)
	report := tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1", ForcedRefreshes: forcedAt(later)}
	if _, err := f.Reject(t.Context(), report); !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("Reject with none read: %v, want ErrSuperseded", err)
	}
	report.Read = forcedAt(later)
	if _, err := f.Reject(t.Context(), report); !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("Reject with another read: %v, want ErrSuperseded", err)
	}
	report.Read, report.ForcedRefreshes = counted, forcedAt(start, later)
	for range 2 {
		item, err := f.Reject(t.Context(), report)
		if err != nil || item.Version != 2 || len(item.ForcedRefreshes) != 2 {
			t.Errorf("Reject: version %d, %d counted, %v", item.Version, len(item.ForcedRefreshes), err)
		}
	}
}

func forcedRefreshesTakenBack(t *testing.T, f *fixture) {
	k := key(t)
	want := mustMint(t, f, k, "token_1")
	steps := [][]tokenstore.ForcedRefresh{nil, forcedAt(start), forcedAt(start, start.Add(time.Minute)), forcedAt(start), nil}
	for i := range steps[1:] {
		if err := f.SetForcedRefreshes(t.Context(), k, steps[i], steps[i+1]); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	diff(t, "stored", want, get(t, f, k))
}

func forcedRefreshesRace(t *testing.T, f *fixture) {
	k := key(t)
	succeeded := 0
	for _, err := range race(50, func(i int) error {
		return f.SetForcedRefreshes(t.Context(), k, nil, forcedAt(start.Add(time.Duration(i)*time.Second)))
	}) {
		if err == nil {
			succeeded++
		}
	}
	if succeeded != 1 {
		t.Errorf("%d succeeded, want 1", succeeded)
	}
}

func variantsRemoved(t *testing.T, f *fixture) {
	k := key(t)
	for _, v := range []string{"a", "b"} {
		if err := f.AddVariant(t.Context(), k, v); err != nil {
			t.Fatalf("AddVariant: %v", err)
		}
	}
	for _, v := range []string{"a", "a", "c"} {
		if err := f.RemoveVariant(t.Context(), k, v); err != nil {
			t.Fatalf("RemoveVariant: %v", err)
		}
	}
	diff(t, "remaining", []string{"b"}, get(t, f, k).Variants)
	if err := f.RemoveVariant(t.Context(), k, "b"); err != nil {
		t.Fatalf("RemoveVariant: %v", err)
	}
	if left := get(t, f, k).Variants; len(left) != 0 {
		t.Errorf("remaining %v", left)
	}
	missing := key(t)
	missing.Connection += "-x"
	if err := f.RemoveVariant(t.Context(), missing, "a"); err != nil {
		t.Fatalf("RemoveVariant: %v", err)
	}
	diff(t, "a missing item stays missing", tokenstore.Item{Key: missing}, get(t, f, missing))
}
