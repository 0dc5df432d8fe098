package clients_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	snippets = "../../../pkg/client/snippets"
	maxLines = 40
)

// snippetCommands run the snippets of the languages that are installed. A variable
// that must be set, or a probe that must succeed, tells which are.
var snippetCommands = []struct {
	name, variable string
	probe          []string
	command        func(variable string) []string
}{
	{"shell", "", []string{"curl", "--version"}, func(string) []string { return []string{"sh", "token.sh"} }},
	{"Java", "TOKENVEND_TEST_JAVA", []string{"java", "-version"}, func(lib string) []string { return []string{"java", "-cp", lib + "/*", "Token.java"} }},
	{"Ruby", "", []string{"ruby", "-raws-sdk-core", "-e", ""}, func(string) []string { return []string{"ruby", "token.rb"} }},
}

// TestSnippets gets a token with each snippet, and the service's error.
func TestSnippets(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "local")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "local")
	t.Setenv("AWS_SESSION_TOKEN", "") // restored at the end
	if err := os.Unsetenv("AWS_SESSION_TOKEN"); err != nil {
		t.Fatal(err)
	}
	run := start(t)
	for _, c := range snippetCommands {
		t.Run(c.name, func(t *testing.T) {
			variable := ""
			if c.variable != "" {
				variable = installed(t, c.variable)
			}
			if err := exec.CommandContext(t.Context(), c.probe[0], c.probe[1:]...).Run(); err != nil {
				t.Skipf("%s does not run here: %v", strings.Join(c.probe, " "), err)
			}
			for connection, want := range map[string]string{"cliquify": "access_token", "none": "connection_not_found"} {
				arguments := append(c.command(variable), run.URL, "us-east-1", connection)
				command := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...)
				command.Dir = snippets
				command.Stderr = os.Stderr
				out, err := command.Output()
				if succeeds := connection == "cliquify"; succeeds != (err == nil) || !json.Valid(out) || !strings.Contains(string(out), `"`+want+`"`) {
					t.Errorf("%s: error %v, want an answer with %s", connection, err, want)
				}
			}
		})
	}
}

func TestSnippetsAreShort(t *testing.T) {
	files, err := filepath.Glob(snippets + "/[tT]oken.*")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d snippets, error %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > maxLines || !strings.Contains(string(text), "Caching: ") {
			t.Errorf("%s has %d lines, want %d at most with a comment on caching", file, n, maxLines)
		}
	}
}
