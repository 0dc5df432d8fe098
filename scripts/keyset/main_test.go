package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
)

const canary = "canary-of-a-key-0123456789-0123456789"

// made is what the stack makes.
const made = `{"primary":"k1","k1":"` + canary + `"}`

// bench is a deployment's table and keyset on loopback.
type bench struct {
	*awsfake.Services
	variables map[string]string
	// passed is how long ago all of it was made.
	passed time.Duration
}

func newBench(t *testing.T) *bench {
	t.Helper()
	services, err := awsfake.Start(awsfake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.Close() })
	b := &bench{Services: services, variables: map[string]string{}}
	for _, variable := range services.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		b.variables[name] = value
	}
	if err := services.CreateTokenTable("tokens"); err != nil {
		t.Fatal(err)
	}
	if err := services.PutSecret("sealing", made); err != nil {
		t.Fatal(err)
	}
	return b
}

// resources is what SAM lists of the stack.
const resources = `[{"LogicalResourceId":"Tokens","PhysicalResourceId":"tokens"},{"LogicalResourceId":"SealingKeyset","PhysicalResourceId":"sealing"},
{"LogicalResourceId":"ConsentKeyset","PhysicalResourceId":"consent"}]`

func (b *bench) run(t *testing.T, in string, args ...string) (int, string) {
	t.Helper()
	var said bytes.Buffer
	code := run(t.Context(), args, world{
		in: strings.NewReader(in), out: &said, problems: &said, now: func() time.Time { return time.Now().Add(b.passed) },
		lookup: func(name string) (string, bool) { value, set := b.variables[name]; return value, set },
		sam:    func(context.Context, ...string) ([]byte, error) { return []byte(resources), nil },
	})
	if strings.Contains(said.String(), canary) {
		t.Errorf("AZ-53 it shows a key:\n%s", said.String())
	}
	return code, said.String()
}

// want runs a command, and compares its exit code and a part of what it says.
func (b *bench) want(t *testing.T, code int, part string, args ...string) {
	t.Helper()
	got, said := b.run(t, "", args...)
	if got != code || !strings.Contains(said, part) {
		t.Errorf("%q: exit code %d, want %d and that it says %q:\n%s", args, got, code, part, said)
	}
}

