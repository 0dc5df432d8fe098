package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func forcedRefreshes(t *testing.T, f *fixture) {
	t.Run("CR-23 replaced only while they are what was read", func(t *testing.T) {
		k := key(t)
		want := mustMint(t, f, k, "token_1")
		first, second := []time.Time{start}, []time.Time{start, start.Add(time.Minute)}
		for i, step := range []struct {
			was, forced []time.Time
			ok          bool
		}{
			{nil, first, true}, {nil, second, false}, {second, first, false}, {first, second, true}, {first, first, false},
		} {
			err := f.SetForcedRefreshes(t.Context(), k, step.was, step.forced)
			if ok := err == nil; ok != step.ok || !ok && !errors.Is(err, tokenstore.ErrSuperseded) {
				t.Errorf("step %d: %v, want success: %v", i+1, err, step.ok)
			}
		}
		want.ForcedRefreshes = []time.Time{stored(second[0]), stored(second[1])}
		diff(t, "stored", want, get(t, f, k))
	})
	t.Run("CR-23 of 50 concurrent calls one succeeds", func(t *testing.T) {
		k := key(t)
		succeeded := 0
		for _, err := range race(50, func(i int) error {
			return f.SetForcedRefreshes(t.Context(), k, nil, []time.Time{start.Add(time.Duration(i) * time.Second)})
		}) {
			if err == nil {
				succeeded++
			}
		}
		if succeeded != 1 {
			t.Errorf("%d succeeded, want 1", succeeded)
		}
	})
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
