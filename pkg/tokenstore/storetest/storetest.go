// Package storetest is the conformance suite of token stores: the place where
// each operation's promise is written down, as a test.
//
// A store passes all of it or is no store. The suite drives the interface
// alone and uses fixed instants, so that it runs the same on memory and on a
// real table; what only one engine has (attributes, TTL, request counts) is
// tested beside that engine's adapter.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Store is what a store must do; the core declares the same.
type Store interface {
	Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error)
	Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error)
	Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error)
	StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error)
	Fail(ctx context.Context, f tokenstore.Fail) error
	Release(ctx context.Context, r tokenstore.Release) error
	Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error)
	Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error)
	MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error
	SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []time.Time) error
	AddVariant(ctx context.Context, key tokenstore.Key, variant string) error
	RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error
	Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error)
	Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error)
	Reslot(ctx context.Context, key tokenstore.Key, from, to string) error
	ReadDocument(ctx context.Context, name string) (tokenstore.Document, error)
	WriteDocument(ctx context.Context, n tokenstore.Document) (tokenstore.Document, error)
}

// leaseTTL is the length of every lease the suite takes.
const leaseTTL = 20 * time.Second

// start is when the suite begins: with a fraction that no table keeps, and in a
// zone that is not UTC.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("far", 5*3600))

// Run runs the suite. open is called once per test, and may return the same
// store each time: no two tests share a key.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, f *fixture)
	}{
		{"missing item", missingItem},
		{"round trip", roundTrip},
		{"keys", keys},
		{"lease", lease},
		{"lease races", leaseRaces},
		{"commit", commit},
		{"commit races", commitRaces},
		{"fail", fail},
		{"release", release},
		{"reject", reject},
		{"drop", drop},
		{"mark used", markUsed},
		{"variants", variants},
		{"variants taken back", variantsTakenBack},
		{"forced", forcedInstants},
		{"adopt", adopt},
		{"spend", spend},
		{"spend races", spendRaces},
		{"commit of a grant", commitGrant},
		{"commit races of a grant", commitGrantRaces},
		{"outcome of a refresh", outcome},
		{"grant dropped", dropGrant},
		{"subjects", subjects},
		{"due", due},
		{"reslot", reslot},
		{"notes", notes},
		{"ended context", endedContext},
		{"random operations", randomOperations},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, &fixture{Store: open(t)}) })
	}
}

// fixture is a store and a few verbs of the suite.
type fixture struct{ Store }

// key names an item that belongs to this test alone.
func key(t *testing.T) tokenstore.Key {
	sum := sha256.Sum256([]byte(t.Name()))
	return tokenstore.Key{Connection: "crm-" + hex.EncodeToString(sum[:8])}
}

func get(t *testing.T, f *fixture, k tokenstore.Key) tokenstore.Item {
	t.Helper()
	item, err := f.Get(t.Context(), k, true)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return item
}

func acquire(k tokenstore.Key, owner string, now time.Time) tokenstore.Acquire {
	return tokenstore.Acquire{Key: k, Owner: owner, Now: now, TTL: leaseTTL}
}

func mustAcquire(t *testing.T, f *fixture, k tokenstore.Key, owner string, now time.Time) tokenstore.Item {
	t.Helper()
	item, err := f.Acquire(t.Context(), acquire(k, owner, now))
	if err != nil {
		t.Fatalf("Acquire by %s: %v", owner, err)
	}
	return item
}

// committed is the commit of a token that names itself after id, with every
// field filled in.
func committed(k tokenstore.Key, owner string, version int64, id string) tokenstore.Commit {
	return tokenstore.Commit{
		Key: k, Owner: owner, Version: version, SecretIncarnation: "generation-" + id,
		Token: tokenstore.SealedToken{
			ID: id, Sealed: []byte("\x00\xffsealed-" + id),
			MintedAt: start.Add(-time.Second), ExpiresAt: start.Add(time.Hour + 123456*time.Nanosecond),
			ConfigHash: "declaration-" + id, SecretVersion: "secret-" + id,
		},
		Used: true, RenewSlot: "45m/07/3", Now: start,
	}
}

// mustMint acquires and commits, and returns the item as it then stands.
func mustMint(t *testing.T, f *fixture, k tokenstore.Key, id string) tokenstore.Item {
	t.Helper()
	held := mustAcquire(t, f, k, "minter-of-"+id, start)
	item, err := f.Commit(t.Context(), committed(k, "minter-of-"+id, held.Version, id))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return item
}

func failure(count int) tokenstore.Failure {
	return tokenstore.Failure{
		Count: count, Code: "provider_unavailable", Status: 503, ProviderCode: "temporarily_unavailable",
		FailedAt: start, NextAttemptAt: start.Add(2 * time.Second), Cause: "secret 1, configuration 2",
	}
}

// stored is an instant as a store gives it back: milliseconds, UTC, no monotonic reading.
func stored(at time.Time) time.Time { return at.Truncate(time.Millisecond).UTC() }

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
