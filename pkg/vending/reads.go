package vending

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// reads makes the callers of one process share an eventually consistent read
// of an item: a thousand cold callers are no thousand reads. A read that a
// frozen sandbox slept through is not joined, for its answer is of before.
type reads struct {
	mu    sync.Mutex
	going map[tokenstore.Key]*reading
}

// joinable bounds the age of a read that a caller may still join.
const joinable = time.Second

type reading struct {
	beganAt time.Time
	done    chan struct{} // closed when the rest is set
	record  record
	err     error
	entry audit.Entry
}

// do runs work for key, or waits for whoever is running it since a moment ago.
// Work is not cancelled with the caller who began it, for the others wait; its
// deadline stays.
func (r *reads) do(ctx context.Context, key tokenstore.Key, now time.Time, work func(context.Context) (record, error)) (record, error) {
	rd, mine := r.join(key, now)
	if mine {
		r.run(ctx, key, rd, work)
		audit.From(ctx).Merge(&rd.entry)
		return rd.record, rd.err
	}
	select {
	case <-rd.done:
		if rd.err != nil {
			return work(ctx) // its time may have been shorter than ours
		}
		return rd.record, nil
	case <-ctx.Done():
		return record{}, fmt.Errorf("%w: %w", tokenstore.ErrUnavailable, ctx.Err())
	}
}

func (r *reads) join(key tokenstore.Key, now time.Time) (rd *reading, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rd, ok := r.going[key]; ok && now.Sub(rd.beganAt).Abs() < joinable {
		return rd, false
	}
	if r.going == nil {
		r.going = make(map[tokenstore.Key]*reading)
	}
	rd = &reading{beganAt: now, done: make(chan struct{})}
	r.going[key] = rd
	return rd, true
}

// run ends the reading whatever work does, so that a panic strands nobody.
func (r *reads) run(ctx context.Context, key tokenstore.Key, rd *reading, work func(context.Context) (record, error)) {
	rd.err = fmt.Errorf("%w: the read ended without an answer", tokenstore.ErrUnavailable) // should work panic
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.going[key] == rd {
			delete(r.going, key)
		}
		close(rd.done)
	}()
	ctx, cancel := detach(ctx)
	defer cancel()
	rd.record, rd.err = work(audit.With(ctx, &rd.entry))
}
