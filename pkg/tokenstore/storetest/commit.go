package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func missingItem(t *testing.T, f *fixture) {
	for _, consistent := range []bool{false, true} {
		k := key(t)
		item, err := f.Get(t.Context(), k, consistent)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		diff(t, "a missing item is the zero Item with its Key", tokenstore.Item{Key: k}, item)
	}
}

func roundTrip(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	if _, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start}); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	if err := f.AddVariant(t.Context(), k, "0badcafe"); err != nil {
		t.Fatalf("AddVariant: %v", err)
	}
	c := committed(k, "minter", 2, "token_2")
	mustAcquire(t, f, k, "minter", start)
	got, err := f.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	want := tokenstore.Item{
		Key: k, Version: 3, SecretIncarnation: c.SecretIncarnation, Token: c.Token, Lease: tokenstore.Lease{Seq: 2},
		Used: true, RenewSlot: c.RenewSlot, Variants: []string{"0badcafe"},
	}
	want.Token.MintedAt, want.Token.ExpiresAt = stored(c.Token.MintedAt), stored(c.Token.ExpiresAt)
	diff(t, "after Commit", want, got)
	diff(t, "after Get", want, get(t, f, k))

	forced := forcedAt(start.Add(-time.Minute), start)
	mustAcquire(t, f, k, "second", start)
	got, err = f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 3, TokenID: "token_2", ForcedRefreshes: forced})
	if err != nil {
		t.Fatalf("Reject: %v", err)
	}
	want.Version, want.RejectedID = 4, "token_2"
	want.ForcedRefreshes = forcedAt(stored(forced[0].At), stored(forced[1].At))
	want.Lease = tokenstore.Lease{Owner: "second", Until: stored(start.Add(leaseTTL)), Seq: 3}
	diff(t, "after Reject", want, got)
	diff(t, "after Get", want, get(t, f, k))
	got.Token.Sealed[0], got.ForcedRefreshes[0].By, got.Variants[0] = 'x', "x", "x"
	diff(t, "a returned value is the caller's", want, get(t, f, k))
}

func keys(t *testing.T, f *fixture) {
	own := key(t)
	variant, subject, both := own, own, own
	variant.Variant, subject.Subject = "default", "default"
	both.Subject, both.Variant = "default", "default"
	other := own
	other.Connection += ".member"
	all := []tokenstore.Key{own, variant, subject, both, other}
	for i, k := range all {
		mustMint(t, f, k, fmt.Sprint("token_", i))
	}
	for i, k := range all {
		if item := get(t, f, k); item.Token.ID != fmt.Sprint("token_", i) || item.Version != 1 || item.Key != k {
			t.Errorf("CR-37 key %+v holds version %d of token %s", k, item.Version, item.Token.ID)
		}
	}
}

func commit(t *testing.T, f *fixture) {
	f.run(t, "CR-07 a lost lease does not fence a commit, and its new owner keeps it", commitAfterLostLease)
	f.run(t, "CR-07 an ended lease does not fence a commit", commitAfterEndedLease)
	f.run(t, "CR-07 a commit without a lease is fenced by the version alone", commitWithoutLease)
	f.run(t, "FI-07 CR-07 a changed version fences a commit", commitAtChangedVersion)
	f.run(t, "FI-33 a version larger than that of the item, which has expired, fences a commit", commitOverExpiredItem)
	f.run(t, "FI-30 CR-36 a repeated commit succeeds and increments the version once", commitRepeated)
	f.run(t, "CR-36 a repeated commit keeps the next owner's lease", commitRepeatedUnderNextLease)
	f.run(t, "CR-18 removes failure and rejection, and fields that the new token does not have", commitClears)
}

func commitAfterLostLease(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "slow", start)
	next := mustAcquire(t, f, k, "next", start.Add(time.Hour))
	item, err := f.Commit(t.Context(), committed(k, "slow", 0, "token_1"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	diff(t, "lease", next.Lease, item.Lease)
	diff(t, "stored", item, get(t, f, k))
	if item.Version != 1 || item.Token.ID != "token_1" {
		t.Errorf("version %d of token %q, want 1 of token_1", item.Version, item.Token.ID)
	}
}

func commitAfterEndedLease(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "slow", start)
	if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: "slow"}); err != nil {
		t.Fatalf("Release: %v", err)
	}
	if item, err := f.Commit(t.Context(), committed(k, "slow", 0, "token_1")); err != nil || item.Version != 1 {
		t.Errorf("Commit: version %d, %v, want 1", item.Version, err)
	}
}

func commitWithoutLease(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	if item, err := f.Commit(t.Context(), committed(k, "", 1, "token_2")); err != nil || item.Token.ID != "token_2" || item.Version != 2 {
		t.Errorf("Commit: version %d of %q, %v", item.Version, item.Token.ID, err)
	}
	if _, err := f.Commit(t.Context(), committed(k, "", 1, "token_3")); !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("Commit over another version: %v", err)
	}
}

