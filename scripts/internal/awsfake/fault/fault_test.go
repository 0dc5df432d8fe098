package fault_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
)

// target is a service of two operations that counts what it carries out.
type target struct {
	*awsjson.Service
	done atomic.Int64
}

func newTarget() *target {
	s := &target{}
	run := awsjson.Operate(func(struct{}) (struct{}, error) { s.done.Add(1); return struct{}{}, nil })
	s.Service = &awsjson.Service{
		Target: "T", Version: "1.0", ErrorPrefix: "p#", MessageName: "message",
		Operations: map[string]awsjson.Operation{"Get": run, "Put": run},
	}
	return s
}

// outcome asks for an operation: "ok", an error's code, or "cut".
func outcome(t *testing.T, url, operation string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("X-Amz-Target", "T."+operation)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key-1/20260101/any")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "cut"
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "cut"
	case response.StatusCode == http.StatusOK:
		return "ok"
	}
	_, code, _ := strings.Cut(string(text), `"__type":"`)
	code, _, _ = strings.Cut(strings.TrimPrefix(code, "p#"), `"`)
	return code
}

func TestGate(t *testing.T) {
	const throttled, broken = "ProvisionedThroughputExceededException", "InternalServerError"
	type hook struct {
		step  fault.Step
		phase fault.Phase
		once  bool
		is    fault.Hook
	}
	for _, tc := range []struct {
		name  string
		hooks []hook
		// asked are operations, want what becomes of each.
		asked, want []string
		done        int64
	}{
		{"no hook", nil, []string{"Get", "Put"}, []string{"ok", "ok"}, 2},
		{"CR-31 throttled, one operation", []hook{{"Get", fault.Arrived, false, fault.Always(fault.Throttled)}},
			[]string{"Get", "Put", "Get"}, []string{throttled, "ok", throttled}, 1},
		{"FI-26 failing once", []hook{{"Get", fault.Arrived, true, fault.Always(fault.Broken)}},
			[]string{"Get", "Get"}, []string{broken, "ok"}, 1},
		{"FI-26 cut before it is carried out", []hook{{"Put", fault.Arrived, true, fault.Always(fault.Cut)}},
			[]string{"Put", "Put"}, []string{"cut", "ok"}, 1},
		{"FI-29 lost after it was carried out", []hook{{"Put", fault.Done, true, fault.Always(fault.Cut)}},
			[]string{"Put", "Put"}, []string{"cut", "ok"}, 2},
		{"another answer", []hook{{"Get", fault.Done, false, fault.Always(fault.Decision{Status: 200, Answer: "{}"})}},
			[]string{"Get"}, []string{"ok"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			service, gate := newTarget(), fault.NewGate(fault.Config{})
			for _, h := range tc.hooks {
				if h.once {
					gate.Once(h.step, h.phase, h.is)
				} else {
					gate.Set(h.step, h.phase, h.is)
				}
			}
			server := httptest.NewServer(gate.Before(service))
			defer server.Close()
			for i, operation := range tc.asked {
				if got := outcome(t, server.URL, operation); got != tc.want[i] {
					t.Errorf("request %d, %s: %s, want %s", i, operation, got, tc.want[i])
				}
			}
			if service.done.Load() != tc.done {
				t.Errorf("%d carried out, want %d", service.done.Load(), tc.done)
			}
		})
	}
}

func TestHookIsRemoved(t *testing.T) {
	gate := fault.NewGate(fault.Config{})
	server := httptest.NewServer(gate.Before(newTarget()))
	defer server.Close()
	gate.Set("Get", fault.Arrived, fault.Always(fault.Broken))
	if got := outcome(t, server.URL, "Get"); got == "ok" {
		t.Error("the hook is not called")
	}
	gate.Set("Get", fault.Arrived, nil)
	if got := outcome(t, server.URL, "Get"); got != "ok" || gate.Calls("Get") != 2 {
		t.Errorf("after it was removed: %s, %d calls", got, gate.Calls("Get"))
	}
	gate.Reset()
	if gate.Calls("Get") != 0 {
		t.Error("Reset leaves a count")
	}
}

func TestHold(t *testing.T) {
	gate := fault.NewGate(fault.Config{})
	server := httptest.NewServer(gate.Before(newTarget()))
	defer server.Close()
	met, release := gate.Hold("Get", fault.Arrived)
	answered := make(chan string, 1)
	go func() { answered <- outcome(t, server.URL, "Get") }()
	if c := <-met; c.Step != "Get" || c.Phase != fault.Arrived {
		t.Errorf("met %+v", c)
	}
	release()
	release()
	if got := <-answered; got != "ok" {
		t.Errorf("once released: %s", got)
	}
	if err := gate.Await(t.Context(), "Get", fault.Done, 1); err != nil {
		t.Error(err)
	}
}

func TestObserveSeesEveryCall(t *testing.T) {
	var seen []fault.Call
	gate := fault.NewGate(fault.Config{Observe: func(c fault.Call, _ []byte) { seen = append(seen, c) }})
	server := httptest.NewServer(gate.Before(newTarget()))
	defer server.Close()
	outcome(t, server.URL, "Get")
	if len(seen) != 2 || seen[0].Phase != fault.Arrived || seen[0].From != "key-1" || seen[1].Status != http.StatusOK || seen[1].Answer != "{}" {
		t.Errorf("observed %+v", seen)
	}
}

func TestShareIsRepeatable(t *testing.T) {
	draw := func(seed uint64) (pattern string) {
		hook := fault.Share(0.3, seed, fault.Throttled)
		for range 200 {
			pattern += map[bool]string{true: ".", false: "x"}[hook(fault.Call{}) == fault.Decision{}]
		}
		return pattern
	}
	one := draw(1)
	if struck := strings.Count(one, "x"); struck < 40 || struck > 80 {
		t.Errorf("FI-28: a share of 0.3 hits %d of 200", struck)
	}
	if draw(1) != one || draw(2) == one {
		t.Error("FI-28: the seed does not decide")
	}
}

func TestLine(t *testing.T) {
	line, err := fault.Listen()
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: newTarget(), ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(line) }()
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"not cut", func() {}, "ok"},
		{"FI-27 cut", line.Cut, "cut"},
		{"cut twice", line.Cut, "cut"},
		{"restored at the same address", line.Restore, "ok"},
	} {
		step.do()
		if got := outcome(t, line.URL(), "Get"); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	line.Cut()
	if err := server.Close(); err != nil {
		t.Errorf("Close while cut: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the server ended with %v", err)
	}
}

func TestCutEndsRequestsUnderWay(t *testing.T) {
	line, err := fault.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices nothing before
		line.Cut()
		<-r.Context().Done()
		close(ended)
	})}
	go func() { _ = server.Serve(line) }()
	defer func() { _ = server.Close() }()
	if got := outcome(t, line.URL(), "Get"); got != "cut" {
		t.Errorf("FI-27: %s", got)
	}
	<-ended
}
