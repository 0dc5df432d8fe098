// Package storetest is the conformance suite of token stores. It specifies each
// operation as a test, and every store must pass all of it.
//
// The suite uses the interface alone and fixed instants, so it runs the same on
// the memory store and on a real table. What only one store has (attributes, TTL,
// request counts) is tested in that store's package.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Store is everything that a token store implements.
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
	SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []tokenstore.ForcedRefresh) error
	AddVariant(ctx context.Context, key tokenstore.Key, variant string) error
	RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error
	Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error)
	Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error)
	Reslot(ctx context.Context, key tokenstore.Key, from, to string) error
	ReadDocument(ctx context.Context, name string) (tokenstore.Document, error)
	WriteDocument(ctx context.Context, n tokenstore.Document) (tokenstore.Document, error)
	GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error)
	ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error)
	WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error)
	DeclaredConnections(ctx context.Context, shard int, next string) ([]string, string, error)
}

// leaseTTL is the TTL of the suite's leases.
const leaseTTL = 19 * time.Second

// start is the instant at which the suite begins. It has more precision than a
// table stores, and a time zone other than UTC.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("far", 5*3600))

// Run runs the suite. It calls open once for each test. open may return the same
// store each time, because no two tests share a key.
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
		{"variants removed", variantsRemoved},
		{"forced refreshes", forcedRefreshes},
		{"store grant", storeGrant},
		{"acquire for refresh", refreshTokenUse},
		{"races to acquire for refresh", refreshTokenUseRaces},
		{"commit of a refresh", commitRefresh},
		{"commit races of a refresh", commitRefreshRaces},
		{"end of a refresh", endOfRefresh},
		{"grant dropped", dropGrant},
		{"subjects", subjects},
		{"due", due},
		{"reslot", reslot},
		{"documents", documents},
		{"declarations", declarations},
		{"ended context", endedContext},
		{"random operations", randomOperations},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, &fixture{Store: open(t)}) })
	}
}

// fixture is the store under test.
type fixture struct{ Store }

// run runs one test of an operation.
func (f *fixture) run(t *testing.T, name string, test func(t *testing.T, f *fixture)) {
	t.Run(name, func(t *testing.T) { test(t, f) })
}

// key returns the key of an item that only this test uses.
func key(t *testing.T) tokenstore.Key {
	return tokenstore.Key{Connection: "crm-" + digest.Short(t.Name())}
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

// committed returns the commit of a token whose fields contain id. Every field is
// set.
func committed(k tokenstore.Key, owner string, version int64, id string) tokenstore.Commit {
	return tokenstore.Commit{
		Key: k, Owner: owner, Version: version, SecretIncarnation: "generation-" + id,
		Token: tokenstore.SealedToken{
			ID: id, Sealed: []byte("\x00\xffsealed-" + id),
			MintedAt: start.Add(-time.Second), ExpiresAt: start.Add(time.Hour + 123456*time.Nanosecond),
			MintID: "mint-" + id, ConfigHash: "declaration-" + id, SecretVersion: "secret-" + id,
			Departures: []string{"scope", "token_type-" + id}, ExtraNames: []string{"extra-" + id},
		},
		Used: true, RenewSlot: "45m/07/3", Now: start,
	}
}

// mustMint acquires and commits, and returns the resulting item.
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
		Count: count, Code: "provider_unavailable", Status: 503, ProviderCode: "temporarily_unavailable", Detail: "expires_in is a list",
		FailedAt: start, NextAttemptAt: start.Add(2 * time.Second), Cause: "secret 1, configuration 2",
	}
}

// stored returns an instant as a store returns it: in milliseconds and UTC, without
// a monotonic reading.
func stored(at time.Time) time.Time { return at.Truncate(time.Millisecond).UTC() }

// forcedAt returns forced refreshes at these instants, the first by a principal
// that is known and the others by one each.
func forcedAt(at ...time.Time) []tokenstore.ForcedRefresh {
	forced := make([]tokenstore.ForcedRefresh, len(at))
	for i := range at {
		forced[i] = tokenstore.ForcedRefresh{At: at[i], By: fmt.Sprintf("principal-%d", i)}
	}
	return forced
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
