package main_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSignalsStopDev(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			scratch := t.TempDir()
			command := exec.CommandContext(t.Context(), program, "dev")
			command.Env = []string{"TOKENVEND_ADDR=127.0.0.1:0", "TOKENVEND_SANDBOX_ADDR=127.0.0.1:0", "TOKENVEND_CONSOLE_ADDR=127.0.0.1:0", "TMPDIR=" + scratch}
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
			signalled := time.Now()
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("ended with %v, want exit 0", err)
			}
			if took := time.Since(signalled); took > time.Second {
				t.Errorf("took %s to end", took)
			}
			if left, _ := os.ReadDir(scratch); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestDevUsage(t *testing.T) {
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
		{"help", []string{"--help"}, nil, 0, "TOKENVEND_CONNECTIONS"},
		{"unknown flag", []string{"--port=1"}, nil, 2, "dev --help"},
		{"argument", []string{"now"}, nil, 2, "dev --help"},
		{"bad variable", nil, []string{"TOKENVEND_ADDR=0.0.0.0:1"}, 2, "TOKENVEND_ADDR is"},
		{"port taken", nil, []string{"TOKENVEND_ADDR=" + taken.Addr().String()}, 1, "TOKENVEND_ADDR: another program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // if it serves instead of failing
			defer cancel()
			command := exec.CommandContext(ctx, program, append([]string{"dev"}, c.args...)...)
			command.Env = append([]string{"TOKENVEND_SANDBOX_ADDR=127.0.0.1:0", "TOKENVEND_CONSOLE_ADDR=127.0.0.1:0"}, c.env...)
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
