package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// grantOf returns the grant of a refresh token whose fields contain id. Every field
// is set.
func grantOf(id string) tokenstore.SealedGrant {
	return tokenstore.SealedGrant{
		Fingerprint: id, Sealed: []byte("\xff\x00sealed-" + id), SecretIncarnation: "generation-" + id, Client: "client-" + id,
		ConsentedBy: "joe of " + id, ConsentedAt: start.Add(-time.Hour), RefreshedAt: start, ExpiresAt: start.Add(24 * time.Hour),
	}
}

// storedGrant returns grantOf(id) as a store returns it.
func storedGrant(id string) tokenstore.SealedGrant {
	g := grantOf(id)
	g.ConsentedAt, g.RefreshedAt, g.ExpiresAt = stored(g.ConsentedAt), stored(g.RefreshedAt), stored(g.ExpiresAt)
	return g
}

func storedToken(t tokenstore.SealedToken) tokenstore.SealedToken {
	t.MintedAt, t.ExpiresAt = stored(t.MintedAt), stored(t.ExpiresAt)
	return t
}

func newStoreGrant(k tokenstore.Key, owner string, version int64, refresh, access string) tokenstore.StoreGrant {
	c := committed(k, owner, version, access)
	return tokenstore.StoreGrant{
		Key: k, Owner: owner, Version: version, SecretIncarnation: c.SecretIncarnation, Token: c.Token,
		Grant: grantOf(refresh), RenewSlot: c.RenewSlot, Now: start,
	}
}

// mustStoreGrant stores the first grant of an item and returns the resulting item.
func mustStoreGrant(t *testing.T, f *fixture, k tokenstore.Key, refresh, access string) tokenstore.Item {
	t.Helper()
	held := mustAcquire(t, f, k, "consenter-of-"+refresh, start)
	item, err := f.StoreGrant(t.Context(), newStoreGrant(k, "consenter-of-"+refresh, held.Version, refresh, access))
	if err != nil {
		t.Fatalf("StoreGrant: %v", err)
	}
	return item
}

func acquireForRefresh(k tokenstore.Key, owner string, now time.Time) tokenstore.Acquire {
	a := acquire(k, owner, now)
	a.UsesRefreshToken = true
	return a
}

func mustAcquireForRefresh(t *testing.T, f *fixture, k tokenstore.Key, owner string, now time.Time) tokenstore.Item {
	t.Helper()
	item, err := f.Acquire(t.Context(), acquireForRefresh(k, owner, now))
	if err != nil {
		t.Fatalf("Acquire by %s: %v", owner, err)
	}
	return item
}

// refreshed returns the commit of a refresh.
func refreshed(k tokenstore.Key, owner string, version int64, consumed, refresh, access string) tokenstore.Commit {
	c := committed(k, owner, version, access)
	c.Consumed, c.Grant = consumed, grantOf(refresh)
	return c
}

func mark(fingerprint, attempt string, at time.Time, before string) tokenstore.RefreshAttempt {
	return tokenstore.RefreshAttempt{Fingerprint: fingerprint, Attempt: attempt, StartedAt: stored(at), Before: before}
}

func storeGrant(t *testing.T, f *fixture) {
	f.run(t, "CR-33 stores grant and token and returns every field", storeFirstGrant)
	f.run(t, "CR-33 replaces an earlier grant and everything recorded for it", storeNextGrant)
	f.run(t, "CR-33 a grant with a refresh token and nothing else", storeBareGrant)
	f.run(t, "AZ-30 a token without a grant replaces an earlier grant", storeNoGrant)
	f.run(t, "CR-07 another owner's lease is kept", storeGrantAfterLostLease)
	f.run(t, "CR-07 a changed version fences it", storeGrantAtChangedVersion)
	f.run(t, "FI-30 CR-36 repeated, it succeeds and increments the version once", storeGrantRepeated)
}

func storeFirstGrant(t *testing.T, f *fixture) {
	k := key(t)
	got := mustStoreGrant(t, f, k, "rt_1", "token_1")
	c := committed(k, "", 0, "token_1")
	want := tokenstore.Item{
		Key: k, Version: 1, SecretIncarnation: c.SecretIncarnation, Token: storedToken(c.Token), Lease: tokenstore.Lease{Seq: 1},
		Grant: storedGrant("rt_1"), RenewSlot: c.RenewSlot,
	}
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
	got.Grant.Sealed[0] = 'x'
	diff(t, "a returned value is the caller's", want, get(t, f, k))
}

