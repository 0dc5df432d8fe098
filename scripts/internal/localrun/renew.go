package localrun

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/renewal"
)

// tickTimeout is the renew function's timeout.
const tickTimeout = 55 * time.Second

// withTicks adds a ticker to e if it has none, and returns a function that stops it.
func (s Settings) withTicks(e Env) (Env, func()) {
	if e.Ticks != nil {
		return e, func() {}
	}
	ticker := time.NewTicker(s.renewEvery())
	e.Ticks = ticker.C
	return e, ticker.Stop
}

// startRenewing starts the renewer, and returns a function that stops it and waits
// for its end.
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

// renew ticks until ctx ends, the first time immediately: the renewer notices the
// deletion of a file only after it has seen the file. One tick runs at a time, as the
// function has a reserved concurrency of one; ticks during that time are dropped.
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
	ctx, cancel := context.WithTimeout(ctx, tickTimeout)
	defer cancel()
	r.Tick(ctx)
}
