package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestOutcomes(t *testing.T) {
	var out bytes.Buffer
	e := &env{report: &report{out: &out}}
	printed := map[string]string{}
	for line := range strings.Lines(`{"Action":"build-output","Output":"a warning\n"}
{"Action":"output","Test":"TestA","Output":"a_test.go:1: wrong\n"}
{"Action":"fail","Test":"TestA","Elapsed":1.5}
{"Action":"pass","Test":"TestB/part","Elapsed":2}
{"Action":"output","Test":"TestC","Output":"c_test.go:1: no emulator\n"}
{"Action":"skip","Test":"TestC"}
{"Action":"fail"}
not JSON
`) {
		e.outcome([]byte(strings.TrimSuffix(line, "\n")), printed)
	}
	for _, want := range []string{"FAIL  TestA\n      a_test.go:1: wrong", "ok    TestB/part (2.0 s)", "NOT RUN  TestC: c_test.go:1: no emulator"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed %q, want %q in it", out.String(), want)
		}
	}
	if r := e.report; r.passed != 1 || r.failed != 1 || r.notRun != 1 {
		t.Errorf("%d passed, %d failed, %d not run; want 1 each", r.passed, r.failed, r.notRun)
	}
	if want := "a warning\nnot JSON\n"; printed[""] != want {
		t.Errorf("kept %q beside the tests, want %q", printed[""], want)
	}
}
