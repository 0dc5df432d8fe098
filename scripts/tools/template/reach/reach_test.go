package reach_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/tools/template/reach"
)

const module = "github.com/tokenvend/tokenvend/"

// TestFrom uses this tree as the sample: calls through interfaces are found in the
// functions that have them, and in no other.
func TestFrom(t *testing.T) {
	code, err := reach.Load("../../../..", "./functions/...", "./pkg/...")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, command, call string
		want                bool
	}{
		{"AZ-50 called through two interfaces", "functions/vend", "dynamodb:UpdateItem", true},
		{"AZ-50 called from a function value", "functions/consent", "secretsmanager:GetSecretValue", true},
		{"AZ-50 called by the renewer", "functions/renew", "secretsmanager:ListSecrets", true},
		{"AZ-50 linked but never called", "functions/vend", "secretsmanager:ListSecrets", false},
		{"AZ-50 another method of a type in use", "functions/consent", "dynamodb:Query", false},
		{"AZ-50 never called", "functions/connections", "dynamodb:Scan", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := code.From(module + c.command)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(r.Calls(), c.call) != c.want {
				t.Errorf("%s calls %q; want %s among them: %v", c.command, r.Calls(), c.call, c.want)
			}
		})
	}
	t.Run("no such command", func(t *testing.T) {
		if _, err := code.From(module + "functions/other"); err == nil || !strings.Contains(err.Error(), "functions/other") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("tables and texts", func(t *testing.T) {
		if row := code.Table(module+"pkg/gateway", "httpStatus")["rate_limited"]; !slices.Equal(row, []string{"429", "Too many requests"}) {
			t.Errorf("rate_limited is %q", row)
		}
		if code.Table(module+"pkg/other", "httpStatus")["rate_limited"] != nil || code.Texts(module+"pkg/other", "directive") != nil {
			t.Error("a missing package has tables or texts")
		}
	})
}

func TestLoadRefuses(t *testing.T) {
	if _, err := reach.Load(".", "./missing"); err == nil {
		t.Error("loaded a package that does not exist")
	}
}
