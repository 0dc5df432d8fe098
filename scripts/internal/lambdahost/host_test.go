package lambdahost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

// bootstrap is the path of the built test function.
var bootstrap string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "lambdahost")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		bootstrap = filepath.Join(dir, "bootstrap")
		build := exec.Command("go", "build", "-o", bootstrap, "./testdata/bootstrap")
		if out, err := build.CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// newHost returns a Host that is closed after the test.
func newHost(t *testing.T, c lambdahost.Config) *lambdahost.Host {
	t.Helper()
	c.Bootstrap = bootstrap
	h := lambdahost.New(c)
	t.Cleanup(h.Close)
	return h
}

// seen is what the test function reports of an invocation.
type seen struct {
	Count        int
	PID          int
	Deadline     time.Time
	Request, ARN string
	Env          []string
}

func invoke(t *testing.T, h *lambdahost.Host) seen {
	t.Helper()
	answer, err := h.Invoke(t.Context(), []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	var s seen
	if err := json.Unmarshal(answer, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func do(t *testing.T, h *lambdahost.Host, what string) error {
	t.Helper()
	_, err := h.Invoke(t.Context(), []byte(`{"do":"`+what+`"}`))
	return err
}

func TestInvoke(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	h := newHost(t, lambdahost.Config{
		Name: "vend", Env: []string{"TOKEN_TABLE=tokens", "AWS_REGION=eu-west-1"}, Timeout: time.Minute,
		Now: func() time.Time { return now },
	})
	if pid := h.PID(); pid != 0 {
		t.Errorf("pid %d before the first invocation", pid)
	}
	first, second := invoke(t, h), invoke(t, h)
	if first.Count != 1 || second.Count != 2 || first.PID != second.PID || first.PID != h.PID() {
		t.Errorf("not one warm process: %d, %d of pids %d, %d; PID %d", first.Count, second.Count, first.PID, second.PID, h.PID())
	}
	if first.Request == "" || first.Request == second.Request {
		t.Errorf("request ids %q, %q", first.Request, second.Request)
	}
	if !first.Deadline.Equal(now.Add(time.Minute)) {
		t.Errorf("deadline %s, want a minute after %s", first.Deadline, now)
	}
	if !strings.HasSuffix(first.ARN, ":function:vend") {
		t.Errorf("function ARN %q", first.ARN)
	}
	for _, want := range []string{"TOKEN_TABLE=tokens", "AWS_REGION=eu-west-1", "AWS_LAMBDA_FUNCTION_NAME=vend"} {
		if !slices.Contains(first.Env, want) {
			t.Errorf("environment lacks %s", want)
		}
	}
}

func TestEnvironmentIsItsOwn(t *testing.T) {
	t.Setenv("OF_THIS_PROCESS", "1")
	if env := invoke(t, newHost(t, lambdahost.Config{})).Env; slices.Contains(env, "OF_THIS_PROCESS=1") {
		t.Error("the host's own environment reached the function")
	}
}

func TestContextDeadline(t *testing.T) {
	want := time.Now().Add(30 * time.Second).Truncate(time.Millisecond)
	ctx, cancel := context.WithDeadline(t.Context(), want)
	defer cancel()
	answer, err := newHost(t, lambdahost.Config{Timeout: time.Minute}).Invoke(ctx, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	var s seen
	if err := json.Unmarshal(answer, &s); err != nil || !s.Deadline.Equal(want) {
		t.Errorf("deadline %s (%v), want the caller's %s", s.Deadline, err, want)
	}
}

func TestFunctionErrors(t *testing.T) {
	for _, c := range []struct {
		do, kind, message string
		warm              bool
	}{
		{"fail", "errorString", "as told", true},
		{"panic", "string", "as told", false},
		{"large", "Function.ResponseSizeTooLarge", "6 MB", false},
	} {
		t.Run(c.do, func(t *testing.T) {
			h := newHost(t, lambdahost.Config{Timeout: time.Minute})
			before := invoke(t, h)
			var reported *lambdahost.FunctionError
			if err := do(t, h, c.do); !errors.As(err, &reported) {
				t.Fatalf("error %v, want the function's own", err)
			}
			if reported.Type != c.kind || !strings.Contains(reported.Message, c.message) || reported.Init {
				t.Errorf("reported %+v", reported)
			}
			if after := invoke(t, h); (after.PID == before.PID) != c.warm {
				t.Errorf("warm afterwards: %t, want %t", after.PID == before.PID, c.warm)
			}
		})
	}
}

func TestExit(t *testing.T) {
	out := newOutput("")
	h := newHost(t, lambdahost.Config{Output: out})
	before := invoke(t, h)
	err := do(t, h, "exit")
	if !errors.Is(err, lambdahost.ErrExited) || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("error %v, want one that tells the exit status", err)
	}
	if pid := h.PID(); pid != 0 {
		t.Errorf("pid %d after the exit", pid)
	}
	if after := invoke(t, h); after.PID == before.PID || after.Count != 1 {
		t.Errorf("invocation %d of pid %d, want the first of a new process", after.Count, after.PID)
	}
	h.Close() // what was printed is complete once the process is gone
	if got := out.String(); got != "started\nexiting\nstarted\n" {
		t.Errorf("output %q", got)
	}
}

func TestTimeout(t *testing.T) {
	out := newOutput("hanging")
	h := newHost(t, lambdahost.Config{Timeout: 1500 * time.Millisecond, Output: out, After: out.after})
	err := do(t, h, "hang")
	if !errors.Is(err, lambdahost.ErrTimeout) || !strings.Contains(err.Error(), "after 1.50 seconds") {
		t.Errorf("error %v, want a timeout", err)
	}
	if pid := h.PID(); pid != 0 {
		t.Errorf("pid %d is alive after its timeout", pid)
	}
}

func TestCancelled(t *testing.T) {
	out := newOutput("hanging")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-out.said; cancel() }()
	h := newHost(t, lambdahost.Config{Timeout: time.Minute, Output: out})
	if _, err := h.Invoke(ctx, []byte(`{"do":"hang"}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if pid := h.PID(); pid != 0 {
		t.Errorf("pid %d is alive after its caller gave up", pid)
	}
}

func TestInit(t *testing.T) {
	t.Run("reports", func(t *testing.T) {
		h := newHost(t, lambdahost.Config{Env: []string{"INIT=report"}})
		var reported *lambdahost.FunctionError
		if err := h.Start(t.Context()); !errors.As(err, &reported) {
			t.Fatalf("error %v, want the function's own", err)
		}
		if !reported.Init || reported.Type != "Config" || reported.Message != "TOKEN_TABLE is missing" {
			t.Errorf("reported %+v", reported)
		}
	})
	t.Run("exits", func(t *testing.T) {
		err := do(t, newHost(t, lambdahost.Config{Env: []string{"INIT=exit"}}), "")
		if !errors.Is(err, lambdahost.ErrExited) || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("hangs", func(t *testing.T) {
		out := newOutput("hanging")
		h := newHost(t, lambdahost.Config{Env: []string{"INIT=hang"}, Output: out, After: out.after})
		if err := h.Start(t.Context()); !errors.Is(err, lambdahost.ErrTimeout) || h.PID() != 0 {
			t.Errorf("error %v, pid %d", err, h.PID())
		}
	})
	t.Run("no such file", func(t *testing.T) {
		h := lambdahost.New(lambdahost.Config{Bootstrap: "/nowhere/bootstrap"})
		if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "start bootstrap") {
			t.Errorf("error %v", err)
		}
	})
}

func TestSignals(t *testing.T) {
	h := newHost(t, lambdahost.Config{Timeout: time.Minute})
	if err := h.Signal(syscall.SIGSTOP); !errors.Is(err, lambdahost.ErrExited) {
		t.Errorf("no process to signal: %v", err)
	}
	before := invoke(t, h)
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := h.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	answered := make(chan error, 1)
	go func() { _, err := h.Invoke(context.WithoutCancel(t.Context()), []byte(`{}`)); answered <- err }()
	signal(syscall.SIGCONT)
	if err := <-answered; err != nil {
		t.Fatalf("thawed: %v", err)
	}
	signal(syscall.SIGKILL)
	if pid := h.PID(); pid != 0 {
		t.Errorf("pid %d after SIGKILL", pid)
	}
	if after := invoke(t, h); after.PID == before.PID || after.Count != 1 {
		t.Errorf("invocation %d of pid %d, want the first of a new process", after.Count, after.PID)
	}
}

func TestKilledWhileStopped(t *testing.T) {
	h := newHost(t, lambdahost.Config{})
	invoke(t, h)
	for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		if err := h.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	invoke(t, h)
}

func TestConcurrentInvocationsQueue(t *testing.T) {
	h := newHost(t, lambdahost.Config{Timeout: time.Minute})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := h.Invoke(t.Context(), []byte(`{}`)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := invoke(t, h).Count; got != 21 {
		t.Errorf("invocation %d of the process, want 21", got)
	}
}

func TestClose(t *testing.T) {
	out := newOutput("hanging")
	h := newHost(t, lambdahost.Config{Timeout: time.Minute, Output: out})
	failed := make(chan error, 1)
	go func() { failed <- do(t, h, "hang") }()
	<-out.said
	h.Close()
	if err := <-failed; !errors.Is(err, lambdahost.ErrExited) {
		t.Errorf("under way: %v", err)
	}
	if err := do(t, h, ""); !errors.Is(err, lambdahost.ErrClosed) {
		t.Errorf("later: %v", err)
	}
}

// output collects what a process prints, and closes said once it has printed a word.
type output struct {
	word string
	said chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

func newOutput(word string) *output { return &output{word: word, said: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.text.String()
	o.text.Write(p)
	if o.word != "" && !strings.Contains(before, o.word) && strings.Contains(o.text.String(), o.word) {
		close(o.said)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// after fires as soon as the word was said, however long it was asked to wait.
func (o *output) after(time.Duration) <-chan time.Time {
	fired := make(chan time.Time, 1)
	go func() { <-o.said; fired <- time.Time{} }()
	return fired
}
