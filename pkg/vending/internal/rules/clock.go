package rules

import (
	"context"
	"time"
)

// SaveBudget bounds storing the result of a refresh.
const SaveBudget = 5 * time.Second

// Clock is the time as the core sees it. Both fields are set.
type Clock struct {
	// Now is UTC wall clock without a monotonic reading, which may stop while an
	// execution environment is frozen.
	Now func() time.Time
	// Wait pauses, or returns the context's error.
	Wait func(context.Context, time.Duration) error
}

// NewClock returns a clock. A nil now is time.Now, a nil wait uses a timer.
func NewClock(now func() time.Time, wait func(context.Context, time.Duration) error) Clock {
	if now == nil {
		now = time.Now
	}
	if wait == nil {
		wait = sleep
	}
	return Clock{Now: func() time.Time { return now().Round(0).UTC() }, Wait: wait}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Remaining is how much of the invocation is left. A deadline that has passed
// leaves nothing; a context without one leaves an hour.
func Remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Hour
	}
	return max(time.Until(deadline), 0)
}