func storeNextGrant(t *testing.T, f *fixture) {
	k := key(t)
	was := itemWithEverything(t, f, k)
	item, err := f.StoreGrant(t.Context(), newStoreGrant(k, "consenter", was.Version, "rt_2", "token_2"))
	if err != nil {
		t.Fatalf("StoreGrant: %v", err)
	}
	c := committed(k, "", 0, "token_2")
	want := tokenstore.Item{
		Key: k, Version: was.Version + 1, SecretIncarnation: c.SecretIncarnation, Token: storedToken(c.Token), Lease: tokenstore.Lease{Seq: was.Lease.Seq},
		Grant: storedGrant("rt_2"), RenewSlot: c.RenewSlot, Variants: []string{"0badcafe"},
	}
	diff(t, "item", want, item)
	diff(t, "stored", want, get(t, f, k))
}

func storeBareGrant(t *testing.T, f *fixture) {
	k := key(t)
	g := tokenstore.SealedGrant{Fingerprint: "rt_1", Sealed: []byte("sealed")}
	item, err := f.StoreGrant(t.Context(), tokenstore.StoreGrant{Key: k, Owner: "consenter", Grant: g, Now: start})
	if err != nil {
		t.Fatalf("StoreGrant: %v", err)
	}
	diff(t, "item", tokenstore.Item{Key: k, Version: 1, Grant: g}, item)
	diff(t, "stored", item, get(t, f, k))
}

func storeNoGrant(t *testing.T, f *fixture) {
	k := key(t)
	was := itemWithEverything(t, f, k)
	write := newStoreGrant(k, "consenter", was.Version, "", "token_2")
	write.Grant, write.RenewSlot = tokenstore.SealedGrant{}, ""
	c := committed(k, "", 0, "token_2")
	want := tokenstore.Item{
		Key: k, Version: was.Version + 1, SecretIncarnation: c.SecretIncarnation, Token: storedToken(c.Token), Lease: tokenstore.Lease{Seq: was.Lease.Seq},
		Variants: []string{"0badcafe"},
	}
	for range 2 { // repeated, it succeeds
		item, err := f.StoreGrant(t.Context(), write)
		if err != nil {
			t.Fatalf("StoreGrant: %v", err)
		}
		diff(t, "item", want, item)
	}
	diff(t, "stored", want, get(t, f, k))
}

func storeGrantAfterLostLease(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "slow", start)
	next := mustAcquire(t, f, k, "next", start.Add(time.Hour))
	item, err := f.StoreGrant(t.Context(), newStoreGrant(k, "slow", 0, "rt_1", "token_1"))
	if err != nil {
		t.Fatalf("StoreGrant: %v", err)
	}
	diff(t, "lease", next.Lease, item.Lease)
	diff(t, "stored", item, get(t, f, k))
}

func storeGrantAtChangedVersion(t *testing.T, f *fixture) {
	k := key(t)
	want := mustStoreGrant(t, f, k, "rt_1", "token_1")
	for _, version := range []int64{0, 2} {
		item, err := f.StoreGrant(t.Context(), newStoreGrant(k, "late", version, "rt_2", "token_2"))
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Fatalf("StoreGrant at version %d: %v, want ErrSuperseded", version, err)
		}
		diff(t, "returned", want, item)
	}
	diff(t, "stored", want, get(t, f, k))
}

func storeGrantRepeated(t *testing.T, f *fixture) {
	k := key(t)
	want := mustStoreGrant(t, f, k, "rt_1", "token_1")
	item, err := f.StoreGrant(t.Context(), newStoreGrant(k, "consenter-of-rt_1", 0, "rt_1", "token_1"))
	if err != nil {
		t.Fatalf("StoreGrant: %v", err)
	}
	diff(t, "item", want, item)
	diff(t, "stored", want, get(t, f, k))
}

