package metered_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/dynamo"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/metered"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return metered.New() })
}

// inProcess carries requests to a handler without a socket.
type inProcess struct{ http.Handler }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

// engine is the real adapter over an engine that bills for itself.
func engine(t *testing.T) (*dynamo.Engine, storetest.Store) {
	t.Helper()
	e := dynamo.New(dynamo.Config{Now: func() time.Time { return now }})
	url := "http://table.test"
	client := dynamodb.New(dynamodb.Options{
		BaseEndpoint: &url, Region: "us-east-1", Retryer: aws.NopRetryer{}, HTTPClient: inProcess{e},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "anything", SecretAccessKey: "anything"}, nil
		}),
	})
	text := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("tokens"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{text("pk"), text("sk"), text("renew_slot")},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String(awsdynamodb.RenewIndex),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("renew_slot"), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	})
	if err != nil {
		t.Fatalf("CreateTable: %v", err)
	}
	e.ResetUsage()
	return e, awsdynamodb.NewWheel(awsdynamodb.WheelConfig{Client: client, Store: awsdynamodb.New(
		awsdynamodb.Config{Client: client, Table: "tokens", Now: func() time.Time { return now }})})
}

// step is one thing that may happen to a table.
type step struct {
	name string
	do   func(context.Context, storetest.Store) error
}

var crm = tokenstore.Key{Connection: "crm"}

func acquire(owner string) step {
	return step{"acquire by " + owner, func(ctx context.Context, s storetest.Store) error {
		_, err := s.Acquire(ctx, tokenstore.Acquire{Key: crm, Owner: owner, Now: now, TTL: 20 * time.Second})
		return err
	}}
}

func commit(owner string, version int64, slot string, sealed int) step {
	return step{fmt.Sprintf("commit of %d bytes by %s", sealed, owner), func(ctx context.Context, s storetest.Store) error {
		_, err := s.Commit(ctx, tokenstore.Commit{
			Key: crm, Owner: owner, Version: version, SecretIncarnation: "0123456789abcdef", Now: now, RenewSlot: slot,
			Token: tokenstore.SealedToken{
				ID: "9f86d081884c7d65", Sealed: make([]byte, sealed), MintedAt: now, ExpiresAt: now.Add(time.Hour),
				ConfigHash: "declaration", SecretVersion: "v1",
			},
		})
		return err
	}}
}

func fail(next time.Duration) step {
	return step{"fail for " + next.String(), func(ctx context.Context, s storetest.Store) error {
		return s.Fail(ctx, tokenstore.Fail{Key: crm, Owner: "a", RenewSlot: "at/29450000/1", Now: now, Failure: tokenstore.Failure{
			Count: 1, Code: "provider_unavailable", Status: 503, FailedAt: now, NextAttemptAt: now.Add(next), Cause: "cause",
		}})
	}}
}

func get(consistent bool) step {
	return step{fmt.Sprintf("get, consistent %v", consistent), func(ctx context.Context, s storetest.Store) error {
		_, err := s.Get(ctx, crm, consistent)
		return err
	}}
}

func note(version int64, size int) step {
	return step{fmt.Sprintf("note of %d bytes", size), func(ctx context.Context, s storetest.Store) error {
		_, err := s.WriteDocument(ctx, tokenstore.Document{Name: "cursor/1", Version: version, Text: make([]byte, size)})
		return err
	}}
}

func due(slot string) step {
	return step{"due " + slot, func(ctx context.Context, s storetest.Store) error {
		_, _, err := s.Due(ctx, slot, "")
		return err
	}}
}

