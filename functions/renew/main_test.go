package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/assembly/assemblytest"
)

func TestBadEnvironment(t *testing.T) {
	assemblytest.Function{
		Name: "renew",
		Compose: func(lookup func(string) (string, bool), output io.Writer) error {
			_, err := compose(lookup, output)
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
	var out bytes.Buffer
	aws := assemblytest.NewServices(t)
	handler, err := compose(assemblytest.Lookup(assemblytest.Environment(aws.URL, nil)), &out)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := handler.Invoke(t.Context(), []byte(`{"source":"aws.s3","detail-type":"Object Created"}`))
	if err != nil || !strings.Contains(string(answer), `{"refused":`) {
		t.Errorf("answer %s, %v; want it refused", answer, err)
	}
	if calls := aws.Calls(); len(calls) > 0 {
		t.Errorf("called %v for an event of another source", calls)
	}
	if strings.Contains(out.String(), assemblytest.Canary) || !strings.Contains(out.String(), `"msg":"event refused"`) {
		t.Errorf("INV-5 printed %s", out.String())
	}
}
