package scenario

import (
	"container/heap"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/cast"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/metered"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/virtual"
)

// start is the instant that every simulation begins at.
var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const (
	principal = "arn:aws:iam::111122223333:role/app"
	tokenURL  = "https://idp.example.com/token"
	// tickEvery is how often the schedule invokes the renewer, tickDelay how
	// long after the full minute that happens here.
	tickEvery, tickDelay = time.Minute, 5 * time.Second
	// usesPerLifetime is how often a token is asked for on average.
	usesPerLifetime = 4
)

// Index is how the renewer finds what is due.
type Index string

// The ways to find what is due.
const (
	// Wheel is the service's own.
	Wheel Index = "wheel"
	// TimeKeyed is an index on the instant of the next renewal, rewritten by each.
	TimeKeyed Index = "time-keyed index"
)

// DayConfig is a stretch of ordinary life without faults.
type DayConfig struct {
	// Connections are all of one Lifetime, and asked for by random callers in
	// random execution environments, four times per lifetime on average and
	// once at least.
	Connections  int
	Lifetime     time.Duration
	Environments int
	// Warmup passes before anything is counted, Span is counted.
	Warmup, Span time.Duration
	Index        Index
	// Bundle is how many connections one secret holds.
	Bundle int
	// Unlisted leaves the ledger of secrets' versions out, to look at the wheel alone.
	Unlisted bool
	Seed     uint64
	// Progress is told every so often where a long run is; nil tells nobody.
	Progress io.Writer
}

// Day is what was counted.
type Day struct {
	DayConfig
	// Calls are requests to providers; Ideal is one for every 75 % of a
	// lifetime and connection.
	Calls int
	Ideal float64
	// Cold are requests from the very beginning, the first token of each
	// connection and the warm-up included; ColdIdeal is the ideal of all that time.
	Cold      int
	ColdIdeal float64
	// Vends are served callers by the token's source.
	Vends map[vending.Source]int
	Usage metered.Usage
	// Scan is what one scan per minute would have read.
	Scan float64
	// Loads and Lists are what Secrets Manager was asked: values and pages.
	Loads, Lists int
	Secrets      int
	Items, Bytes int
	// Failed are failures that ticks reported, by class.
	Failed map[string]int
	// Took is real time.
	Took time.Duration
}

// Ratio is calls as a multiple of the ideal.
func (d Day) Ratio() float64 { return float64(d.Calls) / d.Ideal }

// ColdRatio counts from the very beginning.
func (d Day) ColdRatio() float64 { return float64(d.Cold) / d.ColdIdeal }

// day is a run under way.
type day struct {
	Day
	clock    *virtual.Clock
	dice     *cast.Dice
	table    *metered.Table
	provider *cast.Provider
	book     *cast.Book
	vends    []*vending.Core
	renewer  *renewal.Renewer
	uses     uses
	counting bool
	base     snapshot
}

// snapshot is where counts stood.
type snapshot struct {
	usage               metered.Usage
	calls, loads, lists int
}

// RunDay lives through a day. The error is the first caller's who was not served.
func RunDay(ctx context.Context, c DayConfig) (Day, error) {
	began := time.Now()
	d := newDay(c)
	if err := d.clock.Run(ctx, d.live); err != nil {
		return Day{}, fmt.Errorf("a day of %d connections with tokens of %v: %w", c.Connections, c.Lifetime, err)
	}
	d.Took = time.Since(began)
	return d.Day, nil
}

func newDay(c DayConfig) *day {
	d := &day{Day: Day{DayConfig: c, Vends: map[vending.Source]int{}, Failed: map[string]int{}},
		clock: virtual.New(start), dice: cast.NewDice(c.Seed), table: metered.New(),
		book: cast.NewBook(cast.BookConfig{Connections: c.Connections, Bundle: c.Bundle, Unlisted: c.Unlisted,
			Declare: func(n int) string { return cast.Declared(n, tokenURL) }}),
	}
	d.provider = cast.NewProvider(cast.ProviderConfig{Clock: d.clock, Lifetime: func(string) time.Duration { return c.Lifetime }})
	e := cast.Environment{Clock: d.clock, Store: d.table, Secrets: d.book, Minter: d.provider, Rand: d.dice, Sealer: cast.NewSealer()}
	if c.Index == TimeKeyed {
		e.Store = timeKeyed{d.table}
	}
	for range c.Environments {
		d.vends = append(d.vends, e.Core())
	}
	d.renewer = e.Renewer()
	for n := range c.Connections {
		d.uses = append(d.uses, use{at: start.Add(d.dice.Around(c.Lifetime/usesPerLifetime, c.Lifetime)), connection: n})
	}
	heap.Init(&d.uses)
	return d
}

