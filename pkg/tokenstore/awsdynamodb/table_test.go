package awsdynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
)

// put writes a raw item.
func (e engine) put(t *testing.T, key tokenstore.Key, item attributes) {
	t.Helper()
	if _, err := e.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &e.table, Item: under(key, item)}); err != nil {
		t.Fatalf("put a raw item: %v", err)
	}
}

// raw reads the attributes of an item.
func (e engine) raw(t *testing.T, key tokenstore.Key) attributes {
	t.Helper()
	out, err := e.client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &e.table, Key: under(key, nil), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatalf("read a raw item: %v", err)
	}
	return out.Item
}

func TestEngineRepairsCorruptItems(t *testing.T) {
	e := newEngine(t)
	store := e.store()
	for i, tc := range corruptions {
		t.Run(tc.name, func(t *testing.T) {
			k := tokenstore.Key{Connection: fmt.Sprint("corrupt-", i)}
			e.put(t, k, tc.item)
			a := acquire("holder")
			a.Key = k
			held, err := store.Acquire(t.Context(), a)
			if err != nil {
				t.Fatalf("Acquire: %v", err)
			}
			if got, err := store.Get(t.Context(), k, true); err != nil || !cmp.Equal(held, got) {
				t.Errorf("Get after Acquire: %v\n%s", err, cmp.Diff(held, got))
			}
			if keeps := held.Token.ID != ""; keeps != tc.keepsToken || held.Lease.Owner != "holder" || held.Lease.Seq < 1 {
				t.Errorf("under the lease: %+v, want a token: %v", held, tc.keepsToken)
			}
			c := commit("holder", held.Version)
			c.Key = k
			if item, err := store.Commit(t.Context(), c); err != nil || item.Version != held.Version+1 || item.Lease.Owner != "" {
				t.Errorf("Commit: version %d, %v; want %d", item.Version, err, held.Version+1)
			}
		})
	}
}

// interceptor is a client that calls after once, after its first write.
type interceptor struct {
	*dynamodb.Client
	after func()
}

func (m *interceptor) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	out, err := m.Client.UpdateItem(ctx, in, o...)
	if after := m.after; after != nil {
		m.after = nil
		after()
	}
	return out, err
}

// A late owner commits between the two writes of a repair; its token must be kept.
func TestEngineDoesNotRepairAChangedItem(t *testing.T) {
	e := newEngine(t)
	e.put(t, crm, with(attributes{"expires_at": str("soon")}))
	client := &interceptor{Client: e.client, after: func() {
		if _, err := e.store().Commit(t.Context(), commit("late", 7)); err != nil {
			t.Errorf("late Commit: %v", err)
		}
	}}
	store := awsdynamodb.New(awsdynamodb.Config{Client: client, Table: e.table})
	held, err := store.Acquire(t.Context(), acquire("holder"))
	if err != nil || held.Token.ID != "token_1" || held.Version != 8 || held.Lease.Owner != "holder" {
		t.Errorf("BI-72 Acquire: %+v, %v; want the late token under the lease", held, err)
	}
}

func TestEngineDropsCorruptItems(t *testing.T) {
	e := newEngine(t)
	store := e.store()
	for i, tc := range corruptions {
		t.Run(tc.name, func(t *testing.T) {
			k := tokenstore.Key{Connection: fmt.Sprint("dropped-", i)}
			e.put(t, k, tc.item)
			if _, err := store.Drop(t.Context(), tokenstore.Drop{Key: k, Now: now}); err != nil {
				t.Fatalf("Drop: %v", err)
			}
			if raw := e.raw(t, k); raw["token_id"] != nil || cmp.Equal(raw["version"], tc.item["version"], sameAttributes) {
				t.Errorf("dropped, but token %v is stored at version %v", raw["token_id"], raw["version"])
			}
			a := acquire("holder")
			a.Key = k
			if _, err := store.Acquire(t.Context(), a); err != nil {
				t.Errorf("Acquire: %v", err)
			}
		})
	}
}

