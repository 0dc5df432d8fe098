package awsdynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
)

// granted returns a valid item with a grant and without a ttl, with changes.
func granted(changes attributes) attributes {
	item := with(attributes{"ttl": nil, "ttl_pin": nil})
	maps.Copy(item, attributes{
		"grant": bin("a sealed refresh token"), "grant_fp": str("rt_1"), "grant_generation": str("g1"), "grant_client": str("c1"),
		"grant_expires_at": num("1767423045678"), "consented_by": str("joe"), "consented_at": num("1767323040000"),
		"refreshed_at": num("1767323045678"),
		"spend_fp":     str("rt_1"), "spend_by": str("crashed"), "spend_at": num("1767323045000"), "spend_before": str("-"),
	})
	maps.Copy(item, changes)
	maps.DeleteFunc(item, func(_ string, v types.AttributeValue) bool { return v == nil })
	return item
}

// corruptGrants lists changes that make an item with a grant corrupt.
var corruptGrants = []struct {
	name    string
	changes attributes
	bad     string
}{
	{"BI-72 the refresh token is a string", attributes{"grant": str("x")}, "grant"},
	{"BI-72 the refresh token is missing", attributes{"grant": nil}, "grant"},
	{"BI-72 the fingerprint is missing", attributes{"grant_fp": nil}, "grant_fp"},
	{"BI-72 the fingerprint is a number", attributes{"grant_fp": num("1")}, "grant_fp"},
	{"BI-72 only consented_by", attributes{"grant": nil, "grant_fp": nil, "grant_generation": nil, "grant_client": nil,
		"grant_expires_at": nil, "consented_at": nil, "refreshed_at": nil}, "grant, grant_fp"},
	{"BI-72 grant_generation is null", attributes{"grant_generation": null()}, "grant_generation"},
	{"BI-72 grant_client is a list", attributes{"grant_client": list()}, "grant_client"},
	{"BI-72 grant_expires_at is a string", attributes{"grant_expires_at": str("never")}, "grant_expires_at"},
	{"BI-72 consented_at is negative", attributes{"consented_at": num("-1")}, "consented_at"},
	{"BI-72 consented_by is a number", attributes{"consented_by": num("1")}, "consented_by"},
	{"BI-72 refreshed_at is a string", attributes{"refreshed_at": str("now")}, "refreshed_at"},
	{"BI-75 no version with a grant", attributes{"version": nil, "token_id": nil, "sealed": nil, "minted_at": nil, "expires_at": nil}, "version"},
	{"FI-48 a newer schema", attributes{"schema": num("2")}, "schema"},
	{"BI-72 the token's expires_at is a string", attributes{"expires_at": str("soon")}, "expires_at"},
}

func TestDecodeGrant(t *testing.T) {
	store, _ := scripted(t, found(t, "Item", under(crm, granted(nil))))
	got, err := store.Get(t.Context(), crm, false)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	want := tokenstore.SealedGrant{
		Fingerprint: "rt_1", Sealed: []byte("a sealed refresh token"), SecretIncarnation: "g1", Client: "c1", ConsentedBy: "joe",
		ConsentedAt: fromMillis(1767323040000), RefreshedAt: fromMillis(1767323045678), ExpiresAt: fromMillis(1767423045678),
	}
	if d := cmp.Diff(want, got.Grant); d != "" {
		t.Errorf("grant (-want +got):\n%s", d)
	}
	mark := tokenstore.RefreshAttempt{Fingerprint: "rt_1", Attempt: "crashed", StartedAt: fromMillis(1767323045000)}
	if d := cmp.Diff(mark, got.RefreshAttempt); d != "" {
		t.Errorf("mark (-want +got):\n%s", d)
	}
}

func TestDecodeCorruptGrant(t *testing.T) {
	for _, tc := range corruptGrants {
		t.Run(tc.name, func(t *testing.T) {
			store, _ := scripted(t, found(t, "Item", under(crm, granted(tc.changes))))
			item, err := store.Get(t.Context(), crm, false)
			if want := "item corrupt: it holds a grant: unusable " + tc.bad; !errors.Is(err, tokenstore.ErrGrantCorrupt) || err.Error() != want {
				t.Errorf("Get: %v, want %s", err, want)
			}
			if d := cmp.Diff(tokenstore.Item{Key: crm}, item); d != "" {
				t.Errorf("item (-want +got):\n%s", d)
			}
		})
	}
	t.Run("BI-74 a lease that alone is corrupt does not affect the grant: the next acquisition replaces it", func(t *testing.T) {
		store, _ := scripted(t, found(t, "Item", under(crm, granted(attributes{"lease_owner": str("x")}))))
		_, err := store.Get(t.Context(), crm, false)
		if !errors.Is(err, tokenstore.ErrCorrupt) || errors.Is(err, tokenstore.ErrGrantCorrupt) {
			t.Errorf("Get: %v, want ErrCorrupt and not ErrGrantCorrupt", err)
		}
	})
}

