package localrun

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/renewal"
)

// tickBudget is what one tick may take: the renew function's timeout.
const tickBudget = 55 * time.Second

// withTicks gives w the ticks it lacks, and returns how to stop them.
func (s Settings) withTicks(w World) (World, func()) {
	if w.Ticks != nil {
		return w, func() {}
	}
	ticker := time.NewTicker(s.renewEvery())
	w.Ticks = ticker.C
	return w, ticker.Stop
}

// startRenewing renews beside the servers, and returns how to end that and wait
// until it has.
func startRenewing(ctx context.Context, r *renewal.Renewer, ticks <-chan time.Time) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		renew(ctx, r, ticks)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// renew ticks until ctx ends, the first time at once: until the renewer has
// seen a file it cannot miss it. There is one tick at a time, as the function
// has a reserved concurrency of one; the ticks that one outlasts fall away.
func renew(ctx context.Context, r *renewal.Renewer, ticks <-chan time.Time) {
	for {
		tick(ctx, r)
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
	}
}

func tick(ctx context.Context, r *renewal.Renewer) {
	ctx, cancel := context.WithTimeout(ctx, tickBudget)
	defer cancel()
	r.Tick(ctx)
}