// itemWithEverything returns an item with everything that a new consent removes,
// under the lease of "consenter".
func itemWithEverything(t *testing.T, f *fixture, k tokenstore.Key) tokenstore.Item {
	t.Helper()
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	if err := f.AddVariant(t.Context(), k, "0badcafe"); err != nil {
		t.Fatalf("AddVariant: %v", err)
	}
	if _, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1", ForcedRefreshes: forcedAt(start)}); err != nil {
		t.Fatalf("Reject: %v", err)
	}
	mustAcquireForRefresh(t, f, k, "failing", start)
	failing := failed(k, "failing", 1)
	failing.OutcomeUnknown = true
	if err := f.Fail(t.Context(), failing); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, KeepFailure: true, Now: start}); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	was := mustAcquire(t, f, k, "consenter", start)
	if was.Failure.Count == 0 || was.RefreshAttempt.Fingerprint == "" || len(was.ForcedRefreshes) == 0 || was.Grant.Fingerprint == "" {
		t.Fatalf("the item does not have everything: %+v", was)
	}
	return was
}

func refreshTokenUse(t *testing.T, f *fixture) {
	f.run(t, "CR-12 the lease and the mark are written together", markWithLease)
	f.run(t, "CR-12 without a grant no refresh token is marked", markWithoutGrant)
	f.run(t, "CR-12 FI-06 the mark of a crashed attempt is returned to the next two attempts", markOfCrashedAttempt)
	for _, after := range []time.Duration{0, time.Second, leaseTTL} {
		t.Run("FI-29 CR-36 repeated by its owner, it does not return its own mark, "+after.String(), func(t *testing.T) {
			markRepeated(t, f, after)
		})
	}
	f.run(t, "CR-12 an owner's lease without a mark is marked", markOwnLease)
	f.run(t, "CR-12 an acquisition that does not use the refresh token keeps the mark", markKept)
	f.run(t, "CR-04 a refused acquisition marks nothing", markRefused)
}

func markWithLease(t *testing.T, f *fixture) {
	k := key(t)
	want := mustStoreGrant(t, f, k, "rt_1", "token_1")
	want.Lease = tokenstore.Lease{Owner: "holder", Until: stored(start.Add(leaseTTL)), Seq: 2}
	want.RefreshAttempt = mark("rt_1", "holder", start, "")
	diff(t, "item", want, mustAcquireForRefresh(t, f, k, "holder", start))
	diff(t, "stored", want, get(t, f, k))
}

func markWithoutGrant(t *testing.T, f *fixture) {
	k := key(t)
	for _, owner := range []string{"first", "second"} {
		item := mustAcquireForRefresh(t, f, k, owner, start.Add(time.Hour))
		diff(t, "mark", mark("", owner, start.Add(time.Hour), ""), item.RefreshAttempt)
		if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: owner, OutcomeUnknown: true}); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
}

func markOfCrashedAttempt(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	now, before := start, ""
	for i := range 3 {
		owner := fmt.Sprint("attempt-", i)
		item := mustAcquireForRefresh(t, f, k, owner, now)
		diff(t, "mark", mark("rt_1", owner, now, before), item.RefreshAttempt)
		now, before = now.Add(time.Hour), "rt_1"
	}
}

func markRepeated(t *testing.T, f *fixture, after time.Duration) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	want := mustAcquireForRefresh(t, f, k, "holder", start)
	diff(t, "item", want, mustAcquireForRefresh(t, f, k, "holder", start.Add(after)))
	diff(t, "stored", want, get(t, f, k))
}

func markOwnLease(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	mustAcquire(t, f, k, "holder", start)
	item := mustAcquireForRefresh(t, f, k, "holder", start)
	diff(t, "mark", mark("rt_1", "holder", start, ""), item.RefreshAttempt)
}

func markKept(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	want := mustAcquireForRefresh(t, f, k, "crashed", start).RefreshAttempt
	item := mustAcquire(t, f, k, "other", start.Add(time.Hour))
	diff(t, "mark", want, item.RefreshAttempt)
}

func markRefused(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	want := mustAcquireForRefresh(t, f, k, "holder", start)
	item, err := f.Acquire(t.Context(), acquireForRefresh(k, "loser", start))
	if !errors.Is(err, tokenstore.ErrHeld) {
		t.Fatalf("Acquire: %v, want ErrHeld", err)
	}
	diff(t, "returned", want, item)
	diff(t, "stored", want, get(t, f, k))
}

