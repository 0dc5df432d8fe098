package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/chaos/internal/scenario"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"help", []string{"-help"}, 0, "-soak"},
		{"an unknown flag", []string{"-unknown"}, 2, "not defined"},
		{"an argument", []string{"FI-01"}, 2, "unexpected argument"},
		{"an invalid expression", []string{"-run", "("}, 2, "-run"},
		{"a soak of zero", []string{"-soak", "0s"}, 2, "not positive"},
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

func TestWithoutAnEngine(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("TOKENVEND_TEST_DYNAMODB", "")
	var out, progress bytes.Buffer
	if code := run(t.Context(), nil, &out, &progress); code != 1 {
		t.Errorf("ended with %d, want 1", code)
	}
	for _, want := range []string{"TOKENVEND_TEST_DYNAMODB", "install.sh"} {
		if !strings.Contains(progress.String(), want) {
			t.Errorf("said %q, want %s in it", progress.String(), want)
		}
	}
}

var (
	held     = scenario.Result{ID: "FI-01", Title: "held", Calls: 1, Outcomes: map[string]int{"200": 16}}
	violated = scenario.Result{ID: "FI-01", Title: "violated", Broken: []string{"INV-2: 2 calls | too many"}}
	met      = scorecard.Row{What: "calls", Aim: "1", Measured: "1", Met: true}
	missed   = scorecard.Row{What: "wait", Aim: "≤ 1 s", Measured: "2 s"}
	baseline = scorecard.Row{What: "library", Measured: "8000"}
	lost     = scorecard.Row{What: "lost", Err: errors.New("no table")}
)

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		name   string
		run    outcome
		passed bool
	}{
		{"everything held", outcome{[]scenario.Result{held}, []scorecard.Row{met}}, true},
		{"a miss is shown and fails nothing", outcome{[]scenario.Result{held}, []scorecard.Row{missed, baseline}}, true},
		{"a violated invariant fails", outcome{[]scenario.Result{held, violated}, nil}, false},
		{"what could not be measured fails", outcome{nil, []scorecard.Row{lost}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.run.passed() != test.passed {
				t.Errorf("passed: %v", !test.passed)
			}
		})
	}
}

func TestTables(t *testing.T) {
	o := outcome{[]scenario.Result{held, violated, {}}, []scorecard.Row{met, missed, baseline, lost}}
	var out bytes.Buffer
	if err := publish(o, &out); err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(` +`).ReplaceAllString(out.String(), " ") // columns are aligned
	for _, want := range []string{
		"FI-01 held 1 16× 200 hold pass\n",
		"FI-01 violated 0 INV-2: 2 calls | too many FAIL\n",
		"calls 1 1 pass\n", "wait ≤ 1 s 2 s miss\n",
		"library - 8000 -\n", "lost - no table not measured\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
	if rows := strings.Count(text, "FI-01"); rows != 2 {
		t.Errorf("%d scenarios are shown, want those that were run", rows)
	}
}
