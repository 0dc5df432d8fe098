package awsstub_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/awsstub"
)

var (
	now    = time.UnixMilli(1767323045678).UTC()
	record = tokenstore.DeclarationRecord{Connection: "crm", Version: 3, Sealed: []byte("record")}
	item   = tokenstore.Item{
		Key: tokenstore.Key{Connection: "crm"}, Version: 2, SecretIncarnation: "g", RenewSlot: "45/7/0", Used: true,
		Lease: tokenstore.Lease{Seq: 2},
		Token: tokenstore.SealedToken{ID: "9f86d081884c7d65", Sealed: []byte("sealed"), MintedAt: now, ExpiresAt: now.Add(time.Hour),
			ConfigHash: "hash", SecretVersion: "v1"},
		Grant: tokenstore.SealedGrant{Fingerprint: "0123456789abcdef", Sealed: []byte("grant"), ConsentedBy: "someone@example.com",
			ConsentedAt: now, RefreshedAt: now, SecretIncarnation: "g", Client: "client"},
	}
)

// open starts a stub and returns it with what the SDK's variables lead to.
func open(t *testing.T) (*awsstub.Stub, awsconfig.Config) {
	t.Helper()
	stub, err := awsstub.Start(awsstub.Config{
		Folder: t.TempDir(), Secrets: map[string]string{"sealing": "text"}, Items: []tokenstore.Item{item},
		Declarations: []tokenstore.DeclarationRecord{record},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stub.Close)
	config, err := awsconfig.Load(func(name string) (string, bool) {
		for _, pair := range stub.Environment() {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	return stub, config
}

func TestItemOverTLS(t *testing.T) {
	stub, config := open(t)
	store := awsdynamodb.New(awsdynamodb.Config{Client: config.DynamoDB(), Table: awsstub.Table})
	got, err := store.Get(t.Context(), item.Key, false)
	if diff := cmp.Diff(item, got); err != nil || diff != "" {
		t.Errorf("the adapter reads another item (-want +got): %v\n%s", err, diff)
	}
	missing, err := store.Get(t.Context(), tokenstore.Key{Connection: "mail"}, false)
	if err != nil || missing.Version != 0 {
		t.Errorf("an item that does not exist: %+v, %v", missing, err)
	}
	if _, err := store.Acquire(t.Context(), tokenstore.Acquire{Key: item.Key, Owner: "me", Now: now, TTL: time.Minute}); err == nil {
		t.Error("a write is answered")
	}
	if diff := cmp.Diff(awsstub.Traffic{Reads: 2, Others: 1}, stub.Take()); diff != "" {
		t.Error(diff)
	}
	if got := stub.Take(); got != (awsstub.Traffic{}) {
		t.Errorf("counted twice: %+v", got)
	}
}

func TestItemAndRecordOverTLS(t *testing.T) {
	stub, config := open(t)
	store := awsdynamodb.New(awsdynamodb.Config{Client: config.DynamoDB(), Table: awsstub.Table})
	got, declared, err := store.GetWithDeclaration(t.Context(), item.Key, false)
	if diff := cmp.Diff(item, got) + cmp.Diff(record, declared); err != nil || diff != "" {
		t.Errorf("the adapter reads others (-want +got): %v\n%s", err, diff)
	}
	missing, undeclared, err := store.GetWithDeclaration(t.Context(), tokenstore.Key{Connection: "mail"}, false)
	if err != nil || missing.Version != 0 || undeclared.Version != 0 {
		t.Errorf("what does not exist: %+v, %+v, %v", missing, undeclared, err)
	}
	if _, _, err := store.GetWithDeclaration(t.Context(), item.Key, true); err == nil {
		t.Error("a consistent read is answered")
	}
	if diff := cmp.Diff(awsstub.Traffic{Reads: 2, Others: 1}, stub.Take()); diff != "" {
		t.Error(diff)
	}
}

func TestSecretOverTLS(t *testing.T) {
	_, config := open(t)
	text, err := awssecretsmanager.ReadText(t.Context(), config.SecretsManager(), "sealing")
	if err != nil || text.Reveal() != "text" {
		t.Errorf("read %v", err)
	}
	if _, err := awssecretsmanager.ReadText(t.Context(), config.SecretsManager(), "other"); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("a secret that does not exist: %v", err)
	}
}

func TestOtherClientsDistrustIt(t *testing.T) {
	stub, _ := open(t)
	at := slices.IndexFunc(stub.Environment(), func(pair string) bool { return strings.HasPrefix(pair, "AWS_ENDPOINT_URL=") })
	_, url, _ := strings.Cut(stub.Environment()[at], "=")
	if response, err := http.Get(url); err == nil {
		_ = response.Body.Close()
		t.Error("a client that does not know its authority was answered: the handshake proves nothing")
	}
}