func refreshTokenUseRaces(t *testing.T, f *fixture) {
	for _, tc := range []struct {
		name   string
		now    time.Time
		before string
	}{
		{"FI-01 CR-12 of 100 acquisitions one succeeds, without an earlier mark", start, ""},
		{"FI-06 CR-12 of 100 acquisitions after a crash one succeeds, with the earlier mark", start.Add(time.Hour), "rt_1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := key(t)
			mustStoreGrant(t, f, k, "rt_1", "token_1")
			if tc.before != "" {
				mustAcquireForRefresh(t, f, k, "crashed", start)
			}
			won := make([]tokenstore.Item, 100)
			winners := 0
			for i, err := range race(100, func(i int) (err error) {
				won[i], err = f.Acquire(t.Context(), acquireForRefresh(k, fmt.Sprint("owner-", i), tc.now))
				return err
			}) {
				switch {
				case err == nil:
					winners++
					diff(t, "mark", mark("rt_1", fmt.Sprint("owner-", i), tc.now, tc.before), won[i].RefreshAttempt)
					diff(t, "stored", won[i], get(t, f, k))
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

// ending ends the lease of owner; unknown leaves the mark of its attempt.
type ending = func(t *testing.T, k tokenstore.Key, owner string, unknown bool) error

func endOfRefresh(t *testing.T, f *fixture) {
	fail := func(t *testing.T, k tokenstore.Key, owner string, unknown bool) error {
		e := failed(k, owner, 1)
		e.OutcomeUnknown = unknown
		return f.Fail(t.Context(), e)
	}
	release := func(t *testing.T, k tokenstore.Key, owner string, unknown bool) error {
		return f.Release(t.Context(), tokenstore.Release{Key: k, Owner: owner, OutcomeUnknown: unknown})
	}
	for name, end := range map[string]ending{"fail": fail, "release": release} {
		for _, unknown := range []bool{true, false} {
			t.Run(fmt.Sprintf("CR-12 CR-14 %s, outcome unknown %v", name, unknown), func(t *testing.T) {
				endOfAttempt(t, f, end, unknown)
			})
		}
		t.Run("CR-12 "+name+" by an owner without a mark keeps another owner's mark", func(t *testing.T) {
			endWithoutMark(t, f, end)
		})
		t.Run("CR-12 "+name+" under a lost lease changes nothing", func(t *testing.T) { endUnderLostLease(t, f, end) })
	}
}

func endOfAttempt(t *testing.T, f *fixture, end ending, unknown bool) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	want := mustAcquireForRefresh(t, f, k, "holder", start)
	if err := end(t, k, "holder", unknown); err != nil {
		t.Fatal(err)
	}
	if !unknown {
		want.RefreshAttempt = tokenstore.RefreshAttempt{}
	}
	got := get(t, f, k)
	diff(t, "mark", want.RefreshAttempt, got.RefreshAttempt)
	diff(t, "lease", tokenstore.Lease{Seq: want.Lease.Seq}, got.Lease)
	diff(t, "grant", want.Grant, got.Grant)
}

func endWithoutMark(t *testing.T, f *fixture, end ending) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	want := mustAcquireForRefresh(t, f, k, "crashed", start).RefreshAttempt
	mustAcquire(t, f, k, "other", start.Add(time.Hour))
	if err := end(t, k, "other", false); err != nil {
		t.Fatal(err)
	}
	got := get(t, f, k)
	diff(t, "mark", want, got.RefreshAttempt)
	diff(t, "lease", tokenstore.Lease{Seq: 3}, got.Lease)
}

func endUnderLostLease(t *testing.T, f *fixture, end ending) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	mustAcquireForRefresh(t, f, k, "slow", start)
	want := mustAcquireForRefresh(t, f, k, "next", start.Add(time.Hour))
	if err := end(t, k, "slow", false); err != nil {
		t.Fatal(err)
	}
	diff(t, "stored", want, get(t, f, k))
}

func dropGrant(t *testing.T, f *fixture) {
	const slot = "45/alive/3"
	t.Run("CR-21 a drop keeps the grant and its mark, and replaces the slot", func(t *testing.T) {
		k := key(t)
		mustStoreGrant(t, f, k, "rt_1", "token_1")
		was := mustAcquireForRefresh(t, f, k, "holder", start)
		got, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, RenewSlot: slot, Now: start})
		if err != nil {
			t.Fatalf("Drop: %v", err)
		}
		diff(t, "returned", was, got)
		want := tokenstore.Item{
			Key: k, Version: 2, Lease: was.Lease, Grant: was.Grant, RefreshAttempt: was.RefreshAttempt, RenewSlot: slot,
		}
		diff(t, "stored", want, get(t, f, k))
	})
	for _, subject := range []string{"", "joe"} {
		t.Run("CR-33 disconnecting removes grant and mark, subject "+subject, func(t *testing.T) {
			k := key(t)
			k.Subject = subject
			mustStoreGrant(t, f, k, "rt_1", "token_1")
			was := mustAcquireForRefresh(t, f, k, "holder", start)
			got, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Grant: true, Now: start})
			if err != nil {
				t.Fatalf("Drop: %v", err)
			}
			diff(t, "returned", was, got)
			diff(t, "stored", tokenstore.Item{Key: k, Version: 2, Lease: was.Lease}, get(t, f, k))
			late := refreshed(k, "holder", was.Version, "rt_1", "rt_2", "token_2")
			if _, err := f.Commit(t.Context(), late); !errors.Is(err, tokenstore.ErrSuperseded) {
				t.Errorf("FI-49 Commit after it: %v, want ErrSuperseded", err)
			}
		})
	}
	t.Run("CR-33 disconnecting a missing item creates an item without a grant", func(t *testing.T) {
		k := key(t)
		if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Grant: true, Now: start}); err != nil {
			t.Fatalf("Drop: %v", err)
		}
		diff(t, "stored", tokenstore.Item{Key: k, Version: 1}, get(t, f, k))
	})
}

