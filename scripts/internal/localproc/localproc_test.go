package localproc_test

import (
	"bufio"
	"context"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/localproc"
)

func TestRun(t *testing.T) {
	program, err := localproc.Build(t.Context(), "../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := localproc.Start(context.WithoutCancel(t.Context()), program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"local": 404, "local2": 404, "unknown": 403} {
		got, err := run.Caller(key).Ask(t.Context(), "POST", "/connections/none/token", map[string]int{"min_ttl": 1})
		if err != nil || got.Status != want {
			t.Errorf("%s: %v %v, want %d", key, got, err, want)
		}
	}
	if err := run.Stop(); err != nil {
		t.Error(err)
	}
	if log := run.Log(); !strings.Contains(log, `"connection_not_found"`) {
		t.Errorf("the log lacks the requests: %s", log)
	}
	if _, err := run.Caller("local").Ask(t.Context(), "GET", "/connections", nil); err == nil {
		t.Error("a run that was stopped answers")
	}
	if _, err := localproc.Start(t.Context(), program, "/no/such/folder"); err == nil || !strings.Contains(err.Error(), "TOKENVEND_CONNECTIONS") {
		t.Errorf("a folder that is none: %v", err)
	}
}

func TestAwait(t *testing.T) {
	for name, c := range map[string]struct{ greeting, sandbox string }{
		"the sandbox's own":    {"x http://127.0.0.1:1/v1\n\nMake the sandbox fail:\n curl http://127.0.0.1:2/x\n\nlistening on http://127.0.0.1:1/v1\n", "http://127.0.0.1:2"},
		"a folder":             {"\nSandbox providers, for you: curl http://127.0.0.1:3/\nlistening on http://127.0.0.1:1/v1\n", "http://127.0.0.1:3"},
		"no sandbox":           {"listening on http://127.0.0.1:1/v1\n", ""},
		"ended before its end": {"Make the sandbox fail:\n curl http://127.0.0.1:2/x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var r localproc.Run
			err := r.Await(bufio.NewReader(strings.NewReader(c.greeting)))
			if (err == nil) != (c.sandbox != "") || r.Sandbox != c.sandbox {
				t.Errorf("sandbox %q, %v; want %q", r.Sandbox, err, c.sandbox)
			}
		})
	}
}
