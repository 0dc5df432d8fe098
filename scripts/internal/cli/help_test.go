package cli_test

import (
	"strings"
	"testing"
)

// commands are all subcommands, each with words that its help must have.
var commands = map[string]string{
	"dev":             "TOKENVEND_ADDR TOKENVEND_SANDBOX_ADDR TOKENVEND_CONSOLE_ADDR TOKENVEND_CONNECTIONS TOKENVEND_RENEW_EVERY TOKENVEND_HOSTS TOKENVEND_SANDBOX_HOSTS /control/creative-force/rotate",
	"connections add": "--file --try --replace --kms-key --dir --stack --profile --region --yes", "connections test": "--url --stack --subject --output",
	"consent start": "--open --manual --subject --url --stack", "consent import": "--subject standard input", "consent disconnect": "--subject --url",
	"keyset status": "--secret --table --consent --output", "keyset rotate": "--again --yes code 3", "keyset drop": "<key> --yes", "keyset reset": "--consent",
	"stack outputs": "--stack --output", "stack delete": "--connections --stack", "stack delete-table": "<table> --yes", "stack delete-secret": "<secret> --yes",
	"token": "--min-ttl --scope --header --subject --url --stack --output", "exec": "--env --file <command> 128", "call": "--method --data <address> 401",
	"reject": "<token-id> --subject", "forget": "--revoke --subject", "doctor": "[<name>] --subject --stack --output", "completion": "bash zsh fish",
	"connections ls": "--output --stack", "connections get": "--subject --output", "connections rm": "--dir --stack --yes",
	"agent":        "--addr --connection --allow --token-file X-Tokenvend-Token TOKENVEND_AGENT_TOKEN TOKENVEND_AGENT_TOKEN_FILE TOKENVEND_AGENT_ADDR TOKENVEND_AGENT_CONNECTIONS TOKENVEND_AGENT_ALLOW AWS_LAMBDA_RUNTIME_API",
	"providers ls": "[<filter>] --output", "providers get": "<name> --output", "providers new": "--no-try PROVIDER_ALLOW_CIDRS 8414",
	"console": "--addr --url --stack --profile",
	"version": "--help",
}

func TestHelp(t *testing.T) {
	f := newFixture(t)
	golden(t, "help.txt", f.must(t, "", "--help"))
	for command, words := range commands {
		t.Run(command, func(t *testing.T) {
			out := f.must(t, "", append(strings.Fields(command), "-h")...)
			for _, word := range strings.Fields(words) {
				if !strings.Contains(out, word) {
					t.Errorf("the help lacks %q:\n%s", word, out)
				}
			}
			for _, line := range strings.Split(out, "\n") {
				if strings.Contains(line, "--stack") && !strings.Contains(words, "--stack") && strings.HasPrefix(command, "stack delete-") {
					t.Errorf("the help has a flag that the command refuses: %s", line)
				}
			}
		})
	}
}

func TestUsage(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"nothing", "see tokenvend --help", nil},
		{"an unknown command", "see tokenvend --help", []string{"deploy"}},
		{"an unknown flag", "unknown flag --what; see tokenvend consent start --help", []string{"consent", "start", "--what", "crm"}},
		{"a global flag without effect", "dev does not use --stack; see tokenvend dev --help", []string{"dev", "--stack", "a"}},
		{"a global flag before the command", "version does not use --region; see tokenvend version --help", []string{"--region", "a", "version"}},
		{"an unknown format", "--output must be one of", []string{"stack", "outputs", "-o", "xml"}},
	} {
		t.Run(c.name, func(t *testing.T) { f.fails(t, 2, c.want, "", c.args...) })
	}
	if out := f.must(t, "", "version"); !strings.HasPrefix(out, "tokenvend ") {
		t.Errorf("version %q", out)
	}
}
