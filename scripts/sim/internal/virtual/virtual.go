// Package virtual is a clock that moves only when nobody has anything left to
// do: hours pass in the time it takes to compute them.
//
// Whatever is simulated waits on the clock instead of sleeping. When every
// goroutine is at rest the clock jumps to the first instant that somebody waits
// for. That all are at rest is the scheduler's own word, so code that knows
// nothing of the clock, and starts goroutines and waits for them in channels as
// it likes, is simulated as it is. With one processor that word is exact, which
// is why [Clock.Run] takes the others away while it runs.
package virtual

import (
	"container/heap"
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// Clock is wall time of a simulation. It is safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	waiting sleepers
	order   int
	over    chan struct{}
}

// New returns a clock that stands at an instant.
func New(start time.Time) *Clock {
	return &Clock{now: start.Round(0).UTC(), over: make(chan struct{})}
}

// Now is the instant that the clock stands at, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// ErrOver is what waiting ends with when the simulation does.
var ErrOver = errors.New("the simulation is over")

// Wait returns when the clock has moved on by d. The context means nothing
// here: its deadline is one of real time, which a busy machine takes more of.
func (c *Clock) Wait(_ context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-c.enlist(d):
		return nil
	case <-c.over:
		return ErrOver
	}
}

// WaitUntil returns when the clock has reached an instant.
func (c *Clock) WaitUntil(ctx context.Context, at time.Time) error {
	return c.Wait(ctx, at.Sub(c.Now()))
}

func (c *Clock) enlist(d time.Duration) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order++
	s := sleeper{at: c.now.Add(d), order: c.order, due: make(chan struct{})}
	heap.Push(&c.waiting, s)
	return s.due
}

// ErrStuck is returned when everybody waits, and nobody for the clock.
var ErrStuck = errors.New("the simulation stands still: everybody waits, and nobody for the clock")

// Run moves the clock until work has returned or ctx has ended, and returns
// work's error. The context that work gets has no deadline. A clock runs once,
// and no two run in one process at the same time.
func (c *Clock) Run(ctx context.Context, work func(context.Context) error) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer close(c.over)
	inside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(inside) }()
	rest := newRest()
	for {
		rest.await()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if !c.step() {
			return ErrStuck
		}
	}
}

// step moves to the first instant somebody waits for, and wakes all who wait
// for it. It reports false when nobody waits.
func (c *Clock) step() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return false
	}
	c.now = c.waiting[0].at
	for len(c.waiting) > 0 && !c.waiting[0].at.After(c.now) {
		close(heap.Pop(&c.waiting).(sleeper).due)
	}
	return true
}

// rest asks the scheduler whether anybody can run.
type rest struct{ sample []metrics.Sample }

func newRest() rest {
	return rest{sample: []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}}
}

// await returns when nobody but the caller can run.
func (r rest) await() {
	for {
		runtime.Gosched()
		if metrics.Read(r.sample); r.sample[0].Value.Uint64() == 0 {
			return
		}
	}
}

// sleeper waits for an instant. Those of one instant wake in the order they came.
type sleeper struct {
	at    time.Time
	order int
	due   chan struct{}
}

type sleepers []sleeper

func (s sleepers) Len() int { return len(s) }

func (s sleepers) Less(i, j int) bool {
	if s[i].at.Equal(s[j].at) {
		return s[i].order < s[j].order
	}
	return s[i].at.Before(s[j].at)
}

func (s sleepers) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

func (s *sleepers) Push(x any) { *s = append(*s, x.(sleeper)) }

func (s *sleepers) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = sleeper{}
	*s = (*s)[:last]
	return x
}
