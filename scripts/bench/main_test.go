package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, tc := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"help", []string{"-help"}, 0, "-short"},
		{"a flag that is not there", []string{"-fast"}, 2, "-fast"},
		{"an argument", []string{"cold"}, 2, `unexpected argument "cold"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), program, tc.args...)
			out, _ := command.CombinedOutput()
			if code := command.ProcessState.ExitCode(); code != tc.code || !strings.Contains(string(out), tc.says) {
				t.Errorf("exit code %d, want %d, and %q in:\n%s", code, tc.code, tc.says, out)
			}
		})
	}
}