// live is the whole time, one event after the other.
func (d *day) live(ctx context.Context) error {
	end, count := start.Add(d.Warmup+d.Span), start.Add(d.Warmup)
	for tick := start.Add(tickDelay); tick.Before(end); tick = tick.Add(tickEvery) {
		if !d.counting && !tick.Before(count) {
			d.begin()
		}
		if err := d.serveUntil(ctx, tick); err != nil {
			return err
		}
		if err := d.clock.WaitUntil(ctx, tick); err != nil {
			return err
		}
		d.tick(ctx)
		d.tell(tick)
	}
	d.end()
	return nil
}

// serveUntil serves every caller up to an instant.
func (d *day) serveUntil(ctx context.Context, until time.Time) error {
	for d.uses[0].at.Before(until) {
		u := &d.uses[0]
		if err := d.clock.WaitUntil(ctx, u.at); err != nil {
			return err
		}
		core := d.vends[d.dice.Below(len(d.vends))]
		v, err := core.Vend(ctx, vending.Request{Connection: d.book.Name(u.connection), Caller: principal})
		if err != nil {
			return fmt.Errorf("a caller of %s at %v: %w", d.book.Name(u.connection), u.at.Sub(start), err)
		}
		if d.counting {
			d.Vends[v.Source]++
		}
		u.at = u.at.Add(d.dice.Around(d.Lifetime/usesPerLifetime, d.Lifetime))
		heap.Fix(&d.uses, 0)
	}
	return nil
}

func (d *day) tick(ctx context.Context) {
	run := d.renewer.Tick(ctx)
	for class, n := range run.Failed {
		d.Failed[class] += n
	}
	if d.counting {
		d.Scan += d.table.ScanUnits()
	}
}

func (d *day) begin() {
	d.counting, d.base = true, d.snapshot()
}

func (d *day) end() {
	now := d.snapshot()
	d.Usage = now.usage.Since(d.base.usage)
	d.Calls, d.Loads, d.Lists = now.calls-d.base.calls, now.loads-d.base.loads, now.lists-d.base.lists
	d.Ideal = d.ideal(d.Span)
	d.Cold, d.ColdIdeal = now.calls, d.ideal(d.Warmup+d.Span)
	d.Secrets = d.book.Secrets()
	d.Items, d.Bytes = d.table.Size()
}

func (d *day) ideal(span time.Duration) float64 {
	return float64(d.Connections) * span.Seconds() / (0.75 * d.Lifetime.Seconds())
}

func (d *day) snapshot() snapshot {
	s := snapshot{usage: d.table.Usage()}
	s.calls, _ = d.provider.Calls()
	s.loads, s.lists = d.book.Calls()
	return s
}

// tell reports once per simulated hour, or day of a long run.
func (d *day) tell(tick time.Time) {
	every := time.Hour
	if d.Warmup+d.Span > 4*24*time.Hour {
		every = 10 * 24 * time.Hour
	}
	passed := tick.Sub(start).Truncate(time.Minute)
	if d.Progress == nil || passed%every != 0 || passed == 0 {
		return
	}
	calls, _ := d.provider.Calls()
	fmt.Fprintf(d.Progress, "  %v of %v, %d requests to providers so far\n", passed, d.Warmup+d.Span, calls)
}

// timeKeyed makes the index one on the instant of the next renewal: each commit
// writes it. The renewer finds such slots as it finds those of retries.
type timeKeyed struct{ *metered.Table }

func (s timeKeyed) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	if c.RenewSlot != "" {
		lifetime := c.Token.ExpiresAt.Sub(c.Token.MintedAt)
		c.RenewSlot = vending.RetrySlot(c.Key, c.Token.MintedAt.Add(lifetime/4*3))
	}
	return s.Table.Commit(ctx, c)
}

// use is the next time that a connection is asked for.
type use struct {
	at         time.Time
	connection int
}

// uses is a heap, the soonest first.
type uses []use

func (u uses) Len() int { return len(u) }

func (u uses) Less(i, j int) bool { return u[i].at.Before(u[j].at) }

func (u uses) Swap(i, j int) { u[i], u[j] = u[j], u[i] }

func (u *uses) Push(x any) { *u = append(*u, x.(use)) }

func (u *uses) Pop() any {
	last := len(*u) - 1
	x := (*u)[last]
	*u = (*u)[:last]
	return x
}
