package vending

import (
	"context"
	"fmt"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// flights makes the callers of one process share one refresh of a key. The
// refresh runs on when the caller that began it gives up, for the others wait.
type flights struct {
	mu    sync.Mutex
	going map[tokenstore.Key]*flight
}

type flight struct {
	done   chan struct{}
	record record
	err    error
	// entry is what the refresh reports for the audit line of who began it.
	entry audit.Entry
}

// busy reports whether a refresh of key is going on in this process.
func (f *flights) busy(key tokenstore.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.going[key]
	return ok
}

// do runs work for key, or waits for whoever is running it. led tells that this
// caller began it; its context's values, not its cancellation, reach work.
func (f *flights) do(ctx context.Context, key tokenstore.Key, work func(context.Context) (record, error)) (e record, led bool, err error) {
	fl, led := f.join(key)
	if led {
		go f.run(ctx, key, fl, work)
	}
	select {
	case <-ctx.Done():
		return record{}, false, ctx.Err()
	case <-fl.done:
		if led {
			audit.From(ctx).Merge(&fl.entry)
		}
		return fl.record, led, fl.err
	}
}

func (f *flights) join(key tokenstore.Key) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.going[key]; ok {
		return fl, false
	}
	if f.going == nil {
		f.going = make(map[tokenstore.Key]*flight)
	}
	fl := &flight{done: make(chan struct{})}
	f.going[key] = fl
	return fl, true
}

// run ends the flight whatever work does, so that a panic strands nobody.
func (f *flights) run(ctx context.Context, key tokenstore.Key, fl *flight, work func(context.Context) (record, error)) {
	defer func() {
		if p := recover(); p != nil {
			fl.err = fmt.Errorf("refresh panicked with a %T", p) // its value may hold anything
		}
		f.mu.Lock()
		delete(f.going, key)
		f.mu.Unlock()
		close(fl.done)
	}()
	ctx, cancel := detach(ctx)
	defer cancel()
	fl.record, fl.err = work(audit.With(ctx, &fl.entry))
}

// detach keeps the values and the deadline of ctx, and drops its cancellation.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	detached := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(detached, deadline)
	}
	return detached, func() {}
}