func commitAtChangedVersion(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "slow", start)
	mustAcquire(t, f, k, "next", start.Add(time.Hour))
	if _, err := f.Commit(t.Context(), committed(k, "next", 0, "token_2")); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	want := get(t, f, k)
	item, err := f.Commit(t.Context(), committed(k, "slow", 0, "token_1"))
	if !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Fatalf("late Commit: %v, want ErrSuperseded", err)
	}
	diff(t, "returned", want, item)
	diff(t, "stored", want, get(t, f, k))
}

func commitOverExpiredItem(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "holder", start)
	want := get(t, f, k)
	item, err := f.Commit(t.Context(), committed(k, "holder", 3, "token_1"))
	if !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Fatalf("Commit: %v, want ErrSuperseded", err)
	}
	diff(t, "returned", want, item)
	diff(t, "stored", want, get(t, f, k))
}

func commitRepeated(t *testing.T, f *fixture) {
	k := key(t)
	mustAcquire(t, f, k, "holder", start)
	var first tokenstore.Item
	for i := range 2 {
		item, err := f.Commit(t.Context(), committed(k, "holder", 0, "token_1"))
		if err != nil {
			t.Fatalf("Commit %d: %v", i, err)
		}
		if i == 0 {
			first = item
		}
		diff(t, "item", first, item)
	}
	diff(t, "stored", first, get(t, f, k))
}

func commitRepeatedUnderNextLease(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	want := mustAcquire(t, f, k, "next", start)
	if _, err := f.Commit(t.Context(), committed(k, "minter-of-token_1", 0, "token_1")); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	diff(t, "stored", want, get(t, f, k))
}

func commitClears(t *testing.T, f *fixture) {
	k := key(t)
	mustMint(t, f, k, "token_1")
	if _, err := f.Reject(t.Context(), tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1", ForcedRefreshes: forcedAt(start)}); err != nil {
		t.Fatalf("Reject: %v", err)
	}
	mustAcquire(t, f, k, "failing", start)
	if err := f.Fail(t.Context(), failed(k, "failing", 1)); err != nil {
		t.Fatalf("Fail: %v", err)
	}
	mustAcquire(t, f, k, "holder", start)
	bare := committed(k, "holder", 2, "token_2")
	bare.SecretIncarnation, bare.Token.ConfigHash, bare.Token.SecretVersion = "", "", ""
	bare.Used, bare.RenewSlot = false, ""
	got, err := f.Commit(t.Context(), bare)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	want := tokenstore.Item{
		Key: k, Version: 3, Token: bare.Token, Lease: tokenstore.Lease{Seq: 3}, ForcedRefreshes: forcedAt(stored(start)),
	}
	want.Token.MintedAt, want.Token.ExpiresAt = stored(bare.Token.MintedAt), stored(bare.Token.ExpiresAt)
	diff(t, "item", want, got)
	diff(t, "stored", want, get(t, f, k))
}

func commitRaces(t *testing.T, f *fixture) {
	f.run(t, "FI-07 of 50 commits at one version one succeeds", commitsRace)
	f.run(t, "FI-49 a concurrent drop and commit: a drop that is last removes the token", dropAndCommitRace)
}

func commitsRace(t *testing.T, f *fixture) {
	k := key(t)
	held := mustMint(t, f, k, "token_0")
	errs := race(50, func(i int) error {
		id := fmt.Sprint("token_", i+1)
		_, err := f.Commit(t.Context(), committed(k, "owner-of-"+id, held.Version, id))
		return err
	})
	item := get(t, f, k)
	for i, err := range errs {
		won := item.Token.ID == fmt.Sprint("token_", i+1)
		if won && err != nil || !won && !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("commit %d: %v, and the table holds %s", i+1, err, item.Token.ID)
		}
	}
	if item.Version != held.Version+1 {
		t.Errorf("version %d, want %d", item.Version, held.Version+1)
	}
}

func dropAndCommitRace(t *testing.T, f *fixture) {
	k := key(t)
	for i := range 20 {
		id := fmt.Sprint("token_", i)
		held := mustAcquire(t, f, k, id, start)
		errs := race(2, func(j int) error {
			if j == 0 {
				_, err := f.Drop(t.Context(), tokenstore.Drop{Key: k, Now: start})
				return err
			}
			_, err := f.Commit(t.Context(), committed(k, id, held.Version, id))
			return err
		})
		item := get(t, f, k)
		committed := errs[1] == nil
		if errs[0] != nil || item.Token.ID != "" || committed != (item.Version == held.Version+2) {
			t.Fatalf("drop %v, commit %v, then version %d (was %d) with token %q",
				errs[0], errs[1], item.Version, held.Version, item.Token.ID)
		}
		if err := f.Release(t.Context(), tokenstore.Release{Key: k, Owner: id}); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
}