func (b *bench) keyset(t *testing.T, id string) map[string]string {
	t.Helper()
	var out struct{ SecretString string }
	if err := b.SecretsManager.Call("GetSecretValue", map[string]any{"SecretId": id}, &out); err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	if err := json.Unmarshal([]byte(out.SecretString), &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

// store puts an item into the table that the present keyset seals.
func (b *bench) store(t *testing.T, name string) {
	t.Helper()
	text, _ := json.Marshal(b.keyset(t, "sealing"))
	sealed, err := seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return redact.New(string(text)), nil }}).
		Seal(t.Context(), []byte("a refresh token"), name)
	if err != nil {
		t.Fatal(err)
	}
	item := map[string]any{
		"pk": map[string]string{"S": "connection/" + name}, "sk": map[string]string{"S": "token"},
		"grant": map[string]string{"B": base64.StdEncoding.EncodeToString(sealed)},
		"note":  map[string]string{"B": base64.StdEncoding.EncodeToString([]byte("not sealed"))},
	}
	if err := b.DynamoDB.Call("PutItem", map[string]any{"TableName": "tokens", "Item": item}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestRotation follows one keyset through a rotation, with a clock that is put
// forward.
func TestRotation(t *testing.T) {
	b := newBench(t)
	rotate := []string{"rotate", "-yes", "-stack", "tokenvend"}
	b.store(t, "crm")

	b.want(t, 0, "Nothing is due", rotate...)
	b.passed = 25 * time.Hour
	b.want(t, 0, "k2 is added", rotate...)
	if keys := b.keyset(t, "sealing"); keys["primary"] != "k1" || keys["k1"] != canary || len(keys["k2"]) != 64 {
		t.Errorf("AZ-52 after the first step the primary is %s of %d keys", keys["primary"], len(keys)-1)
	}
	b.passed = time.Minute
	b.want(t, exitEarly, "run this again in 4m", rotate...)
	b.want(t, exitFailed, "it is to become primary", "drop", "k2", "-yes", "-stack", "tokenvend")
	b.passed = 6 * time.Minute
	b.want(t, 0, "k2 is primary", rotate...)
	b.store(t, "erp")
	b.passed = time.Hour
	b.want(t, 0, "Nothing is due", rotate...)
	b.want(t, 0, "k1   opens what it sealed; seals 1 items\n  k2   primary; seals 1 items", "status", "-secret", "sealing", "-table", "tokens")

	drop := []string{"drop", "k1", "-yes", "-stack", "tokenvend"}
	b.want(t, exitFailed, "may seal with it until 24h", drop...)
	b.passed = 25 * time.Hour
	b.want(t, exitFailed, "1 items are sealed with it (connection/crm token)", drop...)
	b.want(t, exitFailed, "it is primary", "drop", "k2", "-yes", "-stack", "tokenvend")
	b.want(t, exitFailed, "no key", "drop", "k7", "-yes", "-stack", "tokenvend")
	b.store(t, "crm")
	b.want(t, 0, "k1 is dropped", drop...)
	if keys := b.keyset(t, "sealing"); len(keys) != 2 || keys["primary"] != "k2" || len(keys["k2"]) != 64 {
		t.Errorf("AZ-52 at the end the primary is %s of %d keys", keys["primary"], len(keys)-1)
	}
	b.passed = 0
	b.want(t, 0, "k3 is added", "rotate", "-again", "-yes", "-stack", "tokenvend")
}

func TestConsentKeyset(t *testing.T) {
	b := newBench(t)
	if err := b.PutSecret("consent", `{"primary":"k2","k1":"`+canary+`","k2":"`+canary+`"}`); err != nil {
		t.Fatal(err)
	}
	b.passed = 25 * time.Hour
	b.want(t, 0, "k1   opens what it sealed\n  k2   primary\n", "status", "-consent", "-stack", "tokenvend")
	b.want(t, 0, "k1 is dropped", "drop", "-yes", "k1", "-consent", "-secret", "consent")
	if keys := b.keyset(t, "sealing"); len(keys) != 2 {
		t.Errorf("the other keyset has %d members", len(keys))
	}
}

// TestBegin loses a keyset, and has the service's own sealer judge what becomes
// of what it sealed.
func TestBegin(t *testing.T) {
	b := newBench(t)
	b.store(t, "crm")
	before := b.keyset(t, "sealing")
	if err := b.PutSecret("sealing", "overwritten"); err != nil {
		t.Fatal(err)
	}
	if code, said := b.run(t, "yes\n", "begin", "-stack", "tokenvend"); code != exitFailed || !strings.Contains(said, "nothing has been done") {
		t.Errorf("%d, %s", code, said)
	}
	if code, said := b.run(t, "lost\n", "begin", "-stack", "tokenvend"); code != 0 || !strings.Contains(said, "under these names: k1.") {
		t.Errorf("%d, %s", code, said)
	}
	after := b.keyset(t, "sealing")
	if after["primary"] != "k1" || len(after["k1"]) != 64 {
		t.Errorf("the primary is %s of %d keys", after["primary"], len(after)-1)
	}
	sealer := func(keys map[string]string) *seal.Sealer {
		text, _ := json.Marshal(keys)
		return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return redact.New(string(text)), nil }})
	}
	sealed, err := sealer(before).Seal(t.Context(), []byte("a refresh token"), "crm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealer(after).Open(t.Context(), sealed, "crm"); !errors.Is(err, seal.ErrCorrupt) {
		t.Errorf("FI-36 %v, want ErrCorrupt: the service would wait for the old key without end", err)
	}
	b.want(t, exitFailed, "bring the secret back", "begin", "-yes", "-secret", "away", "-table", "tokens")
}

func TestAsks(t *testing.T) {
	b := newBench(t)
	b.passed = 25 * time.Hour
	if code, said := b.run(t, "n\n", "rotate", "-stack", "tokenvend"); code != exitFailed || !strings.Contains(said, "nothing has been done") {
		t.Errorf("%d, %s", code, said)
	}
	if code, said := b.run(t, "y\n", "rotate", "-stack", "tokenvend"); code != 0 || !strings.Contains(said, "k2 is added") {
		t.Errorf("%d, %s", code, said)
	}
}

func TestRefuses(t *testing.T) {
	b := newBench(t)
	if err := b.PutSecret("odd", `{"primary":"k1","k1":"short"}`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"no command", "status, rotate, drop or begin", exitUsage, []string{"turn"}},
		{"no key", "name the key", exitUsage, []string{"drop", "-stack", "x"}},
		{"a name too many", "takes no name", exitUsage, []string{"rotate", "k1", "-stack", "x"}},
		{"no keyset", "give -stack", exitUsage, []string{"rotate", "-secret", "x"}},
		{"both", "in place of", exitUsage, []string{"rotate", "-secret", "x", "-stack", "y"}},
		{"a table of the consent keyset", "leave -table out", exitUsage, []string{"status", "-consent", "-secret", "x", "-table", "y"}},
		{"FI-36 a keyset that is not there", "no such secret", exitFailed, []string{"rotate", "-secret", "away", "-table", "tokens"}},
		{"FI-36 a keyset that the service does not take", `member "k1" must be`, exitFailed, []string{"rotate", "-yes", "-secret", "odd", "-table", "tokens"}},
		{"a table that is not there", "ResourceNotFoundException", exitFailed, []string{"status", "-secret", "sealing", "-table", "away"}},
	} {
		t.Run(c.name, func(t *testing.T) { b.want(t, c.code, c.want, c.args...) })
	}
	b.want(t, 0, help, "-help")
}
