package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/pkg/wheel"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/cast"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/faults"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/virtual"
)

// chaosLifetimes are those of the tokens, in turn: long and short ones, and one
// that has no place on the wheel.
var chaosLifetimes = []time.Duration{time.Hour, 10 * time.Minute, 5 * time.Minute, 2 * time.Minute}

// settling is how long after the last fault every connection must be well
// again: a lease's life, or the longest pause of a failure while callers have
// nothing, whichever is longer, and some seconds.
const settling = 40 * time.Second

// ChaosConfig is a stretch of life in which much goes wrong.
type ChaosConfig struct {
	Connections, Callers, Environments int
	Span                               time.Duration
	// Rate is how many of the requests to table, secrets and providers fail.
	Rate     float64
	Seed     uint64
	Progress io.Writer
}

// Chaos is what came of it.
type Chaos struct {
	ChaosConfig
	// Served are callers by their token's source, Stale those of them who were
	// served although a refresh had failed, Failed the others by error code.
	Served map[vending.Source]int
	Stale  int
	Failed map[problem.Code]int
	// Unanswered are callers whose environment died.
	Unanswered int
	// Breaches are what must never happen: a token that the resource server
	// would not take, a caller's error without a code, calls to a provider that no
	// fault explains, a connection that stays ill. Each says what was seen.
	Breaches []string
	// Calls are requests to providers, Issued those that made a token.
	Calls, Issued int
	// Owed is how many calls the faults explain beside the ordinary ones.
	Owed   int
	Faults map[string]int
	// LeastLeft is the least that any token had left when it was served.
	LeastLeft time.Duration
	// Median, Worst are how long callers waited, in simulated time.
	Median, Worst time.Duration
	Took          time.Duration
}

// Vends is how many callers asked.
func (c Chaos) Vends() int {
	n := c.Unanswered
	for _, served := range c.Served {
		n += served
	}
	for _, failed := range c.Failed {
		n += failed
	}
	return n
}

// chaos is a run under way.
type chaos struct {
	clock    *virtual.Clock
	dice     *cast.Dice
	plan     *faults.Plan
	table    *memory.Store
	replica  *faults.Replica
	book     *cast.Book
	provider *cast.Provider
	sealer   *seal.Sealer

	mu     sync.Mutex
	result Chaos
	waits  []time.Duration
	houses []*house
}

// house is where one execution environment lives after the other.
type house struct {
	life *faults.Life
	core *vending.Core
}

