package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/fault"
)

// target is a service of two operations that counts what it carries out.
type target struct {
	*awsjson.Service
	done atomic.Int64
}

func newTarget() *target {
	s := &target{}
	run := awsjson.Operate(func(struct{}) (struct{}, error) { s.done.Add(1); return struct{}{}, nil })
	s.Service = awsjson.New(awsjson.Config{
		Target: "T", Version: "1.0", ErrorPrefix: "p#", MessageName: "message",
		Operations: map[string]awsjson.Operation{"Get": run, "Put": run},
	})
	return s
}

// waited are the pauses that an injector made.
type waited struct{ total atomic.Int64 }

func (w *waited) wait(_ context.Context, d time.Duration) { w.total.Add(int64(d)) }

// outcome asks for an operation: "ok", an error's code, or "cut".
func outcome(t *testing.T, url, operation string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("X-Amz-Target", "T."+operation)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 any")
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
	_, code, _ := strings.Cut(string(text), `"__type":"p#`)
	code, _, _ = strings.Cut(code, `"`)
	return code
}

func TestFaults(t *testing.T) {
	const throttled, broken = "ProvisionedThroughputExceededException", "InternalServerError"
	for _, tc := range []struct {
		name   string
		faults []fault.Fault
		// asked are operations, want what becomes of each.
		asked, want []string
		done        int64
		waited      time.Duration
	}{
		{"no fault", nil, []string{"Get", "Put"}, []string{"ok", "ok"}, 2, 0},
		{"CR-31 throttled, one operation, until cleared", []fault.Fault{{Operation: "Get", Mode: fault.Fail}},
			[]string{"Get", "Put", "Get"}, []string{throttled, "ok", throttled}, 1, 0},
		{"FI-26 failing, every operation, twice", []fault.Fault{{Mode: fault.Fail, Error: fault.Broken(), Times: 2}},
			[]string{"Get", "Put", "Get"}, []string{broken, broken, "ok"}, 1, 0},
		{"FI-26 refused before it is applied", []fault.Fault{{Mode: fault.Refuse, Times: 1}},
			[]string{"Put", "Put"}, []string{"cut", "ok"}, 1, 0},
		{"FI-29 lost after it was applied", []fault.Fault{{Operation: "Put", Mode: fault.Lose, Times: 1}},
			[]string{"Put", "Put"}, []string{"cut", "ok"}, 2, 0},
		{"slow", []fault.Fault{{Mode: fault.Slow, Delay: time.Hour, Times: 1}}, []string{"Get", "Get"}, []string{"ok", "ok"}, 2, time.Hour},
		{"slow, then failing", []fault.Fault{{Mode: fault.Fail, Delay: time.Minute}}, []string{"Get"}, []string{throttled}, 0, time.Minute},
		{"after some have passed", []fault.Fault{{Mode: fault.Fail, Skip: 2, Times: 1}},
			[]string{"Get", "Get", "Get", "Get"}, []string{"ok", "ok", throttled, "ok"}, 3, 0},
		{"what is added first strikes first", []fault.Fault{{Mode: fault.Fail, Times: 1}, {Mode: fault.Fail, Error: fault.Broken()}},
			[]string{"Get", "Get"}, []string{throttled, broken}, 0, 0},
		{"those that match", []fault.Fault{{Mode: fault.Fail, Match: func(r *http.Request) bool { return r.Header.Get("X-Amz-Target") == "T.Put" }}},
			[]string{"Get", "Put"}, []string{"ok", throttled}, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			service, clock := newTarget(), &waited{}
			injector := fault.New(fault.Config{Service: service, Wait: clock.wait})
			for _, f := range tc.faults {
				injector.Add(f)
			}
			server := httptest.NewServer(injector)
			defer server.Close()
			for i, operation := range tc.asked {
				if got := outcome(t, server.URL, operation); got != tc.want[i] {
					t.Errorf("request %d, %s: %s, want %s", i, operation, got, tc.want[i])
				}
			}
			if service.done.Load() != tc.done || time.Duration(clock.total.Load()) != tc.waited {
				t.Errorf("%d carried out after %v, want %d after %v", service.done.Load(), time.Duration(clock.total.Load()), tc.done, tc.waited)
			}
		})
	}
}

func TestFaultsAreTakenAway(t *testing.T) {
	injector := fault.New(fault.Config{Service: newTarget()})
	server := httptest.NewServer(injector)
	defer server.Close()
	remove := injector.Add(fault.Fault{Operation: "Get", Mode: fault.Fail})
	injector.Add(fault.Fault{Operation: "Put", Mode: fault.Fail})
	remove()
	if get, put := outcome(t, server.URL, "Get"), outcome(t, server.URL, "Put"); get != "ok" || put == "ok" {
		t.Errorf("after one was removed: %s and %s", get, put)
	}
	injector.Clear()
	if put := outcome(t, server.URL, "Put"); put != "ok" {
		t.Errorf("after all were cleared: %s", put)
	}
	if injector.Struck("Put") != 1 || injector.Struck("Get") != 0 {
		t.Errorf("struck Put %d and Get %d times", injector.Struck("Put"), injector.Struck("Get"))
	}
}

func TestFractionIsRepeatable(t *testing.T) {
	draw := func(seed uint64) (pattern string) {
		injector := fault.New(fault.Config{Service: newTarget(), Seed: seed})
		injector.Add(fault.Fault{Mode: fault.Fail, Fraction: 0.3})
		for range 200 {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
			r.Header.Set("X-Amz-Target", "T.Get")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 any")
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			injector.ServeHTTP(w, r)
			pattern += map[bool]string{true: ".", false: "x"}[w.Code == http.StatusOK]
		}
		return pattern
	}
	one := draw(1)
	if struck := strings.Count(one, "x"); struck < 40 || struck > 80 {
		t.Errorf("FI-28: a fraction of 0.3 struck %d of 200", struck)
	}
	if draw(1) != one || draw(2) == one {
		t.Error("FI-28: the seed does not decide")
	}
}

func TestLine(t *testing.T) {
	line, err := fault.Listen("127.0.0.1:0")
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
		{"up", func() {}, "ok"},
		{"FI-27 down", line.Down, "cut"},
		{"down twice", line.Down, "cut"},
		{"up again at the same address", func() { up(t, line) }, "ok"},
		{"FI-27 resetting", line.Reset, "cut"},
		{"up after that", func() { up(t, line) }, "ok"},
	} {
		step.do()
		if got := outcome(t, line.URL(), "Get"); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	line.Down()
	if err := server.Close(); err != nil {
		t.Errorf("Close while down: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the server ended with %v", err)
	}
}

func up(t *testing.T, line *fault.Line) {
	t.Helper()
	if err := line.Up(); err != nil {
		t.Fatal(err)
	}
}

func TestDownCutsRequestsUnderWay(t *testing.T) {
	line, err := fault.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices nothing before
		line.Down()
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

func TestDelayEndsWithTheClient(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	injector := fault.New(fault.Config{Service: newTarget(), Wait: func(ctx context.Context, _ time.Duration) {
		cancel() // the client goes away
		<-ctx.Done()
	}})
	injector.Add(fault.Fault{Mode: fault.Slow, Delay: time.Hour})
	server := httptest.NewServer(injector)
	defer server.Close() // waits for the handler
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := http.DefaultClient.Do(r); err == nil {
		_ = response.Body.Close()
		t.Error("there is an answer")
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "localhost:0", "127.0.0.1", ""} {
		if line, err := fault.Listen(address); err == nil {
			_ = line.Close()
			t.Errorf("%q is listened on", address)
		}
	}
}
