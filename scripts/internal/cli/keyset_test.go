package cli_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
)

const keyCanary = "canary-of-a-key-0123456789-0123456789"

// newKeyset returns an account with the keyset that a stack creates.
func newKeyset(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.canary = keyCanary
	if err := f.PutSecret("sealing", `{"primary":"k1","k1":"`+keyCanary+`"}`); err != nil {
		t.Fatal(err)
	}
	return f
}

// want runs a keyset command that exits with a code and prints a text: errors on
// standard error, everything else on standard output.
func (f *fixture) want(t *testing.T, code int, part string, args ...string) {
	t.Helper()
	got, out, errors := f.run(t, "", append([]string{"keyset"}, args...)...)
	printed, other := out, errors
	if code != 0 {
		printed, other = errors, ""
	}
	if got != code || !strings.Contains(printed, part) || other != "" {
		t.Errorf("%q: exit code %d, want %d and %q:\n%s\n%s", args, got, code, part, out, errors)
	}
}

func (f *fixture) keys(t *testing.T, id string) map[string]string {
	t.Helper()
	keys := map[string]string{}
	if err := json.Unmarshal([]byte(f.secret(t, id)), &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

func newSealer(keys map[string]string) *seal.Sealer {
	text, _ := json.Marshal(keys)
	return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return redact.New(string(text)), nil }})
}

