// Package lambdahost runs a built bootstrap as Lambda does: as a child process that
// fetches its events from a Runtime API and posts the answers back.
//
// A Host is one execution environment. It starts cold at the first invocation,
// stays warm between invocations, runs one invocation at a time, and starts again
// after the process has exited or was killed. Tests stop, continue and kill the
// process with [Host.Signal].
//
// The protocol is the one at
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; streaming responses
// and X-Ray are not supported, and of extensions only one, without events of invocations.
package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"
)

// The kinds of failure of an environment; test with errors.Is. A failure that
// the function reports itself is a *FunctionError instead.
var (
	// ErrTimeout: the invocation took too long, and the process was killed.
	ErrTimeout = errors.New("task timed out")
	// ErrExited: the process ended before it answered.
	ErrExited = errors.New("runtime exited without providing a reason")
	// ErrClosed: the Host was closed.
	ErrClosed = errors.New("execution environment closed")
)

// FunctionError is a failure that the function reported, of one invocation or
// of its initialisation.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
	// Init: it failed before its first invocation.
	Init bool `json:"-"`
}

// Error returns type and message.
func (e *FunctionError) Error() string {
	phase := "invocation"
	if e.Init {
		phase = "initialisation"
	}
	return fmt.Sprintf("%s failed: %s: %s", phase, e.Type, e.Message)
}

// Config is what a Host needs.
type Config struct {
	// Bootstrap is the path of the executable.
	Bootstrap string
	// Extension is the path of the executable of an extension that starts before the
	// bootstrap; empty means none.
	Extension string
	// Name is the function's name; empty means "function".
	Name string
	// Env is added to Lambda's own variables. The function inherits nothing of this
	// process's environment.
	Env []string
	// Timeout bounds an invocation; zero means Lambda's 3 s.
	Timeout time.Duration
	// InitTimeout bounds a cold start; zero means Lambda's 10 s.
	InitTimeout time.Duration
	// Output gets the process's stdout and stderr, one Write at a time; nil
	// drops them.
	Output io.Writer
	// Now is the clock of deadlines; nil means time.Now.
	Now func() time.Time
	// After waits for a timeout; nil means time.After.
	After func(time.Duration) <-chan time.Time
}

// Host is one execution environment. It is safe for concurrent use; concurrent
// invocations queue.
type Host struct {
	config Config
	// busy is full while an invocation runs.
	busy chan struct{}

	mu      sync.Mutex
	process *process // nil when there is none
	closed  bool
}

// New returns a Host. Nothing runs yet.
func New(c Config) *Host {
	if c.Name == "" {
		c.Name = "function"
	}
	if c.Timeout == 0 {
		c.Timeout = 3 * time.Second
	}
	if c.InitTimeout == 0 {
		c.InitTimeout = 10 * time.Second
	}
	if c.Output == nil {
		c.Output = io.Discard
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	return &Host{config: c, busy: make(chan struct{}, 1)}
}

// Invoke delivers one event and returns the answer, starting a process if none
// is alive. The event's deadline is the earlier of the Timeout and ctx's own;
// when it passes, or ctx is cancelled, the process is killed.
func (h *Host) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	defer h.release()
	p, err := h.warm(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := p.invoke(ctx, event)
	if err != nil && !isReported(err) {
		h.recycle(p)
	}
	return answer, err
}

// Start makes the environment warm without invoking it: it returns once the
// process has asked for its first event.
func (h *Host) Start(ctx context.Context) error {
	if err := h.acquire(ctx); err != nil {
		return err
	}
	defer h.release()
	_, err := h.warm(ctx)
	return err
}

// PID is the id of the process, and of its process group; 0 when none runs.
func (h *Host) PID() int {
	if p := h.running(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// Signal sends a signal to the whole process group: SIGSTOP freezes the
// environment, SIGCONT thaws it. After SIGKILL it returns once the process has
// ended, so the next invocation is a cold start. ErrExited means that no process
// runs.
func (h *Host) Signal(signal syscall.Signal) error {
	p := h.running()
	if p == nil {
		return ErrExited
	}
	if signal == syscall.SIGKILL {
		p.kill()
		return nil
	}
	p.endExtension(func(e *extension) { _ = syscall.Kill(-e.cmd.Process.Pid, signal) })
	if err := syscall.Kill(-p.cmd.Process.Pid, signal); err != nil {
		return fmt.Errorf("send %s to process group %d: %w", signal, p.cmd.Process.Pid, err)
	}
	return nil
}

// Close kills the process. An invocation under way fails, and so do later ones.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	p := h.process
	h.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

func (h *Host) acquire(ctx context.Context) error {
	select {
	case h.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Host) release() { <-h.busy }

// running is the process, or nil when none runs.
func (h *Host) running() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == nil || h.process.hasExited() {
		return nil
	}
	return h.process
}

// warm returns a process that waits for an event. A process that ended after its
// last answer, as after a panic, causes a cold start and no error.
func (h *Host) warm(ctx context.Context) (*process, error) {
	for {
		p, fresh, err := h.current()
		if err != nil {
			return nil, err
		}
		err = p.ready(ctx)
		if err == nil {
			return p, nil
		}
		h.recycle(p)
		if fresh || !errors.Is(err, ErrExited) {
			return nil, err
		}
	}
}

// current returns the running process, or starts one.
func (h *Host) current() (p *process, fresh bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false, ErrClosed
	}
	if h.process != nil && !h.process.hasExited() {
		return h.process, false, nil
	}
	h.process, err = start(h.config)
	return h.process, true, err
}

// recycle ends a process that must not get another event.
func (h *Host) recycle(p *process) {
	p.kill()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == p {
		h.process = nil
	}
}

// isReported reports a function's own failure, which leaves the environment warm.
func isReported(err error) bool {
	var reported *FunctionError
	return errors.As(err, &reported)
}
