package samcli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/samcli"
)

func TestLogicalNames(t *testing.T) {
	const template = `Resources:
  Tokens:
    Type: AWS::DynamoDB::Table
  TokenVending:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/vend/
  Tick:
    Properties:
      CodeUri: functions/renew
`
	want := map[string]string{"vend": "TokenVending", "renew": "Tick"}
	if diff := cmp.Diff(want, samcli.LogicalNames(template)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWithEndpoints(t *testing.T) {
	const before = `Globals:
  Function:
    Environment:
      Variables:
        LOG_LEVEL: info
        TOKEN_TABLE: t
Resources: {}
`
	const want = `Globals:
  Function:
    Environment:
      Variables:
        AWS_ENDPOINT_URL_DYNAMODB: ''
        AWS_ENDPOINT_URL_SECRETS_MANAGER: ''
        PUBLIC_BASE_URL: ''
        LOG_LEVEL: info
        TOKEN_TABLE: t
Resources: {}
`
	got, err := samcli.WithEndpoints(before)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	for _, test := range []struct{ name, template, says string }{
		{"no Globals", "Resources: {}\n", "no Globals"},
		{"Globals without variables", "Globals:\n  Function:\n    Timeout: 3\n", "declare no variables"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := samcli.WithEndpoints(test.template); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q in it", err, test.says)
			}
		})
	}
}