func TestEngineTTL(t *testing.T) {
	e := newEngine(t)
	store := e.store()
	day, ctx := 24*time.Hour, t.Context()
	expiry, lease := now.Add(time.Hour), now.Add(19*time.Second)
	take := func(k tokenstore.Key, owner string) error {
		a := acquire(owner)
		a.Key = k
		_, err := store.Acquire(ctx, a)
		return err
	}
	saveAt := func(k tokenstore.Key, owner string, version int64) error {
		c := commit(owner, version)
		c.Key = k
		_, err := store.Commit(ctx, c)
		return err
	}
	save := func(k tokenstore.Key, owner string) error {
		if err := saveAt(k, owner, 0); !errors.Is(err, tokenstore.ErrSuperseded) {
			return err
		}
		return nil
	}
	storeGrant := func(k tokenstore.Key, owner string, version int64) error {
		grant := tokenstore.SealedGrant{Fingerprint: "rt_1", Sealed: []byte("sealed")}
		_, err := store.StoreGrant(ctx, tokenstore.StoreGrant{Key: k, Owner: owner, Version: version, Grant: grant, Now: now})
		return err
	}
	drop := func(k tokenstore.Key, grant bool) error {
		_, err := store.Drop(ctx, tokenstore.Drop{Key: k, Grant: grant, Now: now})
		return err
	}
	fail := func(k tokenstore.Key, owner string, next time.Time) error {
		failure := tokenstore.Failure{Count: 1, FailedAt: now, NextAttemptAt: next}
		return store.Fail(ctx, tokenstore.Fail{Key: k, Owner: owner, Failure: failure, Now: now})
	}
	for i, tc := range []struct {
		name    string
		subject string
		found   attributes
		run     func(k tokenstore.Key) error
		want    time.Time // zero: no ttl
	}{
		{"CR-16 lease", "", nil, func(k tokenstore.Key) error { return take(k, "a") }, lease.Add(day)},
		{"CR-16 token", "", nil, func(k tokenstore.Key) error { return errors.Join(take(k, "a"), save(k, "a")) }, expiry.Add(day)},
		{"CR-16 token that expires before another owner's lease", "", nil, func(k tokenstore.Key) error {
			late := acquire("b")
			late.Key, late.TTL = k, 2*time.Hour
			_, err := store.Acquire(ctx, late)
			return errors.Join(err, save(k, "a"))
		}, now.Add(2*time.Hour + day)},
		{"CR-16 lease on a valid token", "", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), save(k, "a"), take(k, "b"))
		}, expiry.Add(day)},
		{"CR-16 lease on an item about to expire", "", with(attributes{"ttl": num(strconv.FormatInt(now.Unix()+1, 10)), "ttl_pin": nil, "expires_at": num("1767000000000")}),
			func(k tokenstore.Key) error { return take(k, "a") }, lease.Add(day)},
		{"CR-16 lease on an item with a ttl that is a string", "", with(attributes{"ttl": str("soon"), "ttl_pin": nil}),
			func(k tokenstore.Key) error { return take(k, "a") }, time.UnixMilli(1767326645678).Add(day)},
		{"CR-16 failure without a valid token", "", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), fail(k, "a", now.Add(15*time.Minute)))
		}, now.Add(15*time.Minute + day)},
		{"CR-16 failure with a valid token", "", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), save(k, "a"), take(k, "b"), fail(k, "b", now.Add(15*time.Minute)))
		}, expiry.Add(day)},
		{"CR-16 drop of a missing item", "", nil, func(k tokenstore.Key) error {
			_, err := store.Drop(ctx, tokenstore.Drop{Key: k, Now: now})
			return err
		}, now.Add(day)},
		{"CR-16 an item that lists variants does not expire", "", nil, func(k tokenstore.Key) error {
			return errors.Join(store.AddVariant(ctx, k, "v1"), take(k, "a"), save(k, "a"), take(k, "b"), fail(k, "b", now))
		}, time.Unix(253402300799, 0)},
		{"CR-16 an item with a grant has no ttl after any operation", "", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), save(k, "a"), store.AddVariant(ctx, k, "v1"), storeGrant(k, "b", 1), take(k, "c"),
				fail(k, "c", now), store.AddVariant(ctx, k, "v2"), drop(k, false), take(k, "d"), saveAt(k, "d", 3), save(k, "late"))
		}, time.Time{}},
		{"CR-16 AZ-30 a token in the place of a grant, before and after another lease", "", nil, func(k tokenstore.Key) error {
			err := storeGrant(k, "a", 0)
			if err == nil {
				_, err = store.StoreGrant(ctx, tokenstore.StoreGrant{Key: k, Version: 1, Token: commit("a", 1).Token, Now: now})
			}
			return errors.Join(err, take(k, "b"))
		}, expiry.Add(day)},
		{"CR-16 AZ-30 a subject's token in the place of a grant", "joe", nil, func(k tokenstore.Key) error {
			_, err := store.StoreGrant(ctx, tokenstore.StoreGrant{Key: k, Token: commit("a", 0).Token, Now: now})
			return err
		}, expiry.Add(day)},
		{"CR-16 a subject's item without a grant, whose token is dropped", "joe", nil, func(k tokenstore.Key) error { return drop(k, false) }, now.Add(day)},
		{"CR-16 a consent of a subject that is not completed", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), store.Release(ctx, tokenstore.Release{Key: k, Owner: "a", DeleteAfter: now}))
		}, now.Add(day)},
		{"CR-16 an import of a subject that is refused", "joe", nil, func(k tokenstore.Key) error {
			failed := tokenstore.Fail{Key: k, Owner: "a", Failure: tokenstore.Failure{Count: 1, FailedAt: now}, DeleteAfter: expiry, Now: now}
			return errors.Join(take(k, "a"), store.Fail(ctx, failed))
		}, expiry.Add(day)},
		{"CR-16 the same with a grant that came meanwhile", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), storeGrant(k, "b", 0), store.Release(ctx, tokenstore.Release{Key: k, Owner: "a", DeleteAfter: now}))
		}, time.Time{}},
		{"CR-16 nor does a failure expire a grant", "joe", nil, func(k tokenstore.Key) error {
			failed := tokenstore.Fail{Key: k, Owner: "c", Failure: tokenstore.Failure{Count: 1, FailedAt: now}, DeleteAfter: now, Now: now}
			return errors.Join(storeGrant(k, "b", 0), take(k, "c"), store.Fail(ctx, failed))
		}, time.Time{}},
		{"CR-16 a consent after one that was not completed", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), store.Release(ctx, tokenstore.Release{Key: k, Owner: "a", DeleteAfter: now}), storeGrant(k, "b", 0))
		}, time.Time{}},
		{"CR-16 an item whose grant was dropped expires again", "", nil, func(k tokenstore.Key) error {
			return errors.Join(storeGrant(k, "a", 0), drop(k, true))
		}, now.Add(day)},
		{"CR-16 a pinned ttl is set again when the grant is dropped", "", nil, func(k tokenstore.Key) error {
			return errors.Join(store.AddVariant(ctx, k, "v1"), storeGrant(k, "a", 0), drop(k, true))
		}, time.Unix(253402300799, 0)},
		{"CR-16 a subject's item without its grant expires", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(storeGrant(k, "a", 0), drop(k, true))
		}, now.Add(day)},
		{"CR-16 a lease on the rest of a subject's item removes the ttl", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(storeGrant(k, "a", 0), drop(k, true), take(k, "b"))
		}, time.Time{}},
		{"CR-16 a lease for a refresh token removes the ttl of an item about to expire", "", with(attributes{"ttl": num(strconv.FormatInt(now.Unix()+1, 10)), "ttl_pin": nil}),
			func(k tokenstore.Key) error {
				a := acquire("a")
				a.Key, a.UsesRefreshToken = k, true
				_, err := store.Acquire(ctx, a)
				return err
			}, time.Time{}},
		{"CR-16 a subject's token without a grant", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(take(k, "a"), save(k, "a"))
		}, expiry.Add(day)},
		{"CR-16 a subject's token beside a grant", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(storeGrant(k, "a", 0), take(k, "b"), saveAt(k, "b", 1))
		}, time.Time{}},
		{"CR-16 a subject's item that lists variants does not expire", "joe", nil, func(k tokenstore.Key) error {
			return errors.Join(store.AddVariant(ctx, k, "v1"), take(k, "a"), save(k, "a"))
		}, time.Unix(253402300799, 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := tokenstore.Key{Connection: fmt.Sprint("ttl-", i), Subject: tc.subject}
			if tc.found != nil {
				e.put(t, k, tc.found)
			}
			if err := tc.run(k); err != nil {
				t.Fatal(err)
			}
			got, _ := e.raw(t, k)["ttl"].(*types.AttributeValueMemberN)
			switch {
			case tc.want.IsZero() && got != nil:
				t.Errorf("ttl %s, want none", got.Value)
			case !tc.want.IsZero() && (got == nil || got.Value != strconv.FormatInt(tc.want.Unix(), 10)):
				t.Errorf("ttl %+v, want %d", got, tc.want.Unix())
			}
		})
	}
}