func subjects(t *testing.T, f *fixture) {
	k := key(t)
	names := []string{"a", "a-b", "a0", "b", "joe"}
	mustStoreGrant(t, f, k, "rt_0", "token_0")
	for i, name := range names {
		k.Subject = name
		mustStoreGrant(t, f, k, fmt.Sprint("rt_", name), fmt.Sprint("token_", i))
	}
	asked, variant, other := k, k, k
	asked.Subject, variant.Variant, other.Connection = "a1", "0badcafe", k.Connection+"-x"
	mustAcquireForRefresh(t, f, asked, "without consent", start)
	mustMint(t, f, variant, "token_v")
	mustStoreGrant(t, f, other, "rt_o", "token_o")
	for limit := 1; limit <= 6; limit++ {
		t.Run(fmt.Sprintf("named subjects in order, %d per page", limit), func(t *testing.T) {
			subjectsInPages(t, f, k, names, limit)
		})
	}
	t.Run("after a name that is not a subject", func(t *testing.T) {
		items, next, err := f.Subjects(t.Context(), k.Connection, 1, "a5")
		if err != nil || len(items) != 1 || items[0].Key.Subject != "b" || next != "b" {
			t.Errorf("Subjects: %+v, next %q, %v; want b", items, next, err)
		}
	})
	t.Run("a connection without subjects has none", func(t *testing.T) {
		items, next, err := f.Subjects(t.Context(), k.Connection+"-y", 10, "")
		if err != nil || len(items) != 0 || next != "" {
			t.Errorf("Subjects: %+v, next %q, %v", items, next, err)
		}
	})
}

func subjectsInPages(t *testing.T, f *fixture, k tokenstore.Key, names []string, limit int) {
	after := ""
	var got []string
	for range len(names) {
		items, next, err := f.Subjects(t.Context(), k.Connection, limit, after)
		if err != nil || len(items) > limit || len(items) == 0 {
			t.Fatalf("Subjects after %q: %d items, %v", after, len(items), err)
		}
		for _, item := range items {
			got = append(got, item.Key.Subject)
			diff(t, "item", get(t, f, item.Key), item)
		}
		if after = next; next == "" {
			break
		}
	}
	diff(t, "names", names, got)
	diff(t, "next of the last page", "", after)
}
