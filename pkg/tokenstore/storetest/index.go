package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// allDue reads all pages of a slot.
func allDue(t *testing.T, f *fixture, slot string) []tokenstore.Key {
	t.Helper()
	var found []tokenstore.Key
	next := ""
	for range 50 {
		keys, more, err := f.Due(t.Context(), slot, next)
		if err != nil {
			t.Fatalf("Due: %v", err)
		}
		found = append(found, keys...)
		if next = more; next == "" {
			slices.SortFunc(found, func(a, b tokenstore.Key) int {
				return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(a.Variant, b.Variant), cmp.Compare(a.Subject, b.Subject))
			})
			return found
		}
	}
	t.Fatal("Due does not end")
	return nil
}

// slotOf returns a slot that only this test uses.
func slotOf(t *testing.T) string { return "45/" + key(t).Connection }

func mintInto(t *testing.T, f *fixture, k tokenstore.Key, slot string) tokenstore.Item {
	t.Helper()
	held := mustAcquire(t, f, k, "minter", start)
	c := committed(k, "minter", held.Version, "token_1")
	c.RenewSlot = slot
	item, err := f.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return item
}

func due(t *testing.T, f *fixture) {
	t.Run("CR-25 exactly the items of the slot, including variants and subjects", func(t *testing.T) {
		k, slot := key(t), slotOf(t)
		variant, subject := k, k
		variant.Variant, subject.Subject = "0123456789abcdef", "joe"
		want := []tokenstore.Key{k, subject, variant}
		for _, k := range want {
			mintInto(t, f, k, slot)
		}
		elsewhere := tokenstore.Key{Connection: k.Connection + "-x"}
		mintInto(t, f, elsewhere, slot+"x")
		diff(t, "due", want, allDue(t, f, slot))
	})
	t.Run("an item without a slot is never due", func(t *testing.T) {
		k := key(t)
		mintInto(t, f, k, "")
		if keys := allDue(t, f, slotOf(t)); len(keys) != 0 {
			t.Errorf("due %v", keys)
		}
	})
	t.Run("CR-25 a slot of several pages is read to its end", func(t *testing.T) {
		slot := slotOf(t)
		var want []tokenstore.Key
		for i := range 230 {
			k := tokenstore.Key{Connection: fmt.Sprintf("%s-%03d", key(t).Connection, i)}
			want = append(want, k)
			mintInto(t, f, k, slot)
		}
		diff(t, "due", want, allDue(t, f, slot))
	})
	t.Run("CR-21 a dropped token is not due", func(t *testing.T) {
		k, slot := key(t), slotOf(t)
		mintInto(t, f, k, slot)
		if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start}); err != nil {
			t.Fatal(err)
		}
		if keys := allDue(t, f, slot); len(keys) != 0 {
			t.Errorf("due %v", keys)
		}
	})
}

func reslot(t *testing.T, f *fixture) {
	t.Run("CR-25 changes the slot of an item and nothing else", func(t *testing.T) {
		k, from, to := key(t), slotOf(t), slotOf(t)+"-later"
		want := mintInto(t, f, k, from)
		for range 2 {
			if err := f.Reslot(t.Context(), k, from, to); err != nil {
				t.Fatalf("Reslot: %v", err)
			}
		}
		want.RenewSlot = to
		diff(t, "stored", want, get(t, f, k))
		diff(t, "due", []tokenstore.Key{k}, allDue(t, f, to))
	})
	t.Run("CR-25 an item in another slot is not moved", func(t *testing.T) {
		k := key(t)
		want := mintInto(t, f, k, slotOf(t))
		if err := f.Reslot(t.Context(), k, "another", "third"); err != nil {
			t.Fatalf("Reslot: %v", err)
		}
		diff(t, "stored", want, get(t, f, k))
	})
	t.Run("a missing item stays missing", func(t *testing.T) {
		k := key(t)
		if err := f.Reslot(t.Context(), k, "a", "b"); err != nil {
			t.Fatalf("Reslot: %v", err)
		}
		diff(t, "stored", tokenstore.Item{Key: k}, get(t, f, k))
	})
}
