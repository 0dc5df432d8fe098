package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

func TestReport(t *testing.T) {
	passes := func(context.Context) error { return nil }
	fails := func(context.Context) error { return errors.New("first\nsecond") }
	lacks := func(context.Context) error { return fmt.Errorf("a tool is %w: get it", errMissing) }
	lacksEngine := func(context.Context) error { return engine.ErrMissing }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name    string
		ctx     context.Context
		run     func(context.Context) error
		require bool
		prints  []string
		err     bool
	}{
		{"a check that passes", t.Context(), passes, true, []string{"ok    it", "aws: 1 passed, 0 failed, 0 not run"}, false},
		{"a check that fails", t.Context(), fails, false, []string{"FAIL  it\n      first\n      second", "0 passed, 1 failed"}, true},
		{"a check that lacks something", t.Context(), lacks, false, []string{"NOT RUN  it: a tool is missing on this machine: get it", "1 not run"}, false},
		{"a required check that lacks something", t.Context(), lacks, true, []string{"1 not run"}, true},
		{"a check that lacks an engine", t.Context(), lacksEngine, false, []string{"NOT RUN  it: no DynamoDB", "1 not run"}, false},
		{"a check after an interrupt", ended, passes, false, []string{"FAIL  it"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			r := &report{out: &out}
			r.check(test.ctx, "it", test.run)
			if err := r.end(test.require); (err != nil) != test.err {
				t.Errorf("ended with %v", err)
			}
			for _, want := range test.prints {
				if !strings.Contains(out.String(), want) {
					t.Errorf("printed %q, want %q in it", out.String(), want)
				}
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		prints string
	}{
		{"help", []string{"-help"}, 0, "-require"},
		{"an argument", []string{"deploy"}, 2, "unexpected argument"},
		{"an unknown flag", []string{"-unknown"}, 2, "not defined"},
		{"a malformed expression", []string{"-only", "("}, 2, "-only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, problems bytes.Buffer
			if code := run(t.Context(), test.args, &out, &problems); code != test.code {
				t.Errorf("ended with %d, want %d", code, test.code)
			}
			if !strings.Contains(problems.String(), test.prints) {
				t.Errorf("printed %q, want %q in it", problems.String(), test.prints)
			}
		})
	}
}
