package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func commitRefresh(t *testing.T, f *fixture) {
	for _, version := range []int64{-1, 1} {
		t.Run(fmt.Sprint("CR-07 without a lease the consumed refresh token fences, version ", version), func(t *testing.T) {
			refreshWithoutLease(t, f, version)
		})
	}
	for _, next := range []string{"rt_2", "rt_1"} {
		t.Run("CR-12 both tokens are stored, the mark is removed, new refresh token "+next, func(t *testing.T) {
			refreshStoresBothTokens(t, f, next)
		})
		t.Run("FI-30 CR-36 repeated, it succeeds and increments the version once, new refresh token "+next, func(t *testing.T) {
			refreshRepeated(t, f, next)
		})
		t.Run("CR-07 after a lost lease both tokens are stored, and the new owner keeps lease and mark, new refresh token "+next, func(t *testing.T) {
			refreshAfterLostLease(t, f, next)
		})
		t.Run("CR-07 FI-08 a changed version discards the access token alone, new refresh token "+next, func(t *testing.T) {
			refreshAtChangedVersion(t, f, next)
		})
	}
	f.run(t, "CR-07 after a lost lease and a changed version the refresh token is stored", refreshAfterLostLeaseAndDrop)
	f.run(t, "CR-18 removes failure and rejection", refreshClears)
	superseded(t, f)
	f.run(t, "CR-16 a commit without a refresh token keeps the grant and another owner's mark", commitKeepsGrant)
}

func refreshWithoutLease(t *testing.T, f *fixture, version int64) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	item, err := f.Commit(t.Context(), refreshed(k, "", version, "rt_1", "rt_2", "token_2"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	diff(t, "grant", storedGrant("rt_2"), item.Grant)
	if taken := item.Token.ID == "token_2"; taken != (version == 1) {
		t.Errorf("token %s at version %d", item.Token.ID, item.Version)
	}
}

func refreshStoresBothTokens(t *testing.T, f *fixture, next string) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	held := mustAcquireForRefresh(t, f, k, "holder", start)
	c := refreshed(k, "holder", held.Version, "rt_1", next, "token_2")
	got, err := f.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	want := tokenstore.Item{
		Key: k, Version: 2, SecretIncarnation: c.SecretIncarnation, Token: storedToken(c.Token), Lease: tokenstore.Lease{Seq: 2},
		Used: true, RenewSlot: c.RenewSlot, Grant: storedGrant(next),
	}
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func refreshRepeated(t *testing.T, f *fixture, next string) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	held := mustAcquireForRefresh(t, f, k, "holder", start)
	c := refreshed(k, "holder", held.Version, "rt_1", next, "token_2")
	if _, err := f.Commit(t.Context(), c); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	want := mustAcquireForRefresh(t, f, k, "after", start)
	got, err := f.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("Commit again: %v", err)
	}
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func refreshAfterLostLease(t *testing.T, f *fixture, next string) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	held := mustAcquireForRefresh(t, f, k, "slow", start)
	after := mustAcquireForRefresh(t, f, k, "next", start.Add(time.Hour))
	c := refreshed(k, "slow", held.Version, "rt_1", next, "token_2")
	got, err := f.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	want := after
	want.Version, want.SecretIncarnation, want.Token, want.Grant = 2, c.SecretIncarnation, storedToken(c.Token), storedGrant(next)
	want.Used = true
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func refreshAtChangedVersion(t *testing.T, f *fixture, next string) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	held := mustAcquireForRefresh(t, f, k, "holder", start)
	if _, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1"}); err != nil {
		t.Fatalf("Reject: %v", err)
	}
	want := get(t, f, k)
	want.Grant, want.RefreshAttempt, want.Lease = storedGrant(next), tokenstore.RefreshAttempt{}, tokenstore.Lease{Seq: 2}
	for i := range 2 {
		got, err := f.Commit(t.Context(), refreshed(k, "holder", held.Version, "rt_1", next, "token_2"))
		if err != nil {
			t.Fatalf("Commit %d: %v", i, err)
		}
		diff(t, "item", want, got)
	}
	diff(t, "stored", want, get(t, f, k))
}

