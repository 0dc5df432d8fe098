package scenario

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Row is one figure beside its aim.
type Row struct {
	What string
	// Aim is empty for a figure that is shown and not judged.
	Aim      string
	Measured string
	// Pass tells a pass from a miss. It means nothing without an Aim.
	Pass bool
}

// The names of what can be simulated.
const (
	Days    = "day"
	Ladder  = "ladder"
	Costs   = "cost"
	Faults  = "faults"
	Burst   = "burst"
	Outages = "outage"
	Real    = "real"
)

// Names are all of them, in the order they run. Real takes a minute or two of
// real time and is not among Quick.
var (
	Quick = []string{Days, Ladder, Costs, Faults, Burst, Outages}
	Names = append(slices.Clone(Quick), Real)
)

// Config says what to simulate, and how large.
type Config struct {
	// Only are names; empty means Quick.
	Only []string
	// Connections of the day and of the bill; zero means 10,000.
	Connections int
	// Hours are counted of the day, after WarmHours that are not; zero means 24 and 2.
	Hours, WarmHours float64
	// ChaosMinutes is how long faults last; zero means an hour.
	ChaosMinutes int
	// Bundle is how many connections one secret holds; zero means 1.
	Bundle int
	// Unlisted leaves the ledger of secrets' versions out of the day.
	Unlisted bool
	Seed     uint64
	// Progress is told where a long run is; nil tells nobody.
	Progress io.Writer
}

// Rows simulates and sets the figures beside the aims. An error is one of the
// simulation's own; what comes of the service is in the rows. The process has
// one processor while a virtual clock runs.
func Rows(ctx context.Context, c Config) ([]Row, error) {
	c = c.complete()
	parts := map[string]func(context.Context) ([]Row, error){
		Days: c.days, Ladder: c.ladder, Costs: c.costs, Faults: c.faults, Burst: c.burst, Outages: c.outages, Real: c.real,
	}
	var rows []Row
	for _, name := range c.Only {
		part, ok := parts[name]
		if !ok {
			return nil, fmt.Errorf("there is no simulation %q", name)
		}
		fmt.Fprintln(c.Progress, name)
		more, err := part(ctx)
		rows = append(rows, more...)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", name, err)
		}
	}
	return rows, nil
}

