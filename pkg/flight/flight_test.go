package flight_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/flight"
)

type group = flight.Group[string, int]

type method func(*group, context.Context, string, flight.Work[int]) (int, bool, error)

// methods are the two ways to call; most rules hold for both.
var methods = map[string]method{"Do": (*group).Do, "Go": goPatiently}

func goPatiently(g *group, ctx context.Context, key string, work flight.Work[int]) (int, bool, error) {
	return g.Go(ctx, key, nil, work)
}

// each runs a test of both methods in a bubble of its own.
func each(t *testing.T, test func(t *testing.T, g *group, call method)) {
	for name, call := range methods {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, &group{}, call) })
		})
	}
}

type result struct {
	value int
	led   bool
	err   error
}

// start calls on a goroutine of its own and returns when that call blocks or is over.
func start(g *group, ctx context.Context, call method, key string, work flight.Work[int]) <-chan result {
	results := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				results <- result{err: fmt.Errorf("panic: %v", p)}
			}
		}()
		value, led, err := call(g, ctx, key, work)
		results <- result{value, led, err}
	}()
	synctest.Wait()
	return results
}

// until is work that blocks until release is closed.
func until(release <-chan struct{}, value int, err error) flight.Work[int] {
	return func(context.Context) (int, error) {
		<-release
		return value, err
	}
}

func forbidden(t *testing.T) flight.Work[int] {
	return func(context.Context) (int, error) {
		t.Error("a second call ran")
		return 0, nil
	}
}

func TestConcurrentCallersShareOneCall(t *testing.T) {
	for _, want := range []error{nil, errors.New("refused")} {
		each(t, func(t *testing.T, g *group, call method) {
			release := make(chan struct{})
			first := start(g, t.Context(), call, "crm", until(release, 7, want))
			second := start(g, t.Context(), call, "crm", forbidden(t))
			other := start(g, t.Context(), call, "erp", until(release, 8, nil))
			close(release)
			for _, c := range []struct {
				results <-chan result
				want    result
			}{{first, result{7, true, want}}, {second, result{7, false, want}}, {other, result{8, true, nil}}} {
				if got := <-c.results; got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			}
		})
	}
}

func TestResultsAreNotRemembered(t *testing.T) {
	each(t, func(t *testing.T, g *group, call method) {
		for want := range 3 {
			value, led, err := call(g, t.Context(), "crm", func(context.Context) (int, error) { return want, nil })
			if value != want || !led || err != nil {
				t.Errorf("got %d, %v, %v, want %d", value, led, err, want)
			}
		}
	})
}

func TestBusy(t *testing.T) {
	each(t, func(t *testing.T, g *group, call method) {
		release := make(chan struct{})
		results := start(g, t.Context(), call, "crm", until(release, 1, nil))
		if !g.Busy("crm") || g.Busy("erp") {
			t.Error("during the call: want crm busy and erp not")
		}
		close(release)
		<-results
		if g.Busy("crm") {
			t.Error("after the call: still busy")
		}
	})
}

type valueKey struct{}

func TestWorkKeepsValuesAndDeadlineAndNotTheCancellation(t *testing.T) {
	each(t, func(t *testing.T, g *group, call method) {
		parent, cancel := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, 42), time.Minute)
		deadline, _ := parent.Deadline()
		first := start(g, parent, call, "crm", func(ctx context.Context) (int, error) {
			time.Sleep(time.Second)
			if got, _ := ctx.Deadline(); !got.Equal(deadline) {
				t.Errorf("deadline %v, want %v", got, deadline)
			}
			return ctx.Value(valueKey{}).(int), ctx.Err()
		})
		second := start(g, t.Context(), call, "crm", forbidden(t))
		cancel()
		if got := <-second; got != (result{42, false, nil}) {
			t.Errorf("a waiting caller got %+v", got)
		}
		<-first
	})
}

func TestWaitingCallerLeaves(t *testing.T) {
	each(t, func(t *testing.T, g *group, call method) {
		release := make(chan struct{})
		first := start(g, t.Context(), call, "crm", until(release, 1, nil))
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := start(g, brief, call, "crm", forbidden(t))
		got := <-second
		if got.led || !errors.Is(got.err, flight.ErrNoResult) || !errors.Is(got.err, context.DeadlineExceeded) {
			t.Errorf("got %+v, want ErrNoResult and its own deadline", got)
		}
		close(release)
		if got := <-first; got != (result{1, true, nil}) {
			t.Errorf("the first caller got %+v", got)
		}
	})
}