// lossy is a transport that loses one response after the endpoint has acted.
type lossy struct{ lose bool }

func (d *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && d.lose && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".UpdateItem") {
		d.lose = false
		_ = response.Body.Close()
		return nil, errors.New("connection reset after the request was sent")
	}
	return response, err
}

func TestEngineLostResponses(t *testing.T) {
	e := newEngine(t)
	transport := &lossy{}
	e.client = newClient(*e.client.Options().BaseEndpoint, transport)
	store, ctx := e.store(), t.Context()
	transport.lose = true
	held, err := store.Acquire(ctx, acquire("holder"))
	if err != nil || held.Lease.Owner != "holder" {
		t.Fatalf("FI-29 Acquire whose answer was lost: %+v, %v", held.Lease, err)
	}
	transport.lose = true
	item, err := store.Commit(ctx, commit("holder", 0))
	if err != nil || item.Version != 1 || item.Token.ID != "token_1" || item.Lease.Owner != "" {
		t.Fatalf("FI-30 Commit whose answer was lost: %+v, %v", item, err)
	}
	transport.lose = true
	item, err = store.Reject(ctx, tokenstore.Reject{Key: crm, Version: 1, TokenID: "token_1", ForcedRefreshes: []tokenstore.ForcedRefresh{{At: now}}})
	if err != nil || item.Version != 2 {
		t.Fatalf("CR-36 Reject whose answer was lost: version %d, %v", item.Version, err)
	}
	if _, err = store.Acquire(ctx, acquire("second")); err != nil {
		t.Fatal(err)
	}
	transport.lose = true
	failure := tokenstore.Failure{Count: 1, FailedAt: now, NextAttemptAt: now.Add(time.Second)}
	if err := store.Fail(ctx, tokenstore.Fail{Key: crm, Owner: "second", Failure: failure, Now: now}); err != nil {
		t.Fatalf("CR-36 Fail whose answer was lost: %v", err)
	}
	if item, _ = store.Get(ctx, crm, true); item.Failure.Count != 1 || item.Lease.Owner != "" || item.Version != 2 {
		t.Errorf("CR-36 after it: %+v", item)
	}
}

