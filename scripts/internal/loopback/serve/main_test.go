package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestRunPrintsTheVariables(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := run(ctx, &out, settings{table: "tokens"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:", "AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:", "AWS_REGION=", "TOKEN_TABLE=tokens"} {
		if !strings.Contains(out.String(), "export "+name) {
			t.Errorf("%s is missing in:\n%s", name, &out)
		}
	}
}

func TestRunRefusesAnOpenAddress(t *testing.T) {
	var s settings
	s.DynamoDBAddr = "0.0.0.0:0"
	if err := run(t.Context(), &bytes.Buffer{}, s); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("%v", err)
	}
}