// story is a life of an item with every operation in it, failures too.
var story = []step{
	get(false), get(true), due("45/7/3"), acquire("a"), acquire("b"), commit("a", 0, "45/7/3", 450), get(false), due("45/7/3"),
	{"mark used", func(ctx context.Context, s storetest.Store) error { return s.MarkUsed(ctx, crm, 1) }},
	acquire("a"), commit("a", 1, "45/7/3", 450), acquire("a"), fail(2 * time.Second),
	acquire("a"), fail(2 * time.Hour), acquire("a"), commit("a", 2, "45/7/3", 1500), get(true), get(false),
	commit("b", 3, "", 5000), commit("b", 3, "", 5001), get(false),
	acquire("a"), {"release", func(ctx context.Context, s storetest.Store) error {
		return s.Release(ctx, tokenstore.Release{Key: crm, Owner: "a"})
	}},
	{"reject", func(ctx context.Context, s storetest.Store) error {
		_, err := s.Reject(ctx, tokenstore.Reject{Key: crm, Version: 4, TokenID: "9f86d081884c7d65", ForcedRefreshes: []time.Time{now, now}})
		return err
	}},
	{"add variant", func(ctx context.Context, s storetest.Store) error { return s.AddVariant(ctx, crm, "0123456789abcdef") }},
	acquire("c"), commit("c", 5, "45/7/3", 450),
	{"reslot", func(ctx context.Context, s storetest.Store) error {
		return s.Reslot(ctx, crm, "45/7/3", "at/29450000/3")
	}},
	{"drop", func(ctx context.Context, s storetest.Store) error {
		_, err := s.Drop(ctx, tokenstore.Drop{Key: crm, RequiredSecretVersion: "v2", Now: now})
		return err
	}},
	get(true), note(0, 5), note(1, 3000), note(2, 10),
	{"read note", func(ctx context.Context, s storetest.Store) error {
		_, err := s.ReadDocument(ctx, "cursor/1")
		return err
	}},
}

func TestUsageIsWhatTheAdapterIsBilled(t *testing.T) {
	bill, real := engine(t)
	table := metered.New()
	for _, s := range story {
		before := table.Usage()
		bill.ResetUsage()
		wantErr, gotErr := s.do(t.Context(), real), s.do(t.Context(), table)
		if (wantErr == nil) != (gotErr == nil) {
			t.Errorf("%s: the adapter says %v, the meter %v", s.name, wantErr, gotErr)
		}
		var want metered.Units
		requests := 0
		for _, one := range bill.Usage() {
			want.Read, want.Write, requests = want.Read+one.ReadUnits, want.Write+one.WriteUnits, requests+one.Requests
		}
		used := table.Usage().Since(before)
		if d := gocmp.Diff(want, used.Total()); d != "" || requests != used.Requests {
			t.Errorf("%s: %d requests, the adapter makes %d (-billed +metered):\n%s", s.name, used.Requests, requests, d)
		}
	}
}

func TestNoteTooLarge(t *testing.T) {
	if err := note(0, 400<<10).do(t.Context(), metered.New()); err == nil {
		t.Error("a note larger than an item was written")
	}
}

func TestQueryPages(t *testing.T) {
	table := metered.New()
	const items = 300
	for i := range items {
		key := tokenstore.Key{Connection: fmt.Sprintf("crm-%03d", i)}
		_, _ = table.Acquire(t.Context(), tokenstore.Acquire{Key: key, Owner: "a", Now: now, TTL: time.Minute})
		_, _ = table.Commit(t.Context(), tokenstore.Commit{Key: key, Owner: "a", RenewSlot: "45/7/3", Now: now})
	}
	before := table.Usage()
	keys, next, err := table.Due(t.Context(), "45/7/3", "")
	if err != nil || len(keys) != items || next != "" {
		t.Fatalf("%d keys, next %q, %v", len(keys), next, err)
	}
	// pk 2+18, sk 2+5, renew_slot 10+6: 43 bytes each, so 12,900 in four units of 4 KB, halved.
	if got := table.Usage().Since(before); got.Index.Read != 2 || got.Requests != 1 {
		t.Errorf("%v units in %d requests, want 2 in 1", got.Index.Read, got.Requests)
	}
	n, bytes := table.Size()
	if n != items || bytes < items*50 {
		t.Errorf("%d items of %d bytes", n, bytes)
	}
	if got, want := table.ScanUnits(), float64((bytes+4095)/4096)/2; got != want {
		t.Errorf("a scan costs %v, want %v", got, want)
	}
}
