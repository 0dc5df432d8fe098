package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/provision"
	"github.com/tokenvend/tokenvend/scripts/internal/testcount"
)

func TestReport(t *testing.T) {
	passes := func(context.Context) error { return nil }
	fails := func(context.Context) error { return errors.New("first\nsecond") }
	lacks := func(context.Context) error { return provision.Missing("a tool", "get it") }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name    string
		ctx     context.Context
		run     func(context.Context) error
		require bool
		says    []string
		err     bool
	}{
		{"a check that passes", t.Context(), passes, true, []string{"ok    it", "aws: 8 passed, 0 failed, 0 not run"}, false},
		{"a check that fails", t.Context(), fails, false, []string{"FAIL  it\n      first\n      second", "7 passed, 1 failed"}, true},
		{"a check that lacks something", t.Context(), lacks, false, []string{"NOT RUN  it: a tool is missing on this machine: get it", "1 not run"}, false},
		{"a check that lacks something and must not", t.Context(), lacks, true, []string{"1 not run"}, true},
		{"a check after an interrupt", ended, passes, false, []string{"FAIL  it"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			r := &report{out: &out}
			r.add(testcount.Counts{Passed: 7})
			r.check(test.ctx, "it", test.run)
			if err := r.end(test.require); (err != nil) != test.err {
				t.Errorf("ended with %v", err)
			}
			for _, want := range test.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("said %q, want %q in it", out.String(), want)
				}
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"help", []string{"-help"}, 0, "test|local"},
		{"nothing to do", nil, 2, "test|local"},
		{"something else to do", []string{"deploy"}, 2, "test|local"},
		{"an unknown flag", []string{"-unknown", "test"}, 2, "not defined"},
		{"an expression that is none", []string{"-only", "(", "test"}, 2, "-only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, progress bytes.Buffer
			if code := run(t.Context(), test.args, &out, &progress); code != test.code {
				t.Errorf("ended with %d, want %d", code, test.code)
			}
			if !strings.Contains(progress.String(), test.says) {
				t.Errorf("said %q, want %q in it", progress.String(), test.says)
			}
		})
	}
}
