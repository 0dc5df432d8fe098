package stack_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// SAM itself looks at AWS_DEFAULT_REGION alone, and everything else of ours at
// AWS_REGION first: both must mean one stack.
func TestCommandSaysTheRegion(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "sam"), []byte("#!/bin/sh\nprintf '%s in %s' \"$*\" \"$AWS_DEFAULT_REGION\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, c := range []struct{ name, region, fallback, want string }{
		{"AWS_REGION alone", "eu-west-1", "", "eu-west-1"},
		{"AWS_REGION before AWS_DEFAULT_REGION", "eu-west-1", "us-east-1", "eu-west-1"},
		{"AWS_DEFAULT_REGION alone", "", "us-east-1", "us-east-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("AWS_REGION", c.region)
			t.Setenv("AWS_DEFAULT_REGION", c.fallback)
			got, err := stack.Command(t.Context(), "list", "resources")
			if diff := cmp.Diff("list resources in "+c.want, string(got)); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

// printing is a SAM CLI that prints that.
func printing(text string) stack.SAM {
	return func(context.Context, ...string) ([]byte, error) { return []byte(text), nil }
}

const deployed = `{"LogicalResourceId":"Tokens","PhysicalResourceId":"tokens"},{"LogicalResourceId":"SealingKeyset","PhysicalResourceId":"sealing"},
{"LogicalResourceId":"ConsentKeyset","PhysicalResourceId":"consent"}`

func TestResources(t *testing.T) {
	want := map[string]string{"Tokens": "tokens", "SealingKeyset": "sealing", "ConsentKeyset": "consent"}
	t.Run("one of the template that the stack does not have is none", func(t *testing.T) {
		got, err := printing(`[`+deployed+`,{"LogicalResourceId":"GatewayLogs","PhysicalResourceId":"-"}]`).Resources(t.Context(), "tokenvend")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	})
	t.Run("another's stack is refused, although SAM lists the template's resources with it", func(t *testing.T) {
		_, err := printing(`[{"LogicalResourceId":"Shop","PhysicalResourceId":"shop"},`+
			strings.NewReplacer(`"tokens"`, `"-"`, `"sealing"`, `"-"`, `"consent"`, `"-"`).Replace(deployed)+`]`).Resources(t.Context(), "shop")
		if err == nil || !strings.Contains(err.Error(), "the stack shop has no Tokens") {
			t.Errorf("got %v", err)
		}
	})
}