// RunChaos lives through it. An error is one of the simulation's own; what the
// service did wrong stands in Breaches.
func RunChaos(ctx context.Context, cfg ChaosConfig) (Chaos, error) {
	began := time.Now()
	c := newChaos(cfg)
	if err := c.clock.Run(ctx, c.live); err != nil {
		return Chaos{}, fmt.Errorf("an hour of faults: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Took = time.Since(began)
	return c.result, nil
}

func newChaos(cfg ChaosConfig) *chaos {
	clock, dice := virtual.New(start), cast.NewDice(cfg.Seed)
	c := &chaos{
		clock: clock, dice: dice, table: memory.New(), replica: faults.NewReplica(clock), sealer: cast.NewSealer(),
		plan: &faults.Plan{Clock: clock, Dice: dice, Rate: cfg.Rate, Stale: cfg.Rate, Crash: cfg.Rate / 100},
		book: cast.NewBook(cast.BookConfig{Connections: cfg.Connections, Bundle: 5,
			Declare: func(n int) string { return cast.Declared(n, tokenURL) }}),
		result: Chaos{ChaosConfig: cfg, Served: map[vending.Source]int{}, Failed: map[problem.Code]int{}, LeastLeft: time.Hour},
	}
	c.provider = cast.NewProvider(cast.ProviderConfig{Clock: clock, Lifetime: lifetimeOf, Conduct: c.conduct, Remember: true})
	for range cfg.Environments {
		c.houses = append(c.houses, new(house))
	}
	return c
}

func lifetimeOf(clientID string) time.Duration {
	return chaosLifetimes[cast.Number(clientID)%len(chaosLifetimes)]
}

// conduct draws how a provider takes a request.
func (c *chaos) conduct(string) cast.Conduct {
	ordinary := cast.Conduct{After: 50*time.Millisecond + time.Duration(c.dice.Below(int(300*time.Millisecond)))}
	if !c.plan.Strikes(c.plan.Rate) {
		return ordinary
	}
	bad := ordinary
	switch kind := c.dice.Below(6); kind {
	case 0:
		bad.Status = http.StatusInternalServerError
	case 1:
		bad.Status = http.StatusServiceUnavailable
	case 2:
		bad.Status, bad.RetryAfter = http.StatusTooManyRequests, time.Duration(1+c.dice.Below(20))*time.Second
	case 3:
		bad.After = time.Minute
	case 4:
		bad.Lost = true
	default:
		bad.Status = http.StatusBadRequest
	}
	c.plan.Count("provider: " + bad.String())
	return bad
}

// environment is everything one execution environment reaches.
func (c *chaos) environment(life *faults.Life) cast.Environment {
	return cast.Environment{
		Clock: c.clock, Rand: c.dice, Sealer: c.sealer,
		Store:   &faults.Store{Life: life, Table: c.table, Replica: c.replica},
		Secrets: &faults.Secrets{Life: life, Source: c.book},
		Minter: &faults.Minter{Life: life, Provider: c.provider, Connection: func(r oauth.Request) string {
			return string(c.book.Name(cast.Number(r.ClientID)))
		}},
	}
}

// live lets callers and ticks go on until the end, and then looks around.
func (c *chaos) live(ctx context.Context) error {
	end := start.Add(c.result.Span)
	var wg sync.WaitGroup
	for range c.result.Callers {
		wg.Go(func() { c.caller(ctx, end) })
	}
	wg.Go(func() { c.schedule(ctx, end) })
	wg.Wait()
	c.plan.End()
	if err := c.clock.Wait(ctx, settling); err != nil {
		return err
	}
	for n := range c.result.Connections {
		if err := c.request(ctx, n); err != nil {
			c.breach("connection %d is ill %v after the last fault: %v", n, settling, err)
		}
	}
	c.judgeCalls()
	c.finish()
	return ctx.Err()
}

// favourites are connections that every other request is for: where callers
// meet, a stampede would show.
const favourites = 4

// caller asks for one connection's token after the other; all begin with the
// same one, at once.
func (c *chaos) caller(ctx context.Context, end time.Time) {
	_ = c.request(ctx, 0)
	for {
		if c.clock.Wait(ctx, c.dice.Around(5*time.Second, time.Minute)) != nil || !c.clock.Now().Before(end) {
			return
		}
		among := c.result.Connections
		if c.dice.Chance(0.5) {
			among = min(favourites, among)
		}
		_ = c.request(ctx, c.dice.Below(among))
	}
}

var errDied = errors.New("the environment died")

// request asks in some environment, and judges what it gets. A request in an
// environment that dies is never answered.
func (c *chaos) request(ctx context.Context, n int) error {
	core, life := c.inhabitant(c.dice.Below(len(c.houses)))
	began := c.clock.Now()
	var v vending.Vended
	var err error
	done := make(chan struct{})
	go func() {
		v, err = core.Vend(audit.With(ctx, new(audit.Entry)), vending.Request{Connection: c.book.Name(n), Caller: principal})
		close(done)
	}()
	select {
	case <-done:
	case <-life.Dead():
		err = errDied
	case <-ctx.Done():
		return ctx.Err()
	}
	c.judge(n, v, err, c.clock.Now().Sub(began))
	return err
}

// inhabitant is who lives in a house; a new one moves in when the old one died.
func (c *chaos) inhabitant(n int) (*vending.Core, *faults.Life) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.houses[n]
	if h.life == nil || ended(h.life) {
		h.life = faults.NewLife(c.plan)
		h.core = c.environment(h.life).Core()
	}
	return h.core, h.life
}

func ended(l *faults.Life) bool {
	select {
	case <-l.Dead():
		return true
	default:
		return false
	}
}

func (c *chaos) judge(n int, v vending.Vended, err error, waited time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var p *problem.Error
	switch {
	case errors.Is(err, errDied):
		c.result.Unanswered++
		return
	case errors.As(err, &p):
		c.result.Failed[p.Code]++
		if p.Code == problem.InternalError {
			c.breachLocked("connection %d: %v", n, p.Cause)
		}
	case err != nil:
		c.breachLocked("connection %d: an error without a code: %v", n, err)
	default:
		c.serve(n, v)
	}
	c.waits = append(c.waits, waited)
}

// serve judges a token by the resource server's eyes.
func (c *chaos) serve(n int, v vending.Vended) {
	c.result.Served[v.Source]++
	if v.Stale {
		c.result.Stale++
	}
	left := v.ExpiresAt.Sub(c.clock.Now())
	c.result.LeastLeft = min(c.result.LeastLeft, left)
	if !c.provider.Accepts(v.AccessToken, cast.ClientID(n)) {
		c.breachLocked("connection %d was served a token issued to %s with %v left", n, cast.IssuedTo(v.AccessToken), left)
	}
}

// schedule invokes the renewer every minute, whether or not the last tick has
// ended: EventBridge does not ask either.
func (c *chaos) schedule(ctx context.Context, end time.Time) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var life *faults.Life
	var renewer *renewal.Renewer
	for at := start.Add(tickDelay); at.Before(end); at = at.Add(tickEvery) {
		if c.clock.WaitUntil(ctx, at) != nil {
			return
		}
		if life == nil || ended(life) {
			life = faults.NewLife(c.plan)
			renewer = c.environment(life).Renewer()
		}
		c.tell(at)
		wg.Go(func() { tick(ctx, renewer, life) })
	}
}