func TestCorruptRefreshAttempt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		changes attributes
		want    tokenstore.RefreshAttempt
	}{
		{"BI-72 corrupt fingerprint", attributes{"spend_fp": num("1")},
			tokenstore.RefreshAttempt{Fingerprint: "rt_1", Attempt: "crashed", StartedAt: fromMillis(1767323045000)}},
		{"BI-72 corrupt owner", attributes{"spend_by": list()}, tokenstore.RefreshAttempt{Fingerprint: "rt_1", StartedAt: fromMillis(1767323045000)}},
		{"BI-72 corrupt instant", attributes{"spend_at": str("now")}, tokenstore.RefreshAttempt{Fingerprint: "rt_1", Attempt: "crashed", StartedAt: fromMillis(0)}},
		{"BI-72 corrupt earlier fingerprint", attributes{"spend_before": null()},
			tokenstore.RefreshAttempt{Fingerprint: "rt_1", Attempt: "crashed", StartedAt: fromMillis(1767323045000), Before: "rt_1"}},
	} {
		t.Run(tc.name+": it counts as the mark of the current refresh token", func(t *testing.T) {
			store, _ := scripted(t, found(t, "Item", under(crm, granted(tc.changes))))
			got, err := store.Get(t.Context(), crm, false)
			if err != nil || !cmp.Equal(tc.want, got.RefreshAttempt) {
				t.Errorf("Get: %v\n%s", err, cmp.Diff(tc.want, got.RefreshAttempt))
			}
		})
	}
}

// damagedGrants returns all corrupt items with a grant.
func damagedGrants() map[string]attributes {
	all := make(map[string]attributes)
	for _, tc := range corruptGrants {
		all[tc.name] = granted(tc.changes)
	}
	for _, tc := range corruptions {
		if !tc.keepsToken {
			all[tc.name] = maps.Clone(tc.item)
			maps.Copy(all[tc.name], attributes{"ttl": nil, "ttl_pin": nil, "grant": bin("a sealed refresh token"), "grant_fp": str("rt_1")})
			maps.DeleteFunc(all[tc.name], func(_ string, v types.AttributeValue) bool { return v == nil })
		}
	}
	return all
}

// besides returns an item without the attributes of lease and mark, which an
// acquisition may write before it sees that the item is corrupt.
func (e engine) besides(t *testing.T, k tokenstore.Key) attributes {
	t.Helper()
	item := e.raw(t, k)
	for _, name := range []string{"lease_owner", "lease_until", "lease_seq", "spend_fp", "spend_by", "spend_at", "spend_before"} {
		delete(item, name)
	}
	return item
}

func TestEngineKeepsCorruptGrants(t *testing.T) {
	e := newEngine(t)
	store, ctx := e.store(), t.Context()
	for i, name := range slices.Sorted(maps.Keys(damagedGrants())) {
		for _, subject := range []string{"", "joe"} {
			t.Run(name+", subject "+subject, func(t *testing.T) {
				k := tokenstore.Key{Connection: fmt.Sprint("grant-", i), Subject: subject}
				e.put(t, k, damagedGrants()[name])
				want := e.besides(t, k)
				for _, uses := range []bool{true, false} {
					a := acquire("holder")
					a.Key, a.UsesRefreshToken = k, uses
					item, err := store.Acquire(ctx, a)
					if !errors.Is(err, tokenstore.ErrGrantCorrupt) || !cmp.Equal(item, tokenstore.Item{Key: k}) {
						t.Errorf("Acquire: %+v, %v, want ErrGrantCorrupt", item, err)
					}
				}
				item, err := store.Drop(ctx, tokenstore.Drop{Key: k, Now: now})
				if !errors.Is(err, tokenstore.ErrGrantCorrupt) || !cmp.Equal(item, tokenstore.Item{Key: k}) {
					t.Errorf("Drop: %+v, %v, want ErrGrantCorrupt", item, err)
				}
				if raw := e.raw(t, k); raw["lease_owner"] != nil {
					t.Error("the lease was kept although it guards nothing")
				}
				if d := cmp.Diff(want, e.besides(t, k), sameAttributes); d != "" {
					t.Errorf("BI-72 the item was overwritten (-want +got):\n%s", d)
				}
			})
		}
	}
}

