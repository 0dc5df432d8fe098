package renewals

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/metered"
)

// DayConfig is a span of ordinary operation without faults.
type DayConfig struct {
	Connections int
	Lifetime    time.Duration
	// Warmup passes before anything is counted; Span is counted.
	Warmup, Span time.Duration
}

// Day is what was counted in the span.
type Day struct {
	DayConfig
	// Calls are token requests, Vends are callers served.
	Calls, Vends, Unserved int
	Usage                  metered.Usage
	// Loads are secrets read, Pages are pages of ListSecrets.
	Loads, Pages int
	// Items and Bytes are the table's at the end.
	Items, Bytes int
	// Failed are failures that ticks reported, by error code.
	Failed map[string]int
}

// RunDay has random callers, which request each token four times in its lifetime
// on average and at least once.
func RunDay(ctx context.Context, c DayConfig) Day {
	ctx, cancel := context.WithCancel(ctx)
	store := metered.New()
	s := newService(store, c.Connections, 1, func(int) time.Duration { return c.Lifetime })
	wait := s.call(ctx)
	s.ticks(ctx, c.Warmup)
	before := s.counted(store)
	s.ticks(ctx, c.Span)
	d := s.counted(store)
	cancel()
	wait()
	d.DayConfig = c
	d.Calls, d.Vends, d.Unserved = d.Calls-before.Calls, d.Vends-before.Vends, d.Unserved-before.Unserved
	d.Loads, d.Pages, d.Usage = d.Loads-before.Loads, d.Pages-before.Pages, d.Usage.Since(before.Usage)
	return d
}

func (s *service) counted(store *metered.Table) Day {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := Day{Calls: s.provider.count(), Vends: s.served, Unserved: s.unserved, Usage: store.Usage(),
		Loads: s.loads, Pages: s.pages, Failed: s.failed}
	d.Items, d.Bytes = store.Size()
	return d
}

// Ratio is the token requests as a multiple of one for each 75 % of a lifetime.
func (d Day) Ratio() float64 {
	return float64(d.Calls) / (float64(d.Connections) * d.Span.Seconds() / (0.75 * d.Lifetime.Seconds()))
}
