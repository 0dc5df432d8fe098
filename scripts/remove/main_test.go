package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
)

const resources = `[{"LogicalResourceId":"Tokens","PhysicalResourceId":"tokens"},{"LogicalResourceId":"SealingKeyset","PhysicalResourceId":"sealing"},
{"LogicalResourceId":"ConsentKeyset","PhysicalResourceId":"consent"},{"LogicalResourceId":"GatewayLogs","PhysicalResourceId":"logs-role"}]`

// bench is an account on loopback, and what SAM was asked to do.
type bench struct {
	*awsfake.Services
	variables map[string]string
	asked     []string
	samFails  error
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
	for _, name := range []string{"sealing", "consent", "tokenvend/crm"} {
		if err := services.PutSecret(name, "{}"); err != nil {
			t.Fatal(err)
		}
	}
	if err := services.DynamoDB.Call("UpdateTable", map[string]any{"TableName": "tokens", "DeletionProtectionEnabled": true}, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) run(t *testing.T, in string, args ...string) (int, string) {
	t.Helper()
	var said bytes.Buffer
	code := run(t.Context(), args, world{
		in: strings.NewReader(in), out: &said, problems: &said,
		lookup: func(name string) (string, bool) { value, set := b.variables[name]; return value, set },
		sam: func(_ context.Context, args ...string) ([]byte, error) {
			b.asked = append(b.asked, strings.Join(args, " "))
			return []byte(resources), b.samFails
		},
	})
	return code, said.String()
}

func (b *bench) has(table bool, secret string) (found bool) {
	if table {
		return b.DynamoDB.Call("DescribeTable", map[string]any{"TableName": "tokens"}, nil) == nil
	}
	return b.SecretsManager.Call("GetSecretValue", map[string]any{"SecretId": secret}, nil) == nil
}

const said = `The stack tokenvend in us-east-1 goes: the API, the functions, the schedule, the alarms and the logs. Callers get no tokens any more.
What stays:

  go run ./scripts/remove -table tokens
  go run ./scripts/remove -secret sealing
  go run ./scripts/remove -secret consent
  go run ./scripts/remove -secret tokenvend/crm

and the role logs-role, which API Gateway writes logs with in the whole account and region.

These lines remove it; keep them.
Type tokenvend to go on: The stack tokenvend is deleted.
`

func TestStack(t *testing.T) {
	b := newBench(t)
	if code, _ := b.run(t, "other\n", "-stack", "tokenvend"); code != exitFailed || len(b.asked) != 1 {
		t.Errorf("exit code %d, SAM was asked to %q", code, b.asked)
	}
	code, got := b.run(t, "tokenvend\n", "-stack", "tokenvend")
	if diff := cmp.Diff(said, got); diff != "" || code != 0 {
		t.Errorf("exit code %d (-want +got):\n%s", code, diff)
	}
	if last := b.asked[len(b.asked)-1]; last != "delete --stack-name tokenvend --region us-east-1 --no-prompts" {
		t.Errorf("SAM was asked to %s", last)
	}
	if !b.has(true, "") || !b.has(false, "sealing") || !b.has(false, "tokenvend/crm") {
		t.Error("what has to stay is gone")
	}
	b.samFails = errors.New("no such stack")
	if code, got := b.run(t, "", "-stack", "away"); code != exitFailed || !strings.Contains(got, "no such stack") {
		t.Errorf("exit code %d, %s", code, got)
	}
}

func TestTable(t *testing.T) {
	b := newBench(t)
	if code, got := b.run(t, "", "-table", "tokens"); code != exitFailed || !strings.Contains(got, "nothing has been done") || !b.has(true, "") {
		t.Errorf("nobody agreed: exit code %d, %s", code, got)
	}
	if code, got := b.run(t, "tokens\n", "-table", "tokens"); code != 0 || b.has(true, "") {
		t.Errorf("exit code %d, %s", code, got)
	}
	if code, got := b.run(t, "", "-table", "tokens"); code != exitFailed || !strings.Contains(got, "ResourceNotFoundException") {
		t.Errorf("exit code %d, %s", code, got)
	}
}

func TestSecret(t *testing.T) {
	b := newBench(t)
	code, got := b.run(t, "", "-secret", "tokenvend/crm", "-yes")
	if code != 0 || b.has(false, "tokenvend/crm") || !strings.Contains(got, "restore-secret --secret-id tokenvend/crm") {
		t.Errorf("exit code %d, %s", code, got)
	}
	if err := b.SecretsManager.Call("RestoreSecret", map[string]any{"SecretId": "tokenvend/crm"}, nil); err != nil {
		t.Errorf("it cannot be brought back: %v", err)
	}
}

func TestUsage(t *testing.T) {
	b := newBench(t)
	for _, args := range [][]string{nil, {"-stack", "a", "-table", "b"}, {"-table", "b", "c"}, {"-what"}} {
		if code, _ := b.run(t, "", args...); code != exitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
	if code, got := b.run(t, "", "-help"); code != 0 || got != help {
		t.Errorf("exit code %d, %s", code, got)
	}
}
