package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		code int
		out  string
		said string
	}{
		{"help", []string{"-help"}, 0, "", "-connections"},
		{"an argument", []string{"day"}, 2, "", "no arguments"},
		{"an unknown flag", []string{"-fast"}, 2, "", "-fast"},
		{"no connections", []string{"-connections", "0"}, 2, "", "positive"},
		{"an unknown simulation", []string{"-only", "week"}, 1, "WHAT", `no simulation "week"`},
		{"too little time", []string{"-only", "burst", "-limit", "1ns"}, 1, "WHAT", "deadline"},
		{"figures", []string{"-only", "day", "-connections", "10", "-hours", "0.2", "-warm", "0.2"}, 0, "one-hour tokens", "day"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, progress bytes.Buffer
			if code := run(t.Context(), tt.args, &out, &progress); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(out.String(), tt.out) || !strings.Contains(progress.String(), tt.said) {
				t.Errorf("printed %q and said %q", out.String(), progress.String())
			}
		})
	}
}
