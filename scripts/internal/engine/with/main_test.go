package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

func TestRun(t *testing.T) {
	const check = `test -n "$TOKENVEND_TEST_DYNAMODB"`
	for _, c := range []struct {
		name, running string
		args          []string
		code          int
		prints        string
	}{
		{"no command", "", nil, 2, "usage"},
		{"an unknown flag", "", []string{"-unknown", "true"}, 2, "usage"},
		{"a running engine", "http://127.0.0.1:1", []string{"/bin/sh", "-c", check}, 0, "http://127.0.0.1:1"},
		{"no engine", "", []string{"/bin/sh", "-c", check + " && exit 9; exit 5"}, 5, "install.sh"},
		{"an engine that is needed", "", []string{"-engine", "dynoxide", "/bin/sh", "-c", "exit 5"}, 1, "dynoxide is not installed"},
		{"no such command", "", []string{"/no/such/command"}, 1, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Setenv(engine.Variable, c.running)
			t.Setenv(engine.BinaryVariable, "")
			t.Chdir(t.TempDir())
			var problems bytes.Buffer
			if code := run(t.Context(), c.args, &problems); code != c.code || !strings.Contains(problems.String(), c.prints) {
				t.Errorf("exit code %d, want %d; printed %q, want %q in it", code, c.code, problems.String(), c.prints)
			}
		})
	}
}
