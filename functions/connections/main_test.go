package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/assembly/assemblytest"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
)

func TestBadEnvironment(t *testing.T) {
	assemblytest.Function{
		Name: "connections",
		Compose: func(lookup func(string) (string, bool), output io.Writer) error {
			_, err := compose(lookup, output)
			return err
		},
		Bad: map[string]map[string]string{
			"SECRET_PREFIX":        {"SECRET_PREFIX": assemblytest.Canary},
			"PROVIDER_ALLOW_CIDRS": {"PROVIDER_ALLOW_CIDRS": assemblytest.Canary},
			"PUBLIC_BASE_URL":      {"PUBLIC_BASE_URL": "http://" + assemblytest.Canary + ".example.com"},
		},
	}.Refuses(t)
}

func TestGoodEnvironment(t *testing.T) {
	var out bytes.Buffer
	aws := assemblytest.NewServices(t)
	handler, err := compose(assemblytest.Lookup(assemblytest.Environment(aws.URL, nil)), &out)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := handler.Invoke(t.Context(), restevent.Request{Path: "/connections"}.Encode())
	if err != nil || !strings.Contains(string(answer), `"statusCode":403`) {
		t.Errorf("answer %s, %v; want 403 without an identity", answer, err)
	}
	if calls := aws.Calls(); len(calls) > 0 {
		t.Errorf("called %v for a caller without an identity", calls)
	}
	if strings.Contains(out.String(), assemblytest.Canary) || !strings.Contains(out.String(), `"outcome":"access_denied"`) {
		t.Errorf("INV-5 printed %s", out.String())
	}
}
