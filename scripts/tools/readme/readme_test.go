package readme_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/tools/readme"
)

// TestREADMEs runs the READMEs of the tree, one after the other: each starts the
// service by itself.
func TestREADMEs(t *testing.T) { runFiles(t, readme.Files) }

// TestClientREADMEs runs those that need Python and Node.js.
func TestClientREADMEs(t *testing.T) {
	if os.Getenv("TOKENVEND_TEST_CLIENTS") == "" {
		t.Skip("make test-clients runs it")
	}
	runFiles(t, readme.ClientFiles)
}

func runFiles(t *testing.T, files []string) {
	t.Helper()
	const root = "../../.."
	folder := t.TempDir()
	if err := readme.Copy(t.Context(), root, folder); err != nil {
		t.Fatal(err)
	}
	codes, browser := user(t)
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			runBlocks(t, string(text), &readme.Runner{Folder: folder, Env: environment(browser), In: codes})
		})
	}
}

// environment is this process's without credentials: the local run's key must sign.
func environment(added []string) []string {
	return append(append(os.Environ(), "AWS_ACCESS_KEY_ID=", "TOKENVEND_URL="), added...)
}

func runBlocks(t *testing.T, text string, runner *readme.Runner) {
	t.Helper()
	blocks, err := readme.Blocks(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.LeftOut != "" {
			b = readme.Block{Line: b.Line, Script: b.Parsed()}
		}
		t.Run(fmt.Sprintf("line %d", b.Line), func(t *testing.T) {
			// The service outlives the subtest that starts it.
			if err := runner.Run(context.WithoutCancel(t.Context()), b); err != nil {
				t.Error(err)
			}
		})
	}
	if err := runner.Close(); err != nil {
		t.Error(err)
	}
}

func TestBlocks(t *testing.T) {
	text := strings.ReplaceAll(`# Title
Some words.

'''sh
make run
'''

It prints

'''text
listening on …
'''

<!-- needs an account -->
'''sh
make deploy
'''

<!-- runs this test -->

'''sh
make test
'''
'''json
{}
'''
'''text
not what make test prints
'''
<!-- build/example/main.go -->
'''go
package main
'''
<!-- needs an account -->
Words between a comment and a script part them.
'''sh
TOKENVEND_ADDR=127.0.0.1:0 make run
'''
`, "'''", "```")
	want := []readme.Block{
		{Line: 4, Script: "make run\n", Prints: []string{"listening on …"}},
		{Line: 15, Script: "make deploy\n", LeftOut: "needs an account"},
		{Line: 21, Script: "make test\n", LeftOut: "runs this test"},
		{Line: 31, File: "build/example/main.go", Program: "package main\n"},
		{Line: 36, Script: "TOKENVEND_ADDR=127.0.0.1:0 make run\n"},
	}
	got, err := readme.Blocks(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, serves := range []bool{true, false, false, false, true} {
		if got[i].Serves() != serves {
			t.Errorf("line %d: serves %t", got[i].Line, !serves)
		}
	}
}

func TestParsed(t *testing.T) {
	b := readme.Block{Script: "export A=b\n  go run ./scripts/tokenvend stack outputs --stack s\nmake deploy\n"}
	if got, want := b.Parsed(), "go run ./scripts/tokenvend stack outputs --stack s --help\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBlocksRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown mark":  {"<!-- need an account -->\n```sh\nx\n```\n", `line 2: unknown mark "need an account"`},
		"never closed":  {"\n```sh\nx\n", "line 2: the fence is never closed"},
		"no language":   {"```\nx\n```\n", `line 1: a fence marked ""`},
		"another shell": {"```bash\nx\n```\n", `line 1: a fence marked "bash"`},
		"no file":       {"```go\npackage main\n```\n", "line 1: the program has no file"},
		"another file":  {"<!-- ../main.go -->\n```go\npackage main\n```\n", "line 2: the program has no file"},
		"no JSON":       {"```json\n{,}\n```\n", "line 1: the block is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := readme.Blocks(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	const output = "building\nname   state  \ncrm    ready\nerp    failing\n\nlistening on http://127.0.0.1:8080/v1\n"
	for name, c := range map[string]struct {
		patterns string
		missing  string
	}{
		"all of it":              {strings.TrimSuffix(output, "\n"), ""},
		"a part":                 {"crm    ready\nerp    failing", ""},
		"wild inside a line":     {"crm…\nerp … failing", ""},
		"wild is any text":       {"…listening on http://…/v1", ""},
		"a gap":                  {"name   state\n…\nlistening on …", ""},
		"a gap of no lines":      {"name   state\n…\ncrm    ready", ""},
		"a gap at the end":       {"building\n…", ""},
		"no metacharacters":      {"listening on http://127.0.0.1:8080/v.", "listening on http://127.0.0.1:8080/v."},
		"line missing":           {"crm    ready\nweb    ready", "web    ready"},
		"line without its pair":  {"name   state\nerp    failing", "erp    failing"},
		"wrong order":            {"erp    failing\n…\ncrm    ready", "crm    ready"},
		"only part of a line":    {"crm", "crm"},
		"longer than the output": {"listening on …\nmore", "more"},
	} {
		t.Run(name, func(t *testing.T) {
			err := readme.Compare(strings.Split(c.patterns, "\n"), output)
			switch {
			case c.missing == "" && err != nil:
				t.Error(err)
			case c.missing != "" && (err == nil || !strings.Contains(err.Error(), "\t"+c.missing+"\n")):
				t.Errorf("error %v, want the line %q", err, c.missing)
			}
		})
	}
}
