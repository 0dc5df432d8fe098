// Package flight lets concurrent callers in one process share one call: the
// first caller of a key runs the work, callers that arrive meanwhile wait for
// its result.
//
// golang.org/x/sync/singleflight does not fit: its keys are strings and its
// values untyped, a waiting caller cannot leave when its context ends, and work
// on a goroutine of its own ends the process when it panics.
package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoResult reports that the shared call gave its caller no result: the
// caller's own context ended first (that error is wrapped too), its patience did
// ([ErrSlow] is wrapped), or the work panicked.
var ErrNoResult = errors.New("no result of the shared call")

// ErrSlow reports that the shared call takes longer than its caller waits.
var ErrSlow = errors.New("the shared call takes too long")

// Work is what callers share. Its context has the values and the deadline of
// the caller that runs it, and not its cancellation, because other callers wait
// for the result.
type Work[V any] func(context.Context) (V, error)

// Patience is how long a caller waits for a call that another caller runs, and
// that is of that age when it comes. Nil waits without a limit.
type Patience func(age time.Duration) time.Duration

// Group shares calls by key. The zero value is ready for use; set the fields
// before the first call. It is safe for concurrent use and remembers no result.
type Group[K comparable, V any] struct {
	// MaxAge is the age at which a running call is no longer joined: the next
	// caller starts another one. Zero is no limit. A process that was frozen
	// during a call needs it, because the result predates the freeze.
	MaxAge time.Duration
	// Now is the wall clock that ages are measured by; nil is time.Now.
	Now func() time.Time

	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	startedAt time.Time
	done      chan struct{} // closed once value and err are set
	value     V
	err       error
}

// Do runs work on the caller's goroutine, or waits for the caller that is
// already running it for key. led reports that the result is of this caller's
// own work. A panic of work continues in the caller that runs it; the waiting
// callers get [ErrNoResult].
func (g *Group[K, V]) Do(ctx context.Context, key K, work Work[V]) (value V, led bool, err error) {
	c, led := g.join(key)
	if !led {
		value, _, err = c.wait(ctx)
		return value, false, err
	}
	defer g.end(key, c)
	c.run(ctx, work)
	return c.value, true, c.err
}

// Go is like [Group.Do] and runs work on a goroutine of its own, so that the
// caller that starts it can leave too when its context ends, and others can when
// their patience does. All callers get [ErrNoResult] when work panics.
func (g *Group[K, V]) Go(ctx context.Context, key K, patience Patience, work Work[V]) (value V, led bool, err error) {
	c, led := g.join(key)
	if led {
		go g.runSafely(ctx, key, c, work)
	} else if patience != nil {
		limited, cancel := context.WithTimeoutCause(ctx, patience(g.now().Sub(c.startedAt)), ErrSlow)
		defer cancel()
		ctx = limited
	}
	value, done, err := c.wait(ctx)
	return value, led && done, err
}

// runSafely turns a panic of work into an error for those who wait.
func (g *Group[K, V]) runSafely(ctx context.Context, key K, c *call[V], work Work[V]) {
	defer g.end(key, c)
	defer func() {
		if p := recover(); p != nil {
			// Only the type: the value may hold a secret.
			c.err = fmt.Errorf("%w: it panicked with a %T", ErrNoResult, p)
		}
	}()
	c.run(ctx, work)
}

// Busy reports whether a call of key is running.
func (g *Group[K, V]) Busy(key K) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.calls[key]
	return ok
}

// join returns the call to wait for or, with led set, the one to run.
func (g *Group[K, V]) join(key K) (c *call[V], led bool) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.calls[key]; ok && (g.MaxAge == 0 || now.Sub(c.startedAt).Abs() < g.MaxAge) {
		return c, false
	}
	if g.calls == nil {
		g.calls = make(map[K]*call[V])
	}
	c = &call[V]{startedAt: now, done: make(chan struct{})}
	g.calls[key] = c
	return c, true
}

// now drops the monotonic reading, which stands still while a process is frozen.
func (g *Group[K, V]) now() time.Time {
	if g.Now == nil {
		return time.Now().Round(0)
	}
	return g.Now().Round(0)
}

// end is deferred around the work, so that a panic leaves no caller waiting.
func (g *Group[K, V]) end(key K, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls[key] == c { // not replaced because of its age
		delete(g.calls, key)
	}
	close(c.done)
}

func (c *call[V]) run(ctx context.Context, work Work[V]) {
	c.err = fmt.Errorf("%w: it did not return", ErrNoResult) // kept when work panics
	ctx, cancel := detach(ctx)
	defer cancel()
	c.value, c.err = work(ctx)
}

// wait returns the call's result, or the reason why the caller leaves before.
func (c *call[V]) wait(ctx context.Context) (value V, done bool, err error) {
	select {
	case <-c.done:
		return c.value, true, c.err
	case <-ctx.Done():
		err = ctx.Err()
		if errors.Is(context.Cause(ctx), ErrSlow) {
			err = ErrSlow
		}
		return value, false, fmt.Errorf("%w: %w", ErrNoResult, err)
	}
}

// detach keeps the values and the deadline of ctx and drops its cancellation.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	detached := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(detached, deadline)
	}
	return detached, func() {}
}