func (c Config) complete() Config {
	if len(c.Only) == 0 {
		c.Only = Quick
	}
	if c.Connections == 0 {
		c.Connections = 10_000
	}
	if c.Hours == 0 {
		c.Hours = 24
	}
	if c.WarmHours == 0 {
		c.WarmHours = 2
	}
	if c.ChaosMinutes == 0 {
		c.ChaosMinutes = 60
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c
}

// dayConfig is a day of one-hour tokens.
func (c Config) dayConfig(index Index) DayConfig {
	return DayConfig{
		Connections: c.Connections, Lifetime: time.Hour, Environments: 8, Index: index, Bundle: c.Bundle, Unlisted: c.Unlisted,
		Warmup: hours(c.WarmHours), Span: hours(c.Hours), Seed: c.Seed, Progress: c.Progress,
	}
}

func hours(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }

const ratioAim = 1.05

// days is the ratio of a day from the very first token, and of the day after
// the warm-up.
func (c Config) days(ctx context.Context) ([]Row, error) {
	d, err := RunDay(ctx, c.dayConfig(Wheel))
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("provider calls in %v, %s one-hour tokens, vs one per 75 %% of a lifetime", d.Span, number(float64(d.Connections)))
	return append([]Row{
		{What: what, Aim: fmt.Sprintf("≤ %v", ratioAim), Measured: fmt.Sprintf("%.3f (%d)", d.Ratio(), d.Calls), Pass: d.Ratio() <= ratioAim},
		{What: fmt.Sprintf("the same with the %v before it, in which every token is minted first", d.Warmup),
			Measured: fmt.Sprintf("%.3f (%d)", d.ColdRatio(), d.Cold)},
		{What: "callers served from memory / table / provider", Measured: fmt.Sprintf("%d / %d / %d",
			d.Vends[vending.FromMemory], d.Vends[vending.FromTable], d.Vends[vending.FromProvider])},
	}, d.bills()...), nil
}

// bills is what a month of such days costs.
func (d Day) bills() []Row {
	b, u := d.bill(), d.Usage
	rows := []Row{
		{What: "a month of the wheel's index", Measured: dollars(b.index) + ": " + d.perDay(u.Index)},
		{What: "a month of a scan per minute instead", Measured: fmt.Sprintf("%s: %d items, %s bytes", dollars(b.scan), d.Items, number(float64(d.Bytes)))},
		{What: "a month of the tokens' own items", Measured: dollars(b.items) + ": " + d.perDay(u.Items)},
		{What: "a month of the renewer's notes (cursors, ledger)", Measured: dollars(b.notes) + ": " + d.perDay(u.Notes)},
		{What: "a month of Secrets Manager", Measured: fmt.Sprintf("%s of calls (%d values, %d pages of lists in %v) + %s of %d secrets",
			dollars(b.calls), d.Loads, d.Lists, d.Span, dollars(b.secrets), d.Secrets)},
	}
	if len(d.Failed) > 0 {
		rows = append(rows, Row{What: "ticks' failures in a day without faults", Aim: "none", Measured: fmt.Sprint(d.Failed)})
	}
	return rows
}

// costs is the bill of an index on the time itself.
func (c Config) costs(ctx context.Context) ([]Row, error) {
	d, err := RunDay(ctx, c.dayConfig(TimeKeyed))
	if err != nil {
		return nil, err
	}
	return []Row{
		{What: fmt.Sprintf("a month of a time-keyed index instead, %s one-hour tokens", number(float64(d.Connections))),
			Measured: dollars(d.bill().index) + ": " + d.perDay(d.Usage.Index)},
		{What: "provider calls with it", Measured: fmt.Sprintf("%.3f (%d)", d.Ratio(), d.Calls)},
	}, nil
}

// ladder shows what the rungs cost other lifetimes.
func (c Config) ladder(ctx context.Context) ([]Row, error) {
	var rows []Row
	for _, lifetime := range []time.Duration{5 * time.Minute, 55 * time.Minute, 90 * time.Minute, 24 * time.Hour, 30 * 24 * time.Hour} {
		d, err := RunDay(ctx, DayConfig{
			Connections: 500, Lifetime: lifetime, Environments: 8, Unlisted: true, Seed: c.Seed, Progress: c.Progress,
			Warmup: max(2*lifetime, time.Hour), Span: max(4*lifetime, 12*time.Hour),
		})
		if err != nil {
			return rows, err
		}
		rows = append(rows, Row{What: fmt.Sprintf("provider calls, tokens of %v", lifetime), Measured: fmt.Sprintf("%.3f", d.Ratio())})
	}
	return rows, nil
}

// faults is an hour with a fifth of all requests failing.
func (c Config) faults(ctx context.Context) ([]Row, error) {
	h, err := RunChaos(ctx, ChaosConfig{
		Connections: 200, Callers: 400, Environments: 40, Span: time.Duration(c.ChaosMinutes) * time.Minute,
		Rate: 0.2, Seed: c.Seed, Progress: c.Progress,
	})
	if err != nil {
		return nil, err
	}
	for _, breach := range h.Breaches {
		fmt.Fprintln(c.Progress, "  breach:", breach)
	}
	for _, kind := range h.FaultKinds() {
		fmt.Fprintf(c.Progress, "  %6d %s\n", h.Faults[kind], kind)
	}
	return []Row{
		{What: fmt.Sprintf("%v of 20 %% faults, %d callers: expired or foreign tokens, unexplained calls, lasting illness", h.Span, h.Callers),
			Aim: "0", Measured: fmt.Sprint(len(h.Breaches)), Pass: len(h.Breaches) == 0},
		{What: "callers asked / served from memory, table, provider / of them stale", Measured: fmt.Sprintf("%d / %d, %d, %d / %d",
			h.Vends(), h.Served[vending.FromMemory], h.Served[vending.FromTable], h.Served[vending.FromProvider], h.Stale)},
		{What: "callers refused, by code; whose environment died", Measured: fmt.Sprintf("%v; %d", h.Failed, h.Unanswered)},
		{What: "provider calls / of them tokens / owed to faults", Measured: fmt.Sprintf("%d / %d / %d", h.Calls, h.Issued, h.Owed)},
		{What: "least life left of a token served; median and longest wait (simulated)", Measured: fmt.Sprintf("%v; %v and %v",
			h.LeastLeft.Round(time.Millisecond), h.Median.Round(time.Millisecond), h.Worst.Round(time.Millisecond))},
	}, nil
}

// loadConfig is the burst of the design.
var loadConfig = LoadConfig{Due: 5000, Hosts: 8, Latency: 300 * time.Millisecond, Poisoned: 1, Hanging: 10}

const burstAim = time.Minute

func (c Config) burst(ctx context.Context) ([]Row, error) {
	l, err := RunLoad(ctx, loadConfig)
	if err != nil {
		return nil, err
	}
	return []Row{l.row("simulated")}, nil
}

func (c Config) real(ctx context.Context) ([]Row, error) {
	fmt.Fprintln(c.Progress, "  real time: waits for the next full minute, then takes some 25 s")
	l, err := MeasureLoad(ctx, loadConfig)
	if err != nil {
		return nil, err
	}
	const grown = 16 << 20
	return []Row{l.row("real time, HTTP on loopback"), {
		What: "heap before / at most / after", Aim: "after ≤ before + 16 MiB",
		Measured: fmt.Sprintf("%.1f / %.1f / %.1f MiB", mebibytes(l.HeapBefore), mebibytes(l.HeapPeak), mebibytes(l.HeapAfter)),
		Pass:     l.HeapAfter <= l.HeapBefore+grown,
	}}, nil
}

func mebibytes(n uint64) float64 { return float64(n) / (1 << 20) }

func (l Load) row(how string) Row {
	return Row{
		What: fmt.Sprintf("%d due at once, %d hosts, %v each, %d poisoned, %d hanging (%s): all others renewed after",
			l.Due, l.Hosts, l.Latency, l.Poisoned, l.Hanging, how),
		Aim: "< " + burstAim.String(),
		Measured: fmt.Sprintf("%.1f s (%d of %d; at most %d at once, %d per host; whole tick %.1f s)",
			l.LastAfter.Seconds(), l.Renewed, l.Healthy(), l.AtOnce, l.PerHost, l.Tick.Seconds()),
		Pass: l.Renewed == l.Healthy() && l.LastAfter < burstAim,
	}
}

// outages are looked at after the first tick that follows.
func (c Config) outages(ctx context.Context) ([]Row, error) {
	var rows []Row
	for _, lasts := range []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour} {
		fmt.Fprintf(c.Progress, "  %v without a tick\n", lasts)
		o, err := RunOutage(ctx, OutageConfig{Connections: 1000, Before: 3 * time.Hour, Lasts: lasts, Seed: c.Seed})
		if err != nil {
			return rows, err
		}
		rows = append(rows, Row{
			What: fmt.Sprintf("first tick after %v without: due and missed / looked at twice / callers not served meanwhile", lasts),
			Aim:  "0 / 0 / 0",
			Measured: fmt.Sprintf("%d / %d / %d (%d due, %d renewed)",
				len(o.Missed), len(o.Twice), o.Unserved, o.Due, o.Renewed),
			Pass: len(o.Missed)+len(o.Twice)+o.Unserved == 0 && o.Due > 0,
		})
	}
	return rows, nil
}
