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

// The programs in place of the real ones. aws has one account, and a region where the
// test configures one.
const (
	sam = `#!/bin/sh
echo "sam $* (GOFLAGS=${GOFLAGS:-} AWS_PROFILE=${AWS_PROFILE:-})" >>"$ASKED"
`
	aws = `#!/bin/sh
case $1 in
configure) echo "$CONFIGURED" ;;
sts) [ -z "$SIGNED_OUT" ] && printf '111122223333\tarn:aws:iam::111122223333:user/me\n' ;;
esac
`
)

// answers is what SAM stores after a guided deployment.
const answers = `version = 0.1
[default.deploy.parameters]
stack_name = "tokens-eu"
region = "eu-west-1"
profile = "work"
parameter_overrides = "Architecture=\"x86_64\" SecretPrefix=\"tokenvend/\""
`

// run runs the script, and returns sam's arguments, the output, and whether the
// script succeeded.
func run(t *testing.T, programs map[string]string, answers string, env ...string) (asked, said string, ok bool) {
	t.Helper()
	root := t.TempDir()
	script, err := os.ReadFile("../../deploy.sh")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "scripts/deploy.sh"), string(script))
	for name, text := range programs {
		write(t, filepath.Join(root, "bin", name), text)
	}
	if answers != "" {
		write(t, filepath.Join(root, "samconfig.toml"), answers)
	}
	notes := filepath.Join(root, "asked")
	command := exec.Command(filepath.Join(root, "scripts/deploy.sh"), "--no-fail-on-empty-changeset")
	command.Env = append([]string{"PATH=" + filepath.Join(root, "bin") + ":" + tools(t), "ASKED=" + notes, "SIGNED_OUT=", "CONFIGURED="}, env...)
	out, err := command.CombinedOutput()
	text, _ := os.ReadFile(notes) // absent when sam was never asked
	return string(text), string(out), err == nil
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
	for _, name := range []string{"sh", "dirname", "sed", "head"} {
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

func TestDeploy(t *testing.T) {
	both := map[string]string{"sam": sam, "aws": aws}
	for _, c := range []struct {
		name, answers string
		env           []string
		asked, said   string
	}{
		{"the first time it is guided", "", []string{"AWS_REGION=eu-central-1"},
			"sam build --parameter-overrides Architecture=arm64 (GOFLAGS=" + flags + " AWS_PROFILE=)\n" +
				"sam deploy --guided --region eu-central-1 --stack-name tokenvend --capabilities CAPABILITY_IAM --parameter-overrides Architecture=arm64 --no-fail-on-empty-changeset (GOFLAGS= AWS_PROFILE=)\n",
			"stack   not named yet\naccount 111122223333, as arn:aws:iam::111122223333:user/me\nregion  eu-central-1\n"},
		{"for another architecture, in the region that is configured", "", []string{"CONFIGURED=eu-north-1", "ARCH=amd64"},
			"sam build --parameter-overrides Architecture=x86_64 (GOFLAGS=" + flags + " AWS_PROFILE=)\n" +
				"sam deploy --guided --region eu-north-1 --stack-name tokenvend --capabilities CAPABILITY_IAM --parameter-overrides Architecture=x86_64 --no-fail-on-empty-changeset (GOFLAGS= AWS_PROFILE=)\n",
			"region  eu-north-1\n"},
		{"later it uses the answers", answers, nil,
			"sam build --parameter-overrides Architecture=x86_64 (GOFLAGS=" + flags + " AWS_PROFILE=work)\n" +
				"sam deploy --region eu-west-1 --no-fail-on-empty-changeset (GOFLAGS= AWS_PROFILE=work)\n",
			"stack   tokens-eu\naccount 111122223333, as arn:aws:iam::111122223333:user/me\nregion  eu-west-1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, said, ok := run(t, both, c.answers, c.env...)
			if diff := cmp.Diff(c.asked, asked); diff != "" || !ok || !strings.Contains(said, c.said) {
				t.Errorf("AZ-59 succeeded %t, printed\n%sand asked sam (-want +got):\n%s", ok, said, diff)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	both := map[string]string{"sam": sam, "aws": aws}
	for _, c := range []struct {
		name     string
		programs map[string]string
		answers  string
		env      []string
		want     string
	}{
		{"without sam", map[string]string{"aws": aws}, "", nil, "pipx install aws-sam-cli"},
		{"without aws", map[string]string{"sam": sam}, "", nil, "pipx install awscli"},
		{"without a region", both, "", nil, "set AWS_REGION"},
		{"signed out", both, "", []string{"AWS_REGION=eu-west-1", "SIGNED_OUT=1"}, "aws sso login"},
		{"another region than before", both, answers, []string{"AWS_REGION=eu-north-1"}, "was deployed to eu-west-1"},
		{"another architecture than before", both, answers, []string{"ARCH=arm64"}, "the stack has x86_64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, said, ok := run(t, c.programs, c.answers, c.env...)
			if ok || asked != "" || !strings.Contains(said, c.want) {
				t.Errorf("succeeded %t, asked sam %q, and said\n%s", ok, asked, said)
			}
		})
	}
}
