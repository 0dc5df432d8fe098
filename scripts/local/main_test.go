package main_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the path of the built command.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "local")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "local")
		if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

func TestSignalsEndItCleanly(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			scratch := t.TempDir()
			command := exec.CommandContext(t.Context(), program)
			command.Env = []string{"TOKENVEND_ADDR=127.0.0.1:0", "TOKENVEND_SANDBOX_ADDR=127.0.0.1:0", "TMPDIR=" + scratch}
			out, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			last := ""
			for lines := bufio.NewScanner(out); !strings.HasPrefix(last, "listening on http://127.0.0.1:") && lines.Scan(); {
				last = lines.Text()
			}
			if !strings.HasSuffix(last, "/v1") {
				t.Fatalf("last line %q", last)
			}
			told := time.Now()
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("ended with %v, want exit 0", err)
			}
			if took := time.Since(told); took > time.Second {
				t.Errorf("took %s to end", took)
			}
			if left, _ := os.ReadDir(scratch); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestCalledWrongly(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name      string
		args, env []string
		exit      int
		want      string
	}{
		{"help", []string{"-help"}, nil, 0, "TOKENVEND_CONNECTIONS"},
		{"unknown flag", []string{"-port=1"}, nil, 2, "See -help."},
		{"argument", []string{"now"}, nil, 2, "See -help."},
		{"bad variable", nil, []string{"TOKENVEND_ADDR=0.0.0.0:1"}, 2, "TOKENVEND_ADDR is"},
		{"port taken", nil, []string{"TOKENVEND_ADDR=" + taken.Addr().String()}, 1, "TOKENVEND_ADDR: another program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // should it serve after all
			defer cancel()
			command := exec.CommandContext(ctx, program, c.args...)
			command.Env = append([]string{"TOKENVEND_SANDBOX_ADDR=127.0.0.1:0"}, c.env...)
			out, err := command.CombinedOutput()
			exit := 0
			if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
				exit = failed.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if exit != c.exit || !strings.Contains(string(out), c.want) {
				t.Errorf("exit %d: %s; want %d and %q", exit, out, c.exit, c.want)
			}
		})
	}
}
