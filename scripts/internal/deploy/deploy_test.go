// Package deploy_test runs deploy.sh in a copy of the tree's layout, with a sam and
// an aws that record their arguments.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The programs in place of the real ones. aws has one account, a region where the test
// configures one, and the stacks that the test describes by their state.
const (
	sam = `#!/bin/sh
echo "sam $* (GOFLAGS=${GOFLAGS:-} AWS_PROFILE=${AWS_PROFILE:-})" >>"$ASKED"
[ "$1" != deploy ] || [ -z "${AFTER:-}" ] || { echo "$AFTER" >"$ASKED.state"; exit 1; }
`
	aws = `#!/bin/sh
case "$1 $2" in
"configure get") echo "$CONFIGURED" ;;
"sts get-caller-identity") [ -z "$SIGNED_OUT" ] && printf '111122223333\tarn:aws:iam::111122223333:user/me\n' ;;
"lambda get-account-settings") [ "$UNRESERVED" != denied ] && echo "$UNRESERVED" ;;
"apigateway get-account") echo "$LOG_ROLE" ;;
"cloudformation describe-stack-resources") echo tokens-table ;;
"cloudformation describe-stacks")
	state=$STATE
	[ ! -f "$ASKED.state" ] || read -r state <"$ASKED.state"
	[ -n "$state" ] || exit 254
	case "$*" in
	*StackStatus*) echo "$state" ;;
	*Architecture*) echo "${DEPLOYED_ARCHITECTURE:-None}" ;;
	*ReserveRenewer*) echo "${DEPLOYED_RESERVATION:-None}" ;;
	esac ;;
esac
`
)

// answers is what SAM stores after guided deployments to two environments.
const answers = `version = 0.1
[prod.deploy.parameters]
stack_name = "tokens-prod"
region = "eu-north-1"
profile = "production"
parameter_overrides = "Architecture=\"arm64\" SecretPrefix=\"prod/\" OrganizationId=\"\""

[default.deploy.parameters]
stack_name = "tokens-eu"
region = "eu-west-1"
profile = "work"
parameter_overrides = "Architecture=\"x86_64\" SecretPrefix=\"tokenvend/\""
`

// call is one call of the script.
type call struct {
	programs   map[string]string // sam and aws when nil
	answers    string
	parameters string // of the file PARAMETERS, which is then set
	args       []string
	env        []string
}

