package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/scorecard"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/share"
	"github.com/tokenvend/tokenvend/scripts/internal/runtimehost"
)

// megabytes is the memory whose share of the CPU functions are held to.
const megabytes = 256

// The functions whose first invocation is compared, by their place in a
// throttling's figures.
const (
	shipped = iota
	unwarmed
	systemRoots
	systemUnwarmed
	hello
)

// throttling is how the first invocation goes with a small memory's share of the CPU:
// figures of all functions, taken side by side.
type throttling struct {
	means string
	// first are the medians in seconds of the first invocation, init those from
	// exec to the end of initialisation, which runs at full speed.
	first, init []float64
}

// throttled makes the row of one of the functions. Whoever asks first waits for
// all of them.
func throttled(which int) func(*bench, context.Context) (scorecard.Row, error) {
	return func(b *bench, ctx context.Context) (scorecard.Row, error) {
		if b.throttling == nil {
			t, err := b.throttle(ctx)
			if err != nil {
				return scorecard.Row{}, err
			}
			b.throttling = &t
		}
		return scorecard.Row{Measured: b.throttling.tell(which)}, nil
	}
}

func (t throttling) tell(which int) string {
	return fmt.Sprintf("%s, INIT %s / %s; by %s",
		scorecard.Comparison{Ours: t.first[which], Baseline: t.first[hello]}.Text(scorecard.Seconds),
		scorecard.Seconds(t.init[which]), scorecard.Seconds(t.init[hello]), t.means)
}

// throttle takes all the figures.
func (b *bench) throttle(ctx context.Context) (throttling, error) {
	c, err := b.openCloud(ctx)
	if err != nil {
		return throttling{}, err
	}
	defer c.Close()
	roots, err := b.trust(ctx, c)
	if err != nil {
		return throttling{}, err
	}
	limiter := share.New(share.Config{Share: share.OfMemory(megabytes)})
	starts := []*start{
		shipped:        b.vendStart(c, limiter, b.built.vend, roots.amazon, 2),
		unwarmed:       b.vendStart(c, limiter, b.built.unwarmed, roots.amazon, 1),
		systemRoots:    b.vendStart(c, limiter, b.built.systemRoots, roots.system, 2),
		systemUnwarmed: b.vendStart(c, limiter, b.built.systemUnwarmed, roots.system, 1),
		hello:          {limiter: limiter, host: b.helloHost, check: func([]byte) error { return nil }},
	}
	var contenders []scorecard.Contender
	for i, s := range starts {
		contenders = append(contenders, scorecard.Contender{Name: throttledNames[i], Sample: s.sample})
	}
	t := throttling{means: limiter.Means()}
	if t.first, err = scorecard.Medians(ctx, b.effort.throttled, contenders...); err != nil {
		return throttling{}, err
	}
	for _, s := range starts {
		t.init = append(t.init, scorecard.Median(s.inits[1:])) // the first fills caches
	}
	return t, nil
}

// throttledNames are for errors.
var throttledNames = []string{
	shipped: "vend", unwarmed: "vend without warm-up", systemRoots: "vend with the system's roots",
	systemUnwarmed: "vend with the system's roots and without warm-up", hello: "hello world",
}

// start starts environments of one function and invokes each once.
type start struct {
	limiter *share.Limiter
	host    func() *runtimehost.Host
	check   func(answer []byte) error
	// inits are the seconds that each initialisation took.
	inits []float64
}

func (b *bench) vendStart(c cloud, limiter *share.Limiter, bootstrap string, roots []string, reads int) *start {
	return &start{
		limiter: limiter,
		host:    func() *runtimehost.Host { return vendHost(c, bootstrap, roots...) },
		check:   func(answer []byte) error { return errors.Join(checkVended(answer), readTable(c.Take(), reads)) },
	}
}

// sample starts an environment at full speed and returns the seconds that its
// first invocation takes with its share.
func (s *start) sample(ctx context.Context) (seconds float64, err error) {
	h := s.host()
	defer h.Close()
	began := time.Now()
	if err := h.Start(ctx); err != nil {
		return 0, err
	}
	s.inits = append(s.inits, time.Since(began).Seconds())
	lift, err := s.limiter.Limit(h)
	if err != nil {
		return 0, err
	}
	began = time.Now()
	answer, err := h.Invoke(ctx, event)
	seconds = time.Since(began).Seconds()
	if err == nil {
		err = s.check(answer)
	}
	h.Close() // a control group is not taken away from a living process
	return seconds, errors.Join(err, lift())
}
