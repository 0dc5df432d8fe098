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
	now = time.UnixMilli(1767323045678).UTC()
	key = tokenstore.Key{Connection: "crm"}
)

// open starts a stub and returns it with what the SDK's variables lead to.
func open(t *testing.T) (*awsstub.Stub, awsconfig.Config) {
	t.Helper()
	stub, err := awsstub.Start(awsstub.Config{Folder: t.TempDir(), Secrets: map[string]string{"sealing": "text"}})
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

func TestStoreOverTLS(t *testing.T) {
	stub, config := open(t)
	store := awsdynamodb.New(awsdynamodb.Config{Client: config.DynamoDB(), Table: awsstub.Table})
	if missing, err := store.Get(t.Context(), key, false); err != nil || missing.Version != 0 {
		t.Fatalf("an empty table has %+v: %v", missing, err)
	}
	for range 2 {
		item, err := store.Acquire(t.Context(), tokenstore.Acquire{Key: key, Owner: "me", Now: now, TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Commit(t.Context(), commit(item.Version)); err != nil {
			t.Fatal(err)
		}
	}
	item, err := store.Get(t.Context(), key, true)
	if diff := cmp.Diff(commit(0).Token, item.Token); err != nil || diff != "" || item.Version != 2 {
		t.Errorf("version %d, token %s: %v", item.Version, diff, err)
	}
	// One unit more than four: the first commit puts the item into the index.
	if diff := cmp.Diff(awsstub.Traffic{Reads: 1, ConsistentReads: 1, Writes: 4, WriteUnits: 5}, stub.Take()); diff != "" {
		t.Error(diff)
	}
	if got := stub.Take(); got != (awsstub.Traffic{}) {
		t.Errorf("told twice: %+v", got)
	}
}

func commit(version int64) tokenstore.Commit {
	return tokenstore.Commit{
		Key: key, Owner: "me", Version: version, SecretIncarnation: "g", RenewSlot: "45/7/0", Now: now,
		Token: tokenstore.SealedToken{ID: "9f86d081884c7d65", Sealed: []byte("sealed"), MintedAt: now, ExpiresAt: now.Add(time.Hour)},
	}
}

func TestItemSize(t *testing.T) {
	stub, config := open(t)
	store := awsdynamodb.New(awsdynamodb.Config{Client: config.DynamoDB(), Table: awsstub.Table})
	size := func(sealed string) int {
		c := commit(0)
		c.Key.Connection = sealed
		c.Token.Sealed = []byte(sealed)
		if _, err := store.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		stub.Take()
		n, err := stub.ItemSize("connection/"+sealed, "token")
		if err != nil {
			t.Fatal(err)
		}
		if got := stub.Take(); got != (awsstub.Traffic{}) {
			t.Errorf("looking at the size counts as %+v", got)
		}
		return n
	}
	// Twice over: the text is part of the key too.
	if small, large := size("x"), size(strings.Repeat("x", 101)); small < 100 || large-small != 200 {
		t.Errorf("%d bytes, and %d with 100 more in each of two places", small, large)
	}
	if n, err := stub.ItemSize("connection/nobody", "token"); err == nil {
		t.Errorf("an item that is not there has %d bytes", n)
	}
}

func TestSecretOverTLS(t *testing.T) {
	_, config := open(t)
	text, err := awssecretsmanager.ReadText(t.Context(), config.SecretsManager(), "sealing")
	if err != nil || text.Reveal() != "text" {
		t.Errorf("read %v", err)
	}
	if _, err := awssecretsmanager.ReadText(t.Context(), config.SecretsManager(), "other"); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestStrangersDistrustIt(t *testing.T) {
	stub, _ := open(t)
	at := slices.IndexFunc(stub.Environment(), func(pair string) bool { return strings.HasPrefix(pair, "AWS_ENDPOINT_URL=") })
	_, url, _ := strings.Cut(stub.Environment()[at], "=")
	if response, err := http.Get(url); err == nil {
		_ = response.Body.Close()
		t.Error("a client that does not know its authority was answered: the handshake proves nothing")
	}
}
