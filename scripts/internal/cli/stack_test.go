package cli_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newStack returns an account with what a deployed stack consists of.
func newStack(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	if err := f.DynamoDB.Call("UpdateTable", map[string]any{"TableName": "tokens", "DeletionProtectionEnabled": true}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sealing", "consent", "tokenvend/crm", "staging/crm"} {
		if err := f.PutSecret(name, "{}"); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestDeleteStack(t *testing.T) {
	f := newStack(t)
	f.fails(t, 1, "nothing was changed", "other\n", "stack", "delete", "--stack", "tokenvend")
	if len(f.samArgs) > 0 {
		t.Fatalf("SAM was called with %q", f.samArgs)
	}
	golden(t, "stack-delete.txt", f.must(t, "tokenvend\n", "stack", "delete", "--stack", "tokenvend"))
	if diff := cmp.Diff([]string{"delete --stack-name tokenvend --region us-east-1 --no-prompts"}, f.samArgs); diff != "" {
		t.Errorf("calls of SAM (-want +got):\n%s", diff)
	}
	if exists, protected := f.describeTable(); !exists || !protected || !f.hasSecret("sealing") || !f.hasSecret("tokenvend/crm") {
		t.Error("CR-16 something that must stay was deleted")
	}
	f.samErr = errors.New("it is protected")
	f.fails(t, 1, "it is protected", "", "stack", "delete", "--yes", "--stack", "tokenvend")
	f.fails(t, 1, "there is no stack away", "", "stack", "delete", "--stack", "away")
	f.fails(t, 2, "name the stack with --stack", "", "stack", "delete")
}

// TestDeleteListsNoConnectionsOfOthers has two stacks in a region.
func TestDeleteListsNoConnectionsOfOthers(t *testing.T) {
	f := newStack(t)
	const crm = "delete-secret tokenvend/crm"
	t.Run("none unless asked", func(t *testing.T) {
		if out := f.must(t, "", "stack", "delete", "--yes", "--stack", "tokenvend"); strings.Contains(out, crm) {
			t.Error(out)
		}
	})
	t.Run("only its own", func(t *testing.T) {
		out := f.must(t, "", "stack", "delete", "--connections", "--yes", "--stack", "staging")
		if strings.Contains(out, crm) || !strings.Contains(out, "  tokenvend stack delete-secret staging/crm\n") {
			t.Error(out)
		}
	})
	t.Run("none by the shell's prefix", func(t *testing.T) {
		t.Setenv("SECRET_PREFIX", "tokenvend/")
		f.fails(t, 1, `SECRET_PREFIX is "tokenvend/", but the output SecretPrefix of the stack staging is "staging/"`, "", "stack", "delete", "--connections", "--yes", "--stack", "staging")
	})
	f.stacks["staging"]["SecretPrefix"] = "tokenvend/"
	calls := len(f.samArgs)
	t.Run("none where another stack has the prefix", func(t *testing.T) {
		code, out, errors := f.run(t, "", "stack", "delete", "--connections", "--yes", "--stack", "staging")
		if code != 1 || strings.Contains(out, crm) || !strings.Contains(errors, "the prefix tokenvend/ overlaps with that of the stack tokenvend") {
			t.Errorf("exit code %d\n%s%s", code, out, errors)
		}
		if len(f.samArgs) > calls {
			t.Error("the stack was deleted")
		}
	})
}

func TestDeletePassesOnTheAccount(t *testing.T) {
	f := newStack(t)
	out := f.must(t, "", "stack", "delete", "--yes", "--region", "eu-west-1", "--stack", "tokenvend")
	if !strings.Contains(out, "  tokenvend stack delete-table tokens --region eu-west-1\n") || !strings.HasSuffix(f.samArgs[0], "--region eu-west-1 --no-prompts") {
		t.Errorf("%q\n%s", f.samArgs, out)
	}
}

func TestDeleteTable(t *testing.T) {
	f := newStack(t)
	f.fails(t, 1, "nothing was changed", "", "stack", "delete-table", "tokens")
	if exists, protected := f.describeTable(); !exists || !protected {
		t.Fatal("the table was changed without a confirmation")
	}
	f.must(t, "tokens\n", "stack", "delete-table", "tokens")
	if exists, _ := f.describeTable(); exists {
		t.Error("the table was not deleted")
	}
	f.fails(t, 1, "ResourceNotFoundException", "", "stack", "delete-table", "tokens")
}

func TestDeleteSecret(t *testing.T) {
	f := newStack(t)
	f.fails(t, 1, "nothing was changed", "crm\n", "stack", "delete-secret", "tokenvend/crm")
	out := f.must(t, "", "stack", "delete-secret", "tokenvend/crm", "--yes")
	if f.hasSecret("tokenvend/crm") || !strings.Contains(out, "restore-secret --secret-id tokenvend/crm") {
		t.Error(out)
	}
	if err := f.SecretsManager.Call("RestoreSecret", map[string]any{"SecretId": "tokenvend/crm"}, nil); err != nil {
		t.Errorf("it cannot be restored: %v", err)
	}
}

func TestOutputs(t *testing.T) {
	f := newStack(t)
	if out := f.must(t, "", "stack", "outputs", "--stack", "staging"); !strings.Contains(out, "SecretPrefix     staging/\n") {
		t.Error(out)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(f.must(t, "", "stack", "outputs", "-o", "json", "--stack", "staging")), &got); err != nil || !maps.Equal(got, f.stacks["staging"]) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestStackUsage(t *testing.T) {
	f := newStack(t)
	for _, args := range [][]string{
		{"stack"}, {"stack", "delete-table"}, {"stack", "delete-table", "a", "b"}, {"stack", "delete-secret"}, {"stack", "delete", "--what"},
		{"stack", "delete-table", "--stack", "a", "b"},
	} {
		if code, _, errors := f.run(t, "", args...); code != 2 || !strings.Contains(errors, "see tokenvend stack") {
			t.Errorf("%q: exit code %d, %s", args, code, errors)
		}
	}
}
