package awsfake_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
	"github.com/tokenvend/tokenvend/scripts/internal/engine/enginetest"
)

var (
	now = time.UnixMilli(1767323045678).UTC()
	crm = tokenstore.Key{Connection: "crm"}
)

// clients are the service's own adapters, configured from the environment as a
// bootstrap configures them, in front of an engine.
func clients(t *testing.T) (*awsfake.Services, *awsdynamodb.Table, *awssecretsmanager.Source) {
	t.Helper()
	endpoint := enginetest.Endpoint(t)
	table := enginetest.Table(t, endpoint)
	s, err := awsfake.Start(awsfake.Config{DynamoDB: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c, err := awsconfig.Load(func(name string) (string, bool) {
		for _, variable := range s.Environment() {
			if value, found := strings.CutPrefix(variable, name+"="); found {
				return value, true
			}
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Jitter = func(time.Duration) time.Duration { return 0 }
	return s, awsdynamodb.New(awsdynamodb.Config{Client: c.DynamoDB(), Table: table}),
		awssecretsmanager.New(awssecretsmanager.Config{Client: c.SecretsManager(), Prefix: "tokenvend/"})
}

func acquire(ctx context.Context, s *awsdynamodb.Table, owner string) (tokenstore.Item, error) {
	return s.Acquire(ctx, tokenstore.Acquire{Key: crm, Owner: owner, Now: now, TTL: time.Minute})
}

func TestAdaptersFromTheEnvironment(t *testing.T) {
	s, store, source := clients(t)
	for _, text := range []string{`{"v":1}`, `{"v":2}`} {
		if err := s.PutSecret("tokenvend/crm", text); err != nil {
			t.Fatal(err)
		}
	}
	for stage, want := range map[clientsecret.Stage]string{clientsecret.Current: `{"v":2}`, clientsecret.Previous: `{"v":1}`} {
		if got, err := source.Load(t.Context(), "crm", stage, true); err != nil || got.Text.Reveal() != want {
			t.Errorf("CR-20 %s: %v", stage, err)
		}
	}
	if item, err := acquire(t.Context(), store, "me"); err != nil || item.Lease.Owner != "me" {
		t.Errorf("lease %+v, %v", item.Lease, err)
	}
	if got := s.Gate.Calls("GetSecretValue"); got != 2 {
		t.Errorf("%d requests for a secret, want 2", got)
	}
}

func TestLostAnswerIsRecognized(t *testing.T) {
	s, store, _ := clients(t)
	s.Gate.Once("UpdateItem", fault.Done, fault.Always(fault.Cut))
	item, err := acquire(t.Context(), store, "me")
	if err != nil || item.Lease.Owner != "me" {
		t.Errorf("FI-29: lease %+v, %v", item.Lease, err)
	}
	if got := s.Gate.Calls("UpdateItem"); got < 2 {
		t.Errorf("FI-29: %d requests, want the lost one and another", got)
	}
}

func TestTableUnreachable(t *testing.T) {
	s, store, _ := clients(t)
	s.DynamoDBLine.Cut()
	if _, err := store.Get(t.Context(), crm, true); !errors.Is(err, tokenstore.ErrUnavailable) {
		t.Errorf("FI-27: %v, want ErrUnavailable", err)
	}
	s.DynamoDBLine.Restore()
	if _, err := store.Get(t.Context(), crm, true); err != nil {
		t.Errorf("FI-27 once it is reachable again: %v", err)
	}
	_ = s.Close()
	if _, err := store.Get(t.Context(), crm, true); !errors.Is(err, tokenstore.ErrUnavailable) {
		t.Errorf("FI-27 connection refused: %v, want ErrUnavailable", err)
	}
}

func TestTable(t *testing.T) {
	s, err := awsfake.Start(awsfake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.CreateTokenTable("tokens"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "a"} {
		item := map[string]any{"pk": map[string]string{"S": name}, "sk": map[string]string{"S": "token"}}
		if err := s.DynamoDB.Call("PutItem", map[string]any{"TableName": "tokens", "Item": item}, nil); err != nil {
			t.Fatal(err)
		}
	}
	client, found := engine.Client(s.DynamoDBLine.URL()), 0
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: aws.String("tokens")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found += len(page.Items)
	}
	if found != 5 {
		t.Errorf("a scan finds %d items, want 5", found)
	}
	if _, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("other")}); err == nil {
		t.Error("a table of another name is scanned")
	}
}