func refreshAfterLostLeaseAndDrop(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	held := mustAcquireForRefresh(t, f, k, "slow", start)
	if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start}); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	want := mustAcquireForRefresh(t, f, k, "next", start.Add(time.Hour))
	got, err := f.Commit(t.Context(), refreshed(k, "slow", held.Version, "rt_1", "rt_2", "token_2"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	want.Grant = storedGrant("rt_2")
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func refreshClears(t *testing.T, f *fixture) {
	k := key(t)
	was := itemWithEverything(t, f, k)
	got, err := f.Commit(t.Context(), refreshed(k, "consenter", was.Version, "rt_1", "rt_2", "token_2"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if got.Failure.Count != 0 || got.RejectedID != "" {
		t.Errorf("item %+v", got)
	}
	diff(t, "another attempt's mark", was.RefreshAttempt, got.RefreshAttempt)
}

func commitKeepsGrant(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	was := mustAcquireForRefresh(t, f, k, "crashed", start)
	held := mustAcquire(t, f, k, "holder", start.Add(time.Hour))
	got, err := f.Commit(t.Context(), committed(k, "holder", held.Version, "token_2"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if got.Token.ID != "token_2" || got.Lease.Owner != "" || got.Version != 2 {
		t.Errorf("item %+v", got)
	}
	diff(t, "grant", was.Grant, got.Grant)
	diff(t, "mark", was.RefreshAttempt, got.RefreshAttempt)
	diff(t, "stored", got, get(t, f, k))
}

// superseded tests commits of a refresh token that the item no longer has.
func superseded(t *testing.T, f *fixture) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, k tokenstore.Key)
	}{
		{"FI-08 replaced by another refresh", func(t *testing.T, k tokenstore.Key) {
			held := mustAcquireForRefresh(t, f, k, "next", start.Add(time.Hour))
			if _, err := f.Commit(t.Context(), refreshed(k, "next", held.Version, "rt_1", "rt_3", "token_3")); err != nil {
				t.Fatalf("Commit: %v", err)
			}
		}},
		{"CR-07 replaced by a new consent", func(t *testing.T, k tokenstore.Key) { mustReplaceGrant(t, f, k) }},
		{"FI-49 dropped", func(t *testing.T, k tokenstore.Key) {
			if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Grant: true, Now: start}); err != nil {
				t.Fatalf("Drop: %v", err)
			}
		}},
	} {
		t.Run(tc.name+": nothing is written", func(t *testing.T) {
			k := key(t)
			mustStoreGrant(t, f, k, "rt_1", "token_1")
			held := mustAcquireForRefresh(t, f, k, "slow", start)
			tc.change(t, k)
			want := get(t, f, k)
			got, err := f.Commit(t.Context(), refreshed(k, "slow", held.Version, "rt_1", "rt_2", "token_2"))
			if !errors.Is(err, tokenstore.ErrSuperseded) {
				t.Fatalf("Commit: %v, want ErrSuperseded", err)
			}
			diff(t, "returned", want, got)
			diff(t, "stored", want, get(t, f, k))
		})
	}
	f.run(t, "FI-33 a missing item stays missing", refreshOfMissingItem)
	f.run(t, "CR-07 FI-08 lease and version do not suffice when a late owner stored a newer one", refreshOfReplacedToken)
	f.run(t, "CR-07 two refreshes that received the same new refresh token both succeed", refreshesWithSameResult)
}

func refreshOfMissingItem(t *testing.T, f *fixture) {
	k := key(t)
	for _, version := range []int64{0, 3} {
		_, err := f.Commit(t.Context(), refreshed(k, "holder", version, "rt_1", "rt_2", "token_2"))
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("Commit at version %d: %v, want ErrSuperseded", version, err)
		}
	}
	diff(t, "stored", tokenstore.Item{Key: k}, get(t, f, k))
}