func tick(ctx context.Context, r *renewal.Renewer, life *faults.Life) {
	done := make(chan struct{})
	go func() {
		r.Tick(ctx)
		close(done)
	}()
	select {
	case <-done:
	case <-life.Dead():
	case <-ctx.Done():
	}
}

// judgeCalls holds every connection's requests to its provider against what is
// ordinary and what faults explain.
func (c *chaos) judgeCalls() {
	for n := range c.result.Connections {
		name := string(c.book.Name(n))
		owed := c.plan.Charged(name)
		c.mu.Lock()
		c.result.Owed += owed
		c.mu.Unlock()
		calls, ordinary := c.provider.CallsOf(cast.ClientID(n)), ordinaryCalls(lifetimeOf(cast.ClientID(n)), c.result.Span+settling)
		if calls > ordinary+owed {
			c.breach("connection %d asked its provider %d times: %d are ordinary and %d owed to faults", n, calls, ordinary, owed)
		}
	}
}

// ordinaryCalls is one for each turn of the wheel, or each time that a caller
// refreshes at 85 % of a life. A token that a caller minted between two turns is
// replaced at the next one, so there may be twice as many.
func ordinaryCalls(lifetime, span time.Duration) int {
	turn := time.Duration(wheel.Cycle(lifetime)) * time.Minute
	if turn == 0 {
		return 1 + int(span/(lifetime*85/100))
	}
	return 2 * (1 + int(span/turn))
}

func (c *chaos) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Calls, c.result.Issued = c.provider.Calls()
	c.result.Faults = c.plan.Counts()
	if len(c.waits) > 0 {
		slices.Sort(c.waits)
		c.result.Median, c.result.Worst = c.waits[len(c.waits)/2], c.waits[len(c.waits)-1]
	}
}

func (c *chaos) breach(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breachLocked(format, args...)
}

func (c *chaos) breachLocked(format string, args ...any) {
	c.result.Breaches = append(c.result.Breaches,
		fmt.Sprintf("%v: ", c.clock.Now().Sub(start))+fmt.Sprintf(format, args...))
}

func (c *chaos) tell(at time.Time) {
	passed := at.Sub(start).Truncate(time.Minute)
	if c.result.Progress == nil || passed == 0 || passed%(10*time.Minute) != 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.result.Progress, "  %v of %v, %d callers so far\n", passed, c.result.Span, c.result.Vends())
}

// FaultKinds are the kinds of faults in order.
func (c Chaos) FaultKinds() []string { return slices.Sorted(maps.Keys(c.Faults)) }
