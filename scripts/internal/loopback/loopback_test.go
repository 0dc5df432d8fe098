package loopback_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/fault"
)

var (
	now = time.UnixMilli(1767323045678).UTC()
	crm = tokenstore.Key{Connection: "crm"}
)

// clients are the service's own adapters, built from the environment as a
// bootstrap builds them.
func clients(t *testing.T) (*loopback.Services, *awsdynamodb.Store, *awssecretsmanager.Source) {
	t.Helper()
	s, err := loopback.Start(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.CreateTokenTable("tokens"); err != nil {
		t.Fatal(err)
	}
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
	return s, awsdynamodb.New(awsdynamodb.Config{Client: c.DynamoDB(), Table: "tokens"}),
		awssecretsmanager.New(awssecretsmanager.Config{Client: c.SecretsManager(), Prefix: "tokenvend/"})
}

func acquire(ctx context.Context, s *awsdynamodb.Store, owner string) (tokenstore.Item, error) {
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
	if got := s.SecretsManager.Requests()["GetSecretValue"]; got != 2 {
		t.Errorf("%d requests for a secret, want 2", got)
	}
}

func TestLostAnswerIsRecognised(t *testing.T) {
	s, store, _ := clients(t)
	s.DynamoDBFaults.Add(fault.Fault{Operation: "UpdateItem", Mode: fault.Lose, Times: 1})
	item, err := acquire(t.Context(), store, "me")
	if err != nil || item.Lease.Owner != "me" {
		t.Errorf("FI-29: lease %+v, %v", item.Lease, err)
	}
	if got := s.DynamoDB.Requests()["UpdateItem"]; got < 2 {
		t.Errorf("FI-29: %d requests, want the lost one and another", got)
	}
}

func TestTableAway(t *testing.T) {
	s, store, _ := clients(t)
	s.DynamoDBLine.Down()
	if _, err := store.Get(t.Context(), crm, true); !errors.Is(err, tokenstore.ErrUnavailable) {
		t.Errorf("FI-27: %v, want ErrUnavailable", err)
	}
	if err := s.DynamoDBLine.Up(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), crm, true); err != nil {
		t.Errorf("FI-27 after it came back: %v", err)
	}
}

func TestStaleRead(t *testing.T) {
	s, store, _ := clients(t)
	for _, owner := range []string{"first", "second"} {
		if _, err := acquire(t.Context(), store, owner); err != nil {
			t.Fatal(err)
		}
		if err := store.Release(t.Context(), tokenstore.Release{Key: crm, Owner: owner}); err != nil {
			t.Fatal(err)
		}
	}
	s.DynamoDB.ServeStale(true)
	for consistent, want := range map[bool]string{true: "", false: "second"} {
		if item, err := store.Get(t.Context(), crm, consistent); err != nil || item.Lease.Owner != want {
			t.Errorf("FI-32 consistent %t: owner %q, %v, want %q", consistent, item.Lease.Owner, err, want)
		}
	}
	s.DynamoDB.ServeStale(false)
	if item, err := store.Get(t.Context(), crm, false); err != nil || item.Lease.Owner != "" {
		t.Errorf("FI-32 switched off: owner %q, %v", item.Lease.Owner, err)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []loopback.Config{{DynamoDBAddr: "0.0.0.0:0"}, {SecretsManagerAddr: "192.0.2.1:80"}} {
		if s, err := loopback.Start(c); err == nil {
			_ = s.Close()
			t.Errorf("%+v is served", c)
		}
	}
}
