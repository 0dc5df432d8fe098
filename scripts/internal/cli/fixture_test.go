package cli_test

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
	"github.com/tokenvend/tokenvend/scripts/internal/cli"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

var update = flag.Bool("update", false, "write the output as the golden output")

// fixture is an account with the stacks tokenvend and staging.
type fixture struct {
	*awsfake.Services
	stacks stacks
	// canary must never be printed.
	canary string
	// passed is the time since the fixture was created.
	passed time.Duration
	// samArgs are the calls of SAM CLI, and samErr is its result.
	samArgs []string
	samErr  error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	services, err := awsfake.Start(awsfake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.Close() })
	for _, name := range []string{
		"AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "TOKENVEND_URL", "PUBLIC_BASE_URL",
		"SECRET_PREFIX", "TOKEN_TABLE", "SEALING_SECRET_ID", "PROVIDER_ALLOW_CIDRS",
	} {
		t.Setenv(name, "")
	}
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, filepath.Join(t.TempDir(), "absent"))
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, variable := range services.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	if err := services.CreateTokenTable("tokens"); err != nil {
		t.Fatal(err)
	}
	return &fixture{
		Services: services,
		stacks:   stacks{"tokenvend": outputs("tokenvend", "tokenvend/"), "staging": outputs("staging", "staging/")},
	}
}

// run runs the command, and returns the exit code and what it printed on standard
// output and on standard error.
func (f *fixture) run(t *testing.T, in string, args ...string) (code int, out, errors string) {
	t.Helper()
	var outText, errText bytes.Buffer
	code = cli.Run(t.Context(), args, cli.Env{
		In: strings.NewReader(in), Out: &outText, Err: &errText, Lookup: os.LookupEnv, Program: "tokenvend",
		Now:            func() time.Time { return time.Now().Add(f.passed) },
		CloudFormation: func(aws.Config) stack.Client { return f.stacks },
		SAM: func(_ context.Context, args ...string) error {
			f.samArgs = append(f.samArgs, strings.Join(args, " "))
			return f.samErr
		},
	})
	if f.canary != "" && strings.Contains(outText.String()+errText.String(), f.canary) {
		t.Errorf("AZ-53 a secret is printed:\n%s%s", &outText, &errText)
	}
	return code, outText.String(), errText.String()
}

// must runs the command, which must succeed, and returns its standard output.
func (f *fixture) must(t *testing.T, in string, args ...string) string {
	t.Helper()
	code, out, errors := f.run(t, in, args...)
	if code != 0 || errors != "" {
		t.Fatalf("%q: exit code %d:\n%s%s", args, code, out, errors)
	}
	return out
}

// fails runs the command, which must fail with a code and a text on standard error.
func (f *fixture) fails(t *testing.T, code int, want, in string, args ...string) {
	t.Helper()
	got, out, errors := f.run(t, in, args...)
	if got != code || !strings.Contains(errors, want) {
		t.Errorf("%q: exit code %d, want %d and %q on standard error:\n%s\n%s", args, got, code, want, out, errors)
	}
}

func (f *fixture) secret(t *testing.T, name string) string {
	t.Helper()
	var out struct{ SecretString string }
	if err := f.SecretsManager.Call("GetSecretValue", map[string]any{"SecretId": name}, &out); err != nil {
		t.Fatal(err)
	}
	return out.SecretString
}

func (f *fixture) hasSecret(name string) bool {
	return f.SecretsManager.Call("GetSecretValue", map[string]any{"SecretId": name}, nil) == nil
}

// describeTable reports whether the table exists, and whether it is protected.
func (f *fixture) describeTable() (exists, protected bool) {
	var out struct {
		Table struct{ DeletionProtectionEnabled bool }
	}
	err := f.DynamoDB.Call("DescribeTable", map[string]any{"TableName": "tokens"}, &out)
	return err == nil, out.Table.DeletionProtectionEnabled
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// outputs are the outputs of a stack.
func outputs(name, prefix string) map[string]string {
	url := "https://" + name + ".execute-api.us-east-1.amazonaws.com/v1"
	return map[string]string{
		"Url": url, "Curl": "curl " + url + "/connections/NAME/token",
		"CallerStatement": `{"Resource":["arn:aws:execute-api:us-east-1:111122223333:` + name + `/v1/GET/connections/NAME/token"]}`,
		"TableName":       "tokens", "SecretPrefix": prefix, "SealingKeyset": "sealing", "ConsentKeyset": "consent", "GatewayLogRole": "logs-role",
		"LogGroups": "vend-log,access-log",
	}
}

// stacks are the outputs of the stacks of a region.
type stacks map[string]map[string]string

func (s stacks) DescribeStacks(_ context.Context, in *cloudformation.DescribeStacksInput, _ ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	out := &cloudformation.DescribeStacksOutput{}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if in.StackName != nil && *in.StackName != name {
			continue
		}
		found := cfn.Stack{StackName: &name}
		for key, value := range s[name] {
			found.Outputs = append(found.Outputs, cfn.Output{OutputKey: &key, OutputValue: &value})
		}
		out.Stacks = append(out.Stacks, found)
	}
	if len(out.Stacks) == 0 {
		return nil, &smithy.GenericAPIError{Code: "ValidationError"}
	}
	return out, nil
}