func TestEngineDropsCorruptGrants(t *testing.T) {
	e := newEngine(t)
	store, ctx := e.store(), t.Context()
	for i, name := range slices.Sorted(maps.Keys(damagedGrants())) {
		for _, subject := range []string{"", "joe"} {
			t.Run(name+", subject "+subject, func(t *testing.T) {
				k := tokenstore.Key{Connection: fmt.Sprint("reset-", i), Subject: subject}
				e.put(t, k, damagedGrants()[name])
				if _, err := store.Drop(ctx, tokenstore.Drop{Key: k, Grant: true, Now: now}); err != nil {
					t.Fatalf("Drop: %v", err)
				}
				item, err := store.Get(ctx, k, true)
				if err != nil || item.Token.ID != "" || item.Grant.Fingerprint != "" || item.RefreshAttempt.Attempt != "" || item.Version == 7 {
					t.Errorf("after Drop: %+v, %v", item, err)
				}
				grant := tokenstore.SealedGrant{Fingerprint: "rt_2", Sealed: []byte("sealed")}
				if _, err := store.StoreGrant(ctx, tokenstore.StoreGrant{Key: k, Owner: "a", Version: item.Version, Grant: grant, Now: now}); err != nil {
					t.Errorf("StoreGrant after it: %v", err)
				}
			})
		}
	}
}

// A new refresh token is stored even in a corrupt item.
func TestEngineStoresTheRefreshTokenOfACorruptItem(t *testing.T) {
	e := newEngine(t)
	e.put(t, crm, granted(attributes{"version": str("7"), "expires_at": str("soon"), "spend_by": str("holder")}))
	c := commit("holder", 7)
	c.Consumed, c.Grant = "rt_1", tokenstore.SealedGrant{Fingerprint: "rt_2", Sealed: []byte("the new one")}
	item, err := e.store().Commit(t.Context(), c)
	raw := e.raw(t, crm)
	if err != nil || item.Grant.Fingerprint != "rt_2" || !cmp.Equal(raw["grant"], bin("the new one"), sameAttributes) {
		t.Errorf("CR-07 Commit: %+v, %v", item.Grant, err)
	}
	if !cmp.Equal(raw["version"], str("7"), sameAttributes) || raw["spend_by"] != nil {
		t.Errorf("BI-72 version %v, mark %v", raw["version"], raw["spend_by"])
	}
}

func TestEngineLostResponsesOfGrants(t *testing.T) {
	e := newEngine(t)
	transport := &lossy{}
	e.client = newClient(*e.client.Options().BaseEndpoint, transport)
	store, ctx := e.store(), t.Context()
	grant := func(id string) tokenstore.SealedGrant {
		return tokenstore.SealedGrant{Fingerprint: id, Sealed: []byte(id)}
	}
	transport.lose = true
	item, err := store.StoreGrant(ctx, tokenstore.StoreGrant{Key: crm, Owner: "consenter", Grant: grant("rt_1"), Now: now})
	if err != nil || item.Version != 1 {
		t.Fatalf("FI-30 StoreGrant whose answer was lost: %+v, %v", item, err)
	}
	transport.lose = true
	a := acquire("holder")
	a.UsesRefreshToken = true
	item, err = store.Acquire(ctx, a)
	if err != nil || item.Lease.Owner != "holder" || item.Lease.Seq != 1 || item.RefreshAttempt.Before != "" || item.RefreshAttempt.Fingerprint != "rt_1" {
		t.Fatalf("FI-29 Acquire whose answer was lost: %+v, %v", item, err)
	}
	for _, next := range []string{"rt_2", "rt_2"} { // replaced, and repeated by the server
		c := commit("holder", item.Version)
		c.Consumed, c.Grant, c.Token.ID = item.Grant.Fingerprint, grant(next), fmt.Sprint("token_", item.Version)
		transport.lose = true
		got, err := store.Commit(ctx, c)
		if err != nil || got.Version != item.Version+1 || got.Token.ID != c.Token.ID || got.Grant.Fingerprint != next {
			t.Fatalf("FI-30 Commit whose answer was lost: %+v, %v", got, err)
		}
		item = got
	}
	transport.lose = true
	was, err := store.Drop(ctx, tokenstore.Drop{Key: crm, Grant: true, Now: now})
	if err != nil || was.Grant.Fingerprint != "rt_2" || was.Token.ID == "" {
		t.Errorf("CR-36 Drop whose response was lost returned %+v, %v; want the grant to revoke", was, err)
	}
}