// store puts an item into the table that the current keyset seals.
func (f *fixture) store(t *testing.T, name string) {
	t.Helper()
	sealed, err := newSealer(f.keys(t, "sealing")).Seal(t.Context(), []byte("a refresh token"), name)
	if err != nil {
		t.Fatal(err)
	}
	item := map[string]any{
		"pk": map[string]string{"S": "connection/" + name}, "sk": map[string]string{"S": "token"},
		"grant": map[string]string{"B": base64.StdEncoding.EncodeToString(sealed)},
		"note":  map[string]string{"B": base64.StdEncoding.EncodeToString([]byte("not sealed"))},
	}
	if err := f.DynamoDB.Call("PutItem", map[string]any{"TableName": "tokens", "Item": item}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestRotation rotates one keyset, with a clock that moves forward.
func TestRotation(t *testing.T) {
	f := newKeyset(t)
	rotate := []string{"rotate", "--yes", "--stack", "tokenvend"}
	f.store(t, "crm")

	f.want(t, 0, "Nothing is due", rotate...)
	f.passed = 25 * time.Hour
	f.want(t, 0, "k2 is added", rotate...)
	if keys := f.keys(t, "sealing"); keys["primary"] != "k1" || keys["k1"] != keyCanary || len(keys["k2"]) != 64 {
		t.Errorf("AZ-52 after the first step the primary is %s of %d keys", keys["primary"], len(keys)-1)
	}
	f.passed = time.Minute
	f.want(t, 3, "k2 can become primary in 4m", rotate...)
	f.want(t, 1, "it is about to become primary", "drop", "k2", "--yes", "--stack", "tokenvend")
	f.passed = 6 * time.Minute
	f.want(t, 0, "k2 is primary", rotate...)
	f.store(t, "erp")
	f.passed = time.Hour
	f.want(t, 0, "Nothing is due", rotate...)
	f.want(t, 0, "k1   open only; seals 1 items\n  k2   primary; seals 1 items", "status", "--secret", "sealing", "--table", "tokens")

	drop := []string{"drop", "k1", "--yes", "--stack", "tokenvend"}
	f.want(t, 1, "may seal with it for 24h", drop...)
	f.passed = 25 * time.Hour
	f.want(t, 1, "it seals 1 items (connection/crm token)", drop...)
	f.want(t, 1, "it is primary", "drop", "k2", "--yes", "--stack", "tokenvend")
	f.want(t, 1, "no key", "drop", "k7", "--yes", "--stack", "tokenvend")
	f.store(t, "crm")
	f.want(t, 0, "k1 is dropped", drop...)
	if keys := f.keys(t, "sealing"); len(keys) != 2 || keys["primary"] != "k2" || len(keys["k2"]) != 64 {
		t.Errorf("AZ-52 at the end the primary is %s of %d keys", keys["primary"], len(keys)-1)
	}
	f.passed = 0
	f.want(t, 0, "k3 is added", "rotate", "--again", "--yes", "--stack", "tokenvend")
}

func TestConsentKeyset(t *testing.T) {
	f := newKeyset(t)
	if err := f.PutSecret("consent", `{"primary":"k2","k1":"`+keyCanary+`","k2":"`+keyCanary+`"}`); err != nil {
		t.Fatal(err)
	}
	f.passed = 25 * time.Hour
	f.want(t, 0, "k1   open only\n  k2   primary\n", "status", "--consent", "--stack", "tokenvend")
	f.want(t, 0, "k1 is dropped", "drop", "--yes", "k1", "--consent", "--secret", "consent")
	if keys := f.keys(t, "sealing"); len(keys) != 2 {
		t.Errorf("the other keyset has %d members", len(keys))
	}
}

// TestReset loses a keyset, and has the service's own sealer open what it sealed.
func TestReset(t *testing.T) {
	f := newKeyset(t)
	f.store(t, "crm")
	before := f.keys(t, "sealing")
	if err := f.PutSecret("sealing", "overwritten"); err != nil {
		t.Fatal(err)
	}
	f.fails(t, 1, "nothing was changed", "yes\n", "keyset", "reset", "--stack", "tokenvend")
	if out := f.must(t, "lost\n", "keyset", "reset", "--stack", "tokenvend"); !strings.Contains(out, "under these names: k1.") {
		t.Error(out)
	}
	after := f.keys(t, "sealing")
	if after["primary"] != "k1" || len(after["k1"]) != 64 {
		t.Errorf("the primary is %s of %d keys", after["primary"], len(after)-1)
	}
	sealed, err := newSealer(before).Seal(t.Context(), []byte("a refresh token"), "crm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newSealer(after).Open(t.Context(), sealed, "crm"); !errors.Is(err, seal.ErrCorrupt) {
		t.Errorf("FI-36 %v, want ErrCorrupt: the service would answer 503 until the old key returns", err)
	}
	f.want(t, 1, "restore the secret first", "reset", "--yes", "--secret", "away", "--table", "tokens")
}

func TestRotateAsks(t *testing.T) {
	f := newKeyset(t)
	f.passed = 25 * time.Hour
	f.fails(t, 1, "nothing was changed", "n\n", "keyset", "rotate", "--stack", "tokenvend")
	if out := f.must(t, "y\n", "keyset", "rotate", "--stack", "tokenvend"); !strings.Contains(out, "k2 is added") {
		t.Error(out)
	}
}

func TestKeysetRefuses(t *testing.T) {
	f := newKeyset(t)
	if err := f.PutSecret("odd", `{"primary":"k1","k1":"short"}`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"no command", "keyset --help", 2, []string{"turn"}},
		{"no key", "<key>", 2, []string{"drop", "--stack", "x"}},
		{"an extra name", "unexpected argument k1", 2, []string{"rotate", "k1", "--stack", "x"}},
		{"no keyset", "--stack, or with --secret and --table", 2, []string{"rotate", "--secret", "x"}},
		{"both", "--stack excludes", 2, []string{"rotate", "--secret", "x", "--stack", "y"}},
		{"a table of the consent keyset", "omit --table", 2, []string{"status", "--consent", "--secret", "x", "--table", "y"}},
		{"FI-36 an absent keyset", "no such secret", 1, []string{"rotate", "--secret", "away", "--table", "tokens"}},
		{"FI-36 a keyset that the service refuses", `member "k1" must be`, 1, []string{"rotate", "--yes", "--secret", "odd", "--table", "tokens"}},
		{"an absent table", "ResourceNotFoundException", 1, []string{"status", "--secret", "sealing", "--table", "away"}},
	} {
		t.Run(c.name, func(t *testing.T) { f.want(t, c.code, c.want, c.args...) })
	}
}

// TestKeysetOfTheNamedStack has variables of another stack in the shell.
func TestKeysetOfTheNamedStack(t *testing.T) {
	f := newKeyset(t)
	t.Setenv("TOKEN_TABLE", "production-tokens")
	t.Setenv("SEALING_SECRET_ID", "production-sealing")
	f.passed = 25 * time.Hour
	f.want(t, 1, `TOKEN_TABLE is "production-tokens", but the output TableName`, "rotate", "--yes", "--stack", "tokenvend")
	f.want(t, 1, `SEALING_SECRET_ID is "production-sealing", but the output SealingKeyset`, "rotate", "--yes", "--stack", "tokenvend")
	if keys := f.keys(t, "sealing"); len(keys) != 2 {
		t.Errorf("the keyset has %d members", len(keys))
	}
}

func TestKeysetStatusJSON(t *testing.T) {
	f := newKeyset(t)
	f.store(t, "crm")
	var got struct {
		ChangedAt time.Time `json:"changed_at"`
		Keys      []struct {
			ID, Role    string
			SealedItems int `json:"sealed_items"`
		}
	}
	if err := json.Unmarshal([]byte(f.must(t, "", "keyset", "status", "-o", "json", "--stack", "tokenvend")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Keys) != 1 || got.Keys[0].ID != "k1" || got.Keys[0].Role != "primary" || got.Keys[0].SealedItems != 1 || got.ChangedAt.IsZero() {
		t.Errorf("status %+v", got)
	}
}