func refreshOfReplacedToken(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	slow := mustAcquireForRefresh(t, f, k, "slow", start)
	if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start}); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	next := mustAcquireForRefresh(t, f, k, "next", start.Add(time.Hour))
	if _, err := f.Commit(t.Context(), refreshed(k, "slow", slow.Version, "rt_1", "rt_2", "token_2")); err != nil {
		t.Fatalf("late Commit: %v", err)
	}
	want := get(t, f, k)
	got, err := f.Commit(t.Context(), refreshed(k, "next", next.Version, "rt_1", "rt_3", "token_3"))
	if !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Fatalf("Commit: %v, want ErrSuperseded", err)
	}
	diff(t, "returned", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func refreshesWithSameResult(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_1", "token_1")
	slow := mustAcquireForRefresh(t, f, k, "slow", start)
	next := mustAcquireForRefresh(t, f, k, "next", start.Add(time.Hour))
	want, err := f.Commit(t.Context(), refreshed(k, "next", next.Version, "rt_1", "rt_2", "token_3"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	got, err := f.Commit(t.Context(), refreshed(k, "slow", slow.Version, "rt_1", "rt_2", "token_2"))
	if err != nil {
		t.Fatalf("Commit of the slow one: %v", err)
	}
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func mustReplaceGrant(t *testing.T, f *fixture, k tokenstore.Key) {
	t.Helper()
	held := mustAcquire(t, f, k, "consenter", start.Add(time.Hour))
	if _, err := f.StoreGrant(t.Context(), newStoreGrant(k, "consenter", held.Version, "rt_new", "token_new")); err != nil {
		t.Fatalf("StoreGrant: %v", err)
	}
}

func commitRefreshRaces(t *testing.T, f *fixture) {
	f.run(t, "CR-07 FI-08 of 50 commits for the same refresh token one is stored, with every field", refreshesRace)
	f.run(t, "CR-07 whatever changes the version concurrently, the refresh token is stored", refreshAndEditsRace)
	f.run(t, "CR-07 a concurrent refresh and consent: a stored consent is kept", refreshAndConsentRace)
}

func refreshesRace(t *testing.T, f *fixture) {
	k := key(t)
	held := mustStoreGrant(t, f, k, "rt_0", "token_0")
	errs := race(50, func(i int) error {
		id := fmt.Sprint(i + 1)
		_, err := f.Commit(t.Context(), refreshed(k, "owner-"+id, held.Version, "rt_0", "rt_"+id, "token_"+id))
		return err
	})
	item := get(t, f, k)
	for i, err := range errs {
		won := item.Grant.Fingerprint == fmt.Sprint("rt_", i+1)
		if won && err != nil || !won && !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("commit %d: %v, and the item holds %s", i+1, err, item.Grant.Fingerprint)
		}
	}
	if item.Version != 2 || "rt_"+item.Token.ID[len("token_"):] != item.Grant.Fingerprint {
		t.Errorf("version %d with %s beside %s", item.Version, item.Token.ID, item.Grant.Fingerprint)
	}
}

func refreshAndEditsRace(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_0", "token_0")
	for i := range 20 {
		owner, next := fmt.Sprint("owner-", i), fmt.Sprint("rt_", i+1)
		held := mustAcquireForRefresh(t, f, k, owner, start)
		errs := race(3, func(j int) error {
			switch j {
			case 0:
				_, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, RenewSlot: "kept", Now: start})
				return err
			case 1:
				return f.MarkUsed(t.Context(), k, held.Version)
			}
			_, err := f.Commit(t.Context(), refreshed(k, owner, held.Version, held.Grant.Fingerprint, next, "token"))
			return err
		})
		item := get(t, f, k)
		if !cmp.Equal(errs, make([]error, 3)) || item.Grant.Fingerprint != next || item.RefreshAttempt.Fingerprint != "" || item.Lease.Owner != "" || item.Token.ID != "" {
			t.Fatalf("%v, then %+v", errs, item)
		}
	}
}

func refreshAndConsentRace(t *testing.T, f *fixture) {
	k := key(t)
	mustStoreGrant(t, f, k, "rt_0", "token_0")
	for i := range 20 {
		held := mustAcquireForRefresh(t, f, k, fmt.Sprint("slow-", i), start.Add(time.Duration(2*i)*time.Hour))
		taken := mustAcquire(t, f, k, "consenter", start.Add(time.Duration(2*i+1)*time.Hour))
		consent := fmt.Sprint("rt_consent_", i)
		errs := race(2, func(j int) error {
			if j == 0 {
				_, err := f.StoreGrant(t.Context(), newStoreGrant(k, "consenter", taken.Version, consent, consent))
				return err
			}
			_, err := f.Commit(t.Context(), refreshed(k, fmt.Sprint("slow-", i), held.Version, held.Grant.Fingerprint, fmt.Sprint("rt_", i), "token"))
			return err
		})
		// The second of the two failed: the consent because the commit changed the
		// version, or the commit because the grant was replaced.
		item := get(t, f, k)
		consented := errs[0] == nil
		if consented != (item.Grant.Fingerprint == consent) || consented == (errs[1] == nil) {
			t.Fatalf("store grant %v, commit %v, then %s", errs[0], errs[1], item.Grant.Fingerprint)
		}
		if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: "consenter"}); err != nil {
			t.Fatal(err)
		}
	}
}
