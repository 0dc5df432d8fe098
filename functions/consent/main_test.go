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
	for want, path := range map[string]string{
		`"statusCode":404`: "/connections/crm/token",
		`"statusCode":400`: "/callback/crm",
	} {
		answer, err := handler.Invoke(t.Context(), restevent.Request{Path: path}.Encode())
		if err != nil || !strings.Contains(string(answer), want) || !strings.Contains(string(answer), "<!DOCTYPE html>") {
			t.Errorf("answer %s, %v; want a page with %s", answer, err, want)
		}
	}
	if calls := aws.Calls(); len(calls) > 0 {
		t.Errorf("called %v for requests that name no session", calls)
	}
	if strings.Contains(out.String(), assemblytest.Canary) || !strings.Contains(out.String(), `"outcome":"invalid_request"`) {
		t.Errorf("INV-5 printed %s", out.String())
	}
}
