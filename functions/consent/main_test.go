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
		Name: "consent",
		Compose: func(lookup func(string) (string, bool), output io.Writer) error {
			_, err := compose(lookup, output)
			return err
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
	for want, event := range map[string]string{
		`"statusCode":404`: `{"resource":"/connections/{connection}/token","path":"/connections/crm/token",
			"httpMethod":"GET","pathParameters":{"connection":"crm"},"requestContext":{"stage":"v1"}}`,
		`"statusCode":400`: `{"resource":"/callback/{connection}","path":"/callback/crm","httpMethod":"GET",
			"pathParameters":{"connection":"crm"},"requestContext":{"stage":"v1"}}`,
	} {
		answer, err := handler.Invoke(t.Context(), []byte(event))
		if err != nil || !strings.Contains(string(answer), want) || !strings.Contains(string(answer), "<!DOCTYPE html>") {
			t.Errorf("answer %s, %v; want a page with %s", answer, err, want)
		}
	}
	if calls := aws.Calls(); len(calls) > 0 {
		t.Errorf("called %v for what names no session", calls)
	}
	if strings.Contains(out.String(), assemblytest.Canary) || !strings.Contains(out.String(), `"outcome":"invalid_request"`) {
		t.Errorf("INV-5 printed %s", out.String())
	}
}
