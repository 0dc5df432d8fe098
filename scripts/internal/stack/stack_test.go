package stack_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// region is the stacks of a region, by name. A list of them has one per page.
type region map[string]types.Stack

func (r region) DescribeStacks(_ context.Context, in *cloudformation.DescribeStacksInput, _ ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	if in.StackName != nil {
		found, ok := r[*in.StackName]
		if !ok {
			return nil, &smithy.GenericAPIError{Code: "ValidationError", Message: "canary"}
		}
		return &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{found}}, nil
	}
	names := slices.Sorted(maps.Keys(r))
	at, _ := slices.BinarySearch(names, aws.ToString(in.NextToken))
	out := &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{r[names[at]]}}
	if at+1 < len(names) {
		out.NextToken = &names[at+1]
	}
	return out, nil
}

// deployed returns a stack with the outputs of the template and the given ones.
func deployed(name string, changed map[string]string) types.Stack {
	s := types.Stack{StackName: &name}
	outputs := map[string]string{
		"Url": "https://" + name + ".example.com", "Curl": "curl", "CallerStatement": "{}", "TableName": name + "-tokens",
		"SecretPrefix": name + "/", "SealingKeyset": name + "-sealing", "ConsentKeyset": name + "-consent", "ProviderAllowCidrs": "10.0.0.0/8,fd00::/8",
	}
	maps.Copy(outputs, changed)
	for key, value := range outputs {
		s.Outputs = append(s.Outputs, types.Output{OutputKey: &key, OutputValue: &value})
	}
	return s
}

func TestFind(t *testing.T) {
	r := region{"staging": deployed("staging", nil), "shop": {StackName: aws.String("shop")}, "odd": deployed("odd", map[string]string{"ProviderAllowCidrs": "everywhere"})}
	got, err := stack.Find(t.Context(), r, "staging")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"https://staging.example.com", "staging-tokens", "staging/", "staging-sealing", "staging-consent", ""}
	if diff := cmp.Diff(want, []string{got.URL(), got.Table(), got.SecretPrefix(), got.SealingKeyset(), got.ConsentKeyset(), got.GatewayLogRole()}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got.Networks) != 2 || got.Networks[0].String() != "10.0.0.0/8" {
		t.Errorf("networks %v", got.Networks)
	}
	for name, want := range map[string]string{
		"shop": "the stack shop has no output Url", "absent": "there is no stack absent", "odd": "invalid output ProviderAllowCidrs",
	} {
		if _, err := stack.Find(t.Context(), r, name); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}

// TestCheckEnvironment has variables of production in the shell while the operator
// names staging.
func TestCheckEnvironment(t *testing.T) {
	r := region{"staging": deployed("staging", nil), "closed": deployed("closed", map[string]string{"ProviderAllowCidrs": ""})}
	for _, c := range []struct{ name, stack, variable, value, want string }{
		{"another prefix", "staging", "SECRET_PREFIX", "production/", "SecretPrefix"},
		{"another table", "staging", "TOKEN_TABLE", "production-tokens", "TableName"},
		{"another keyset", "staging", "SEALING_SECRET_ID", "production-sealing", "SealingKeyset"},
		{"another URL", "staging", "TOKENVEND_URL", "https://production.example.com", "Url"},
		{"another public URL", "staging", "PUBLIC_BASE_URL", "https://production.example.com", "Url"},
		{"other networks", "staging", "PROVIDER_ALLOW_CIDRS", "10.0.0.0/8", "ProviderAllowCidrs"},
		{"networks where none are allowed", "closed", "PROVIDER_ALLOW_CIDRS", "10.0.0.0/8", "ProviderAllowCidrs"},
		{"invalid networks", "staging", "PROVIDER_ALLOW_CIDRS", "everywhere", "ProviderAllowCidrs"},
		{"the same prefix", "staging", "SECRET_PREFIX", "staging/", ""},
		{"the same URL", "staging", "TOKENVEND_URL", "https://staging.example.com/", ""},
		{"the same networks in another order", "staging", "PROVIDER_ALLOW_CIDRS", "fd00::/8 10.0.0.0/8", ""},
		{"an empty variable", "staging", "SECRET_PREFIX", "", ""},
		{"a variable that no output determines", "staging", "LOG_LEVEL", "debug", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := stack.Find(t.Context(), r, c.stack)
			if err != nil {
				t.Fatal(err)
			}
			err = s.CheckEnvironment(func(name string) (string, bool) {
				if name == c.variable {
					return c.value, true
				}
				return "", false
			})
			if c.want == "" && err != nil {
				t.Error(err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.variable+" is") || !strings.Contains(err.Error(), "the output "+c.want+" of the stack "+c.stack)) {
				t.Errorf("error %v, want it to name %s and %s", err, c.variable, c.want)
			}
		})
	}
}

func TestSharingPrefix(t *testing.T) {
	parameter := types.Parameter{ParameterKey: aws.String("SecretPrefix"), ParameterValue: aws.String("staging/")}
	r := region{
		"staging": deployed("staging", nil), "same": deployed("same", map[string]string{"SecretPrefix": "staging/"}),
		"above": deployed("above", map[string]string{"SecretPrefix": "s"}), "below": deployed("below", map[string]string{"SecretPrefix": "staging/eu/"}),
		"earlier": {StackName: aws.String("earlier"), Parameters: []types.Parameter{parameter}},
		"other":   deployed("other", nil), "shop": {StackName: aws.String("shop")},
	}
	s, err := stack.Find(t.Context(), r, "staging")
	if err != nil {
		t.Fatal(err)
	}
	got, err := stack.SharingPrefix(t.Context(), r, s)
	if diff := cmp.Diff([]string{"above", "below", "earlier", "same"}, got); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

// TestSAMCommand runs a program in place of SAM CLI.
func TestSAMCommand(t *testing.T) {
	folder, asked := t.TempDir(), filepath.Join(t.TempDir(), "asked")
	t.Setenv("PATH", folder)
	err := stack.SAM(stack.SAMCommand).Delete(t.Context(), "tokenvend", "eu-west-1", "")
	if err == nil || !strings.Contains(err.Error(), "pipx install aws-sam-cli") {
		t.Errorf("without SAM CLI: error %v", err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+"/usr/bin"+string(os.PathListSeparator)+"/bin")
	script := "#!/bin/sh\nprintf '%s' \"$*\" >" + asked + "\nprintf 'deleting\\nit is protected\\n' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(folder, "sam"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	err = stack.SAM(stack.SAMCommand).Delete(t.Context(), "tokenvend", "eu-west-1", "work")
	if err == nil || !strings.HasSuffix(err.Error(), ": it is protected") || errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	got, err := os.ReadFile(asked)
	const want = "delete --stack-name tokenvend --region eu-west-1 --no-prompts --profile work"
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}