// run runs the script, and returns sam's arguments, the output, and whether the
// script succeeded.
func (c call) run(t *testing.T) (asked, said string, ok bool) {
	t.Helper()
	root := t.TempDir()
	for name, path := range map[string]string{"scripts/deploy.sh": "../../deploy.sh", "scripts/tools/goflags": "../../tools/goflags", "template.yaml": "../../../template.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, name), string(text))
	}
	if c.programs == nil {
		c.programs = map[string]string{"sam": sam, "aws": aws}
	}
	for name, text := range c.programs {
		write(t, filepath.Join(root, "bin", name), text)
	}
	if c.answers != "" {
		write(t, filepath.Join(root, "samconfig.toml"), c.answers)
	}
	notes := filepath.Join(root, "asked")
	command := exec.Command(filepath.Join(root, "scripts/deploy.sh"), c.args...)
	command.Env = append([]string{"PATH=" + filepath.Join(root, "bin") + ":" + tools(t), "ASKED=" + notes, "SIGNED_OUT=", "CONFIGURED=",
		"UNRESERVED=110", "LOG_ROLE=None", "STATE="}, c.env...)
	if c.parameters != "" {
		write(t, filepath.Join(root, "parameters"), c.parameters)
		command.Env = append(command.Env, "PARAMETERS=parameters")
	}
	out, err := command.CombinedOutput()
	text, _ := os.ReadFile(notes) // absent when sam was never asked
	return strings.ReplaceAll(string(text), root, "ROOT"), string(out), err == nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// tools is a folder with the tools that the script needs, so that it does not find an
// installed sam.
func tools(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"sh", "cat", "dirname", "sed", "head", "mkdir"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const flags = `-trimpath -buildvcs=false -tags=lambda.norpc "-ldflags=-s -w"`

// build is the call of sam build for an architecture.
func build(arch, profile string) string {
	return "sam build --parameter-overrides Architecture=" + arch + " (GOFLAGS=" + flags + " AWS_PROFILE=" + profile + ")\n"
}

// deployWith is the call of sam deploy with these arguments.
func deployWith(profile, args string) string {
	return "sam deploy " + args + " (GOFLAGS= AWS_PROFILE=" + profile + ")\n"
}

// unattended is the call of sam deploy that asks nothing.
func unattended(stack, overrides string) string {
	return deployWith("", "--region eu-west-1 --config-file ROOT/.aws-sam/no-answers.toml --stack-name "+stack+" --capabilities CAPABILITY_IAM --resolve-s3 "+
		"--no-confirm-changeset --no-fail-on-empty-changeset --parameter-overrides "+overrides)
}

const guided = " --guided --stack-name tokenvend --capabilities CAPABILITY_IAM --parameter-overrides "

func TestDeploy(t *testing.T) {
	for _, c := range []struct {
		name string
		call
		asked, said string
	}{
		{"the first time it is guided", call{env: []string{"AWS_REGION=eu-central-1"}, args: []string{"--debug"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64" --debug`),
			"stack   not named yet\naccount 111122223333, as arn:aws:iam::111122223333:user/me\nregion  eu-central-1\n"},
		{"for another architecture, in the region that is configured", call{env: []string{"CONFIGURED=eu-north-1", "ARCH=amd64"}},
			build("x86_64", "") + deployWith("", "--region eu-north-1"+guided+`Architecture="x86_64"`), "region  eu-north-1\n"},
		{"in an account without concurrency to reserve", call{env: []string{"AWS_REGION=eu-central-1", "UNRESERVED=10"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64" ReserveRenewer="no"`), "this account has 10 unreserved"},
		{"in an account where one execution can be reserved", call{env: []string{"AWS_REGION=eu-central-1", "UNRESERVED=101"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64"`), ""},
		{"in an account with executions for the public pages", call{env: []string{"AWS_REGION=eu-central-1", "UNRESERVED=111"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64" ConsentConcurrency="10"`), "ConsentConcurrency is 10"},
		{"in an account with one execution too few for the public pages", call{env: []string{"AWS_REGION=eu-central-1", "UNRESERVED=110"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64"`), ""},
		{"unattended it reserves nothing for the public pages unasked", call{env: []string{"AWS_REGION=eu-west-1", "STACK=ci", "UNRESERVED=900"}},
			build("arm64", "") + unattended("ci", `Architecture="arm64"`), ""},
		{"what is asked for the public pages fits exactly", call{env: []string{"AWS_REGION=eu-west-1", "STACK=ci", "UNRESERVED=121"}, parameters: "ConsentConcurrency=20\n"},
			build("arm64", "") + unattended("ci", `ConsentConcurrency="20" Architecture="arm64"`), ""},
		{"in an account where reserving reaches Lambda's floor", call{env: []string{"AWS_REGION=eu-central-1", "UNRESERVED=100"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64" ReserveRenewer="no"`), ""},
		{"in an account with a log role", call{env: []string{"AWS_REGION=eu-central-1", "LOG_ROLE=arn:aws:iam::111122223333:role/logs"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64" GatewayLogRole="existing"`), "has a log role"},
		{"without permission to ask about the account", call{env: []string{"AWS_REGION=eu-central-1", "UNRESERVED=denied"}},
			build("arm64", "") + deployWith("", "--region eu-central-1"+guided+`Architecture="arm64"`), ""},
		{"later it uses the answers", call{answers: answers, env: []string{"STATE=CREATE_COMPLETE"}, args: []string{"--debug"}},
			build("x86_64", "work") + deployWith("work", "--region eu-west-1 --debug"),
			"stack   tokens-eu\naccount 111122223333, as arn:aws:iam::111122223333:user/me\nregion  eu-west-1\n"},
		{"another environment uses its own answers", call{answers: answers, env: []string{"STATE=CREATE_COMPLETE"}, args: []string{"--config-env", "prod"}},
			build("arm64", "production") + deployWith("production", "--region eu-north-1 --config-env prod"), "stack   tokens-prod\n"},
		{"an environment in one word", call{answers: answers, env: []string{"STATE=CREATE_COMPLETE"}, args: []string{"--config-env=prod"}},
			build("arm64", "production") + deployWith("production", "--region eu-north-1 --config-env=prod"), "region  eu-north-1\n"},
		{"an environment without answers is guided", call{answers: answers, env: []string{"AWS_REGION=us-east-1"}, args: []string{"--config-env", "test"}},
			build("arm64", "") + deployWith("", "--region us-east-1 --guided --stack-name tokenvend-test --capabilities CAPABILITY_IAM "+
				`--parameter-overrides Architecture="arm64" --config-env test`), "stack   not named yet\n"},
		{"a new stack, unattended", call{answers: answers, env: []string{"AWS_REGION=eu-west-1", "STACK=ci", "UNRESERVED=10"},
			parameters: "# of the test account\nProviderAllowCidrs=10.0.0.0/8, fd00::/8\n\nLogLevel=debug"},
			build("arm64", "") + unattended("ci", `ProviderAllowCidrs="10.0.0.0/8, fd00::/8" LogLevel="debug" Architecture="arm64" ReserveRenewer="no"`), "stack   ci\n"},
		{"parameters decide, unattended", call{env: []string{"AWS_REGION=eu-west-1", "STACK=ci", "LOG_ROLE=arn:x", "UNRESERVED=10"},
			parameters: "Architecture=x86_64\nReserveRenewer=no\nGatewayLogRole=create\n"},
			build("x86_64", "") + unattended("ci", `ReserveRenewer="no" GatewayLogRole="create" Architecture="x86_64"`), ""},
		{"an update, unattended, keeps the architecture", call{env: []string{"AWS_REGION=eu-west-1", "STACK=ci", "STATE=UPDATE_COMPLETE", "DEPLOYED_ARCHITECTURE=x86_64", "UNRESERVED=10"}},
			build("x86_64", "") + unattended("ci", `Architecture="x86_64"`), ""},
		{"an update keeps its reservation, which is not counted as unreserved", call{env: []string{"AWS_REGION=eu-west-1", "STACK=ci", "STATE=UPDATE_COMPLETE",
			"DEPLOYED_RESERVATION=yes", "UNRESERVED=100"}, parameters: "ReserveRenewer=yes\n"}, build("arm64", "") + unattended("ci", `ReserveRenewer="yes" Architecture="arm64"`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, said, ok := c.run(t)
			if diff := cmp.Diff(c.asked, asked); diff != "" || !ok || !strings.Contains(said, c.said) {
				t.Errorf("AZ-59 succeeded %t, printed\n%sand asked sam (-want +got):\n%s", ok, said, diff)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	eu := "AWS_REGION=eu-west-1"
	for _, c := range []struct {
		name string
		call
		want string
	}{
		{"without sam", call{programs: map[string]string{"aws": aws}}, "pipx install aws-sam-cli"},
		{"without aws", call{programs: map[string]string{"sam": sam}}, "pipx install awscli"},
		{"without a region", call{}, "set AWS_REGION"},
		{"signed out", call{env: []string{eu, "SIGNED_OUT=1"}}, "aws sso login"},
		{"another region than before", call{answers: answers, env: []string{"AWS_REGION=eu-north-1"}}, "was deployed to eu-west-1"},
		{"another region than the environment's", call{answers: answers, env: []string{eu}, args: []string{"--config-env", "prod"}}, "was deployed to eu-north-1"},
		{"another architecture than before", call{answers: answers, env: []string{"ARCH=arm64"}}, "the stack has x86_64"},
		{"another architecture than the stack's", call{env: []string{eu, "STACK=ci", "STATE=UPDATE_COMPLETE", "DEPLOYED_ARCHITECTURE=x86_64", "ARCH=arm64"}}, "the stack has x86_64"},
		{"an environment that is a pattern", call{answers: answers, args: []string{"--config-env", ".*"}}, "use letters"},
		{"parameters of no stack", call{parameters: "LogLevel=debug\n"}, "PARAMETERS needs STACK"},
		{"a file that is not there", call{env: []string{eu, "STACK=ci", "PARAMETERS=absent"}}, "absent, which cannot be read"},
		{"a parameter that SAM would ignore", call{env: []string{eu, "STACK=ci"}, parameters: "Loglevel=debug\n"}, "the template has no parameter Loglevel"},
		{"a line that is no parameter", call{env: []string{eu, "STACK=ci"}, parameters: "LogLevel\n"}, "write NAME=VALUE"},
		{"a value that ends its quotes", call{env: []string{eu, "STACK=ci"}, parameters: `LogLevel=info" SecretPrefix="x/` + "\n"}, "no parameter has a quote"},
		{"more for the public pages than the account can reserve", call{env: []string{eu, "STACK=ci", "UNRESERVED=120"}, parameters: "ConsentConcurrency=20\n"},
			"ConsentConcurrency is 20"},
		{"more than the account can reserve", call{env: []string{eu, "STACK=ci", "UNRESERVED=100"}, parameters: "ReserveRenewer=yes\n"}, "this account has 100 unreserved"},
		{"an update that reserves more than the account can", call{env: []string{eu, "STACK=ci", "UNRESERVED=100", "STATE=UPDATE_COMPLETE", "DEPLOYED_RESERVATION=no"},
			parameters: "ReserveRenewer=yes\n"}, "this account has 100 unreserved"},
		{"answers that reserve more than the account can", call{answers: strings.Replace(answers, `/\""`, `/\" ReserveRenewer=\"yes\""`, 1),
			env: []string{"STATE=UPDATE_COMPLETE", "UNRESERVED=10"}}, "this account has 10 unreserved"},
		{"AZ-09 an organization in the answers", call{answers: strings.Replace(answers, `/\""`+"\n", `/\" OrganizationId=\"o-a1b2c3d4e5\""`+"\n", 2)}, "OrganizationId is o-a1b2c3d4e5"},
		{"AZ-09 an organization in the file", call{env: []string{eu, "STACK=ci"}, parameters: "OrganizationId=o-a1b2c3d4e5\n"}, "OrganizationId is o-a1b2c3d4e5"},
		{"AZ-09 an organization in the arguments", call{env: []string{eu}, args: []string{"--parameter-overrides", "ParameterKey=OrganizationId,ParameterValue=o-a1b2c3d4e5"}},
			"OrganizationId is o-a1b2c3d4e5"},
		{"CR-16 a stack that was rolled back", call{env: []string{eu, "STACK=ci", "STATE=ROLLBACK_COMPLETE"}}, "aws cloudformation delete-stack --region eu-west-1 --stack-name ci"},
		{"CR-16 the table of such a stack", call{env: []string{eu, "STACK=ci", "STATE=ROLLBACK_FAILED"}}, "stack delete-table --region eu-west-1 tokens-table"},
		{"CR-16 a stack that was not deleted", call{answers: answers, env: []string{"STATE=DELETE_FAILED"}}, "in the state DELETE_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, said, ok := c.run(t)
			if ok || asked != "" || !strings.Contains(said, c.want) {
				t.Errorf("succeeded %t, asked sam %q, and said\n%s", ok, asked, said)
			}
		})
	}
}

// TestFailedDeployment: a first deployment that fails says how to go on.
func TestFailedDeployment(t *testing.T) {
	for state, want := range map[string]string{
		"ROLLBACK_COMPLETE":        "aws cloudformation delete-stack --region eu-west-1 --stack-name ci",
		"UPDATE_ROLLBACK_COMPLETE": "",
	} {
		asked, said, ok := call{env: []string{"AWS_REGION=eu-west-1", "STACK=ci", "AFTER=" + state}}.run(t)
		if ok || !strings.Contains(asked, "sam deploy") || !strings.Contains(said, want) || strings.Contains(said, "delete-stack") != (want != "") {
			t.Errorf("CR-16 %s: succeeded %t, and said\n%s", state, ok, said)
		}
	}
}