func TestEngineListsCorruptSubjects(t *testing.T) {
	e := newEngine(t)
	for _, name := range []string{"ann", "bob", "joe"} {
		item := granted(nil)
		if name == "bob" {
			item = granted(attributes{"grant": str("x")})
		}
		e.put(t, tokenstore.Key{Connection: "crm", Subject: name}, item)
	}
	items, next, err := e.store().Subjects(t.Context(), "crm", 10, "")
	if err != nil || next != "" || len(items) != 3 {
		t.Fatalf("Subjects: %d items, next %q, %v", len(items), next, err)
	}
	if d := cmp.Diff(tokenstore.Item{Key: tokenstore.Key{Connection: "crm", Subject: "bob"}}, items[1]); d != "" {
		t.Errorf("BI-72 the corrupt item (-want +got):\n%s", d)
	}
	if items[0].Version == 0 || items[2].Version == 0 {
		t.Error("BI-72 the others cannot be told from it")
	}
}

func TestGrantRequests(t *testing.T) {
	mine := granted(attributes{"lease_owner": str("me"), "lease_until": num("1767323055678"), "spend_by": str("me")})
	taken := granted(attributes{"lease_owner": str("they"), "lease_until": num("1767323055678"), "spend_by": str("they")})
	changed := granted(attributes{"version": num("9"), "lease_owner": str("me"), "lease_until": num("1767323055678"), "spend_by": str("me")})
	applied := granted(attributes{"version": num("12"), "grant_fp": str("rt_2")})
	fine := found(t, "Attributes", mine)
	take := func(ctx context.Context, s *awsdynamodb.Table) error {
		a := acquire("me")
		a.UsesRefreshToken = true
		_, err := s.Acquire(ctx, a)
		return err
	}
	save := func(ctx context.Context, s *awsdynamodb.Table) error {
		c := commit("me", 7)
		c.Consumed, c.Grant = "rt_1", tokenstore.SealedGrant{Fingerprint: "rt_2", Sealed: []byte("x")}
		_, err := s.Commit(ctx, c)
		return err
	}
	drop := func(ctx context.Context, s *awsdynamodb.Table) error {
		_, err := s.Drop(ctx, tokenstore.Drop{Key: crm, Now: now})
		return err
	}
	disconnect := func(ctx context.Context, s *awsdynamodb.Table) error {
		_, err := s.Drop(ctx, tokenstore.Drop{Key: crm, Grant: true, Now: now})
		return err
	}
	for _, tc := range []struct {
		name    string
		call    func(context.Context, *awsdynamodb.Table) error
		answers []answer
		want    string
		err     error
	}{
		{"CR-12 lease and mark are one write", take, []answer{fine}, "UpdateItem", nil},
		{"FI-29 a lease that the owner already has and marked needs no second write", take, []answer{conditionFailed(t, mine)}, "UpdateItem", nil},
		{"CR-12 both tokens are one write", save, []answer{fine}, "UpdateItem", nil},
		{"CR-07 after a lost lease they are two", save, []answer{conditionFailed(t, taken), fine}, "UpdateItem UpdateItem", nil},
		{"CR-07 after a changed version they are two", save, []answer{conditionFailed(t, changed), fine}, "UpdateItem UpdateItem", nil},
		{"CR-07 after a lost lease and then a changed version they are three", save, []answer{conditionFailed(t, taken), conditionFailed(t, changed), fine}, "UpdateItem UpdateItem UpdateItem", nil},
		{"CR-36 the commit's own new refresh token is success", save, []answer{conditionFailed(t, applied)}, "UpdateItem", nil},
		{"CR-07 another refresh token is superseded", save, []answer{conditionFailed(t, granted(attributes{"grant_fp": str("rt_9")}))}, "UpdateItem", tokenstore.ErrSuperseded},
		{"CR-07 the current refresh token is never superseded", save, []answer{conditionFailed(t, mine)},
			"UpdateItem UpdateItem UpdateItem UpdateItem UpdateItem", tokenstore.ErrUnavailable},
		{"CR-16 a drop of an item with a grant is two", drop, []answer{conditionFailed(t, mine), fine}, "UpdateItem UpdateItem", nil},
		{"CR-16 a drop of an item that keeps changing ends", drop, []answer{conditionFailed(t, mine)},
			"UpdateItem UpdateItem UpdateItem UpdateItem UpdateItem UpdateItem", tokenstore.ErrUnavailable},
		{"CR-33 a disconnection reads first", disconnect, []answer{found(t, "Item", mine), fine}, "GetItem UpdateItem", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, script := scripted(t, tc.answers...)
			if err := tc.call(t.Context(), store); !errors.Is(err, tc.err) {
				t.Errorf("%v, want %v", err, tc.err)
			}
			if got := script.operations(); got != tc.want {
				t.Errorf("requests %s, want %s", got, tc.want)
			}
		})
	}
}
