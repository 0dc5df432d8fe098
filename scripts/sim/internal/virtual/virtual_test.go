package virtual_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/sim/internal/virtual"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestClock(t *testing.T) {
	t.Run("who waits wakes at the instant, in order, and not before all others rest", func(t *testing.T) {
		clock := virtual.New(start)
		var mu sync.Mutex
		var woken []time.Duration
		err := clock.Run(t.Context(), func(ctx context.Context) error {
			var wg sync.WaitGroup
			for _, d := range []time.Duration{3 * time.Hour, time.Minute, time.Hour} {
				wg.Go(func() {
					for range 2 {
						if err := clock.Wait(ctx, d); err != nil {
							t.Error(err)
						}
						handedOn := make(chan struct{})
						go func() { // somebody the clock knows nothing of
							mu.Lock()
							defer mu.Unlock()
							woken = append(woken, clock.Now().Sub(start))
							close(handedOn)
						}()
						<-handedOn
					}
				})
			}
			wg.Wait()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{time.Minute, 2 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour}
		if d := cmp.Diff(want, woken); d != "" {
			t.Error(d)
		}
	})
	t.Run("work's error is returned", func(t *testing.T) {
		want := errors.New("broken")
		err := virtual.New(start).Run(t.Context(), func(context.Context) error { return want })
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	})
	t.Run("a simulation in which nobody waits for the clock is stuck", func(t *testing.T) {
		never := make(chan struct{})
		err := virtual.New(start).Run(t.Context(), func(ctx context.Context) error {
			select {
			case <-never:
			case <-ctx.Done():
			}
			return nil
		})
		if !errors.Is(err, virtual.ErrStuck) {
			t.Errorf("%v, want %v", err, virtual.ErrStuck)
		}
	})
	t.Run("an ended context ends the run, and with it all waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		clock, woken := virtual.New(start), make(chan error, 1)
		err := clock.Run(ctx, func(inside context.Context) error {
			go func() { woken <- clock.Wait(inside, time.Hour) }()
			cancel()
			return clock.Wait(inside, 2*time.Hour)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
		if err := <-woken; !errors.Is(err, virtual.ErrOver) {
			t.Errorf("waiting ended with %v, want %v", err, virtual.ErrOver)
		}
	})
	t.Run("a deadline of real time reaches nobody", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := virtual.New(start).Run(ctx, func(inside context.Context) error {
			if at, ok := inside.Deadline(); ok {
				t.Errorf("work has a deadline at %v", at)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