func TestFirstCallerOfGoLeavesAndTheWorkContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, release := &group{}, make(chan struct{})
		brief, cancel := context.WithCancel(t.Context())
		first := start(g, brief, goPatiently, "crm", until(release, 1, nil))
		second := start(g, t.Context(), goPatiently, "crm", forbidden(t))
		cancel()
		if got := <-first; got.led || !errors.Is(got.err, context.Canceled) {
			t.Errorf("the first caller got %+v, want its cancellation", got)
		}
		close(release)
		if got := <-second; got != (result{1, false, nil}) {
			t.Errorf("the second caller got %+v", got)
		}
	})
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group{}
		patient := func(most time.Duration) method {
			return func(g *group, ctx context.Context, key string, work flight.Work[int]) (int, bool, error) {
				return g.Go(ctx, key, func(age time.Duration) time.Duration { return most - age }, work)
			}
		}
		first := start(g, t.Context(), patient(time.Second), "crm", func(context.Context) (int, error) {
			time.Sleep(10 * time.Second)
			return 1, nil
		})
		time.Sleep(3 * time.Second)
		began := time.Now()
		for _, c := range []struct {
			name        string
			most, waits time.Duration
			slow        bool
		}{
			{"none is left", 2 * time.Second, 0, true},
			{"some is left", 5 * time.Second, 2 * time.Second, true},
			{"enough is left", time.Minute, 7 * time.Second, false},
		} {
			got := <-start(g, t.Context(), patient(c.most), "crm", forbidden(t))
			if took := time.Since(began); took != c.waits || errors.Is(got.err, flight.ErrSlow) != c.slow ||
				errors.Is(got.err, flight.ErrNoResult) != c.slow || got.led {
				t.Errorf("%s: got %+v after %v, want slow: %v after %v", c.name, got, took, c.slow, c.waits)
			}
		}
		if got := <-first; got != (result{1, true, nil}) {
			t.Errorf("the first caller got %+v", got)
		}
	})
}

func TestPanic(t *testing.T) {
	each(t, func(t *testing.T, g *group, call method) {
		release := make(chan struct{})
		first := start(g, t.Context(), call, "crm", func(context.Context) (int, error) {
			<-release
			panic("c4n4ry")
		})
		second := start(g, t.Context(), call, "crm", forbidden(t))
		close(release)
		<-first
		if got := <-second; !errors.Is(got.err, flight.ErrNoResult) || got.led {
			t.Errorf("a waiting caller got %+v, want ErrNoResult", got)
		}
		if value, _, err := call(g, t.Context(), "crm", func(context.Context) (int, error) { return 1, nil }); value != 1 || err != nil {
			t.Errorf("the next call: %d, %v", value, err)
		}
	})
}

func TestPanicInDoContinuesInItsCaller(t *testing.T) {
	defer func() {
		if p := recover(); p != "c4n4ry" {
			t.Errorf("recovered %v", p)
		}
	}()
	_, _, _ = new(group).Do(t.Context(), "crm", func(context.Context) (int, error) { panic("c4n4ry") })
}

func TestPanicInGoNamesItsTypeOnly(t *testing.T) {
	_, led, err := new(group).Go(t.Context(), "crm", nil, func(context.Context) (int, error) { panic("c4n4ry") })
	if want := "no result of the shared call: it panicked with a string"; err == nil || err.Error() != want || !led {
		t.Errorf("got %v, %v, want %s", led, err, want)
	}
}

// A process that was frozen during a call wakes with the clock far ahead, or
// set back.
func TestOldCallIsNotJoined(t *testing.T) {
	for _, c := range []struct {
		name   string
		passed time.Duration
		joined bool
	}{
		{"younger", time.Second - 1, true},
		{"as old as the limit", time.Second, false},
		{"the clock was set back", -time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				g := &group{MaxAge: time.Second, Now: func() time.Time { return now }}
				releaseOld, releaseNew := make(chan struct{}), make(chan struct{})
				old := start(g, t.Context(), (*group).Do, "crm", until(releaseOld, 1, nil))
				now = now.Add(c.passed)
				second := start(g, t.Context(), (*group).Do, "crm", until(releaseNew, 2, nil))
				close(releaseOld)
				<-old
				synctest.Wait()
				if g.Busy("crm") == c.joined {
					t.Error("the end of the old call must not end the call that replaced it")
				}
				close(releaseNew)
				want := result{2, true, nil}
				if c.joined {
					want = result{1, false, nil}
				}
				if got := <-second; got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		})
	}
}

// TestConcurrentUse gives the race detector something to find.
func TestConcurrentUse(t *testing.T) {
	for name, call := range methods {
		t.Run(name, func(t *testing.T) {
			g := &group{MaxAge: time.Minute}
			var wait sync.WaitGroup
			for i := range 16 {
				wait.Go(func() {
					for j := range 100 {
						want := (i + j) % 4
						value, _, err := call(g, context.Background(), fmt.Sprint(want), func(context.Context) (int, error) { return want, nil })
						if value != want || err != nil {
							t.Errorf("got %d, %v, want %d", value, err, want)
						}
					}
				})
			}
			wait.Wait()
		})
	}
}
