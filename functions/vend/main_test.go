package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/assembly/assemblytest"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
)

func TestBadEnvironment(t *testing.T) {
	assemblytest.Function{
		Name: "vend",
		Compose: func(lookup func(string) (string, bool), output io.Writer) error {
			_, _, err := compose(lookup, output)
			return err
		},
		Bad: map[string]map[string]string{
			"SEALING_SECRET_ID":    {"SEALING_SECRET_ID": "tokenvend/" + assemblytest.Canary},
			"SECRET_PREFIX":        {"SECRET_PREFIX": assemblytest.Canary},
			"PROVIDER_ALLOW_CIDRS": {"PROVIDER_ALLOW_CIDRS": assemblytest.Canary},
		},
	}.Refuses(t)
}

func TestGoodEnvironment(t *testing.T) {
	t.Run("CR-35 INIT fetches the keyset and connects to the table", func(t *testing.T) {
		aws := assemblytest.NewServices(t)
		out := serve(t, aws)
		if diff := cmp.Diff([]string{"GetItem", "GetSecretValue"}, aws.Calls()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		if !strings.Contains(out, `"msg":"started"`) || strings.Contains(out, "during start") {
			t.Errorf("printed %s", out)
		}
	})
	t.Run("CR-35 a failure during INIT does not stop the function", func(t *testing.T) {
		aws := assemblytest.NewServices(t)
		aws.Close()
		out := serve(t, aws)
		for _, want := range []string{"keyset not fetched during start", "table not reached during start"} {
			if !strings.Contains(out, want) {
				t.Errorf("not printed: %s", want)
			}
		}
	})
}

// serve starts the function, sends one event that is refused, and returns the output.
func serve(t *testing.T, aws *assemblytest.Services) string {
	t.Helper()
	var out bytes.Buffer
	handler, function, err := compose(assemblytest.Lookup(assemblytest.Environment(aws.URL, nil)), &out)
	if err != nil {
		t.Fatal(err)
	}
	warmUp(function)
	answer, err := handler.Invoke(t.Context(), restevent.Request{Path: "/connections/crm/token"}.Encode())
	var got struct{ StatusCode int }
	if err != nil || json.Unmarshal(answer, &got) != nil || got.StatusCode != http.StatusForbidden {
		t.Errorf("answer %s, %v; want 403 without an identity", answer, err)
	}
	if strings.Contains(out.String(), assemblytest.Canary) {
		t.Errorf("INV-5 printed a secret")
	}
	return out.String()
}