// metered adds up the cost of writes and reads.
type metered struct {
	*dynamodb.Client
	units float64
	calls int
}

func (m *metered) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.GetItem(ctx, in, o...)
	if err == nil {
		m.note(out.ConsumedCapacity)
	}
	return out, err
}

func (m *metered) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.UpdateItem(ctx, in, o...)
	if err == nil {
		m.note(out.ConsumedCapacity)
	}
	return out, err
}

func (m *metered) note(c *types.ConsumedCapacity) {
	m.calls++
	m.units += aws.ToFloat64(c.CapacityUnits)
}

func TestEngineCost(t *testing.T) {
	e := newEngine(t)
	meter := &metered{Client: e.client}
	store := awsdynamodb.New(awsdynamodb.Config{Client: meter, Table: e.table})
	renew := func(version int64) {
		t.Helper()
		a, c := realistic(version)
		if _, err := store.Acquire(t.Context(), a); err != nil {
			t.Fatalf("Acquire: %v", err)
		}
		if _, err := store.Commit(t.Context(), c); err != nil {
			t.Fatalf("Commit: %v", err)
		}
	}
	renew(0)
	meter.units, meter.calls = 0, 0
	renew(1)
	if meter.units != 2 || meter.calls != 2 {
		t.Errorf("a renewal costs %v units in %d calls, want 2 in 2", meter.units, meter.calls)
	}
	meter.units, meter.calls = 0, 0
	if _, err := store.Get(t.Context(), realisticKey, false); err != nil {
		t.Fatalf("Get: %v", err)
	}
	if meter.units != 0.5 || meter.calls != 1 {
		t.Errorf("a vend from the table costs %v units in %d calls, want one half in 1", meter.units, meter.calls)
	}
	a, _ := realistic(2)
	if _, err := store.Acquire(t.Context(), a); err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	if size := itemSize(e.raw(t, realisticKey)); size > 1024 {
		t.Errorf("an item under its lease has %d bytes, want at most 1024", size)
	}
}
