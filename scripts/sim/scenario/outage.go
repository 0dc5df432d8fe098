package scenario

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/pkg/wheel"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/cast"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/virtual"
)

// outageLifetimes are those of the tokens, in turn.
var outageLifetimes = []time.Duration{time.Hour, 6 * time.Minute, 24 * time.Hour, 90 * time.Minute}

// OutageConfig is a time without ticks, while callers go on asking.
type OutageConfig struct {
	Connections int
	// Before is how long everything works, Lasts how long no tick comes.
	Before, Lasts time.Duration
	Seed          uint64
}

// Outage is what the first tick after it made of it.
type Outage struct {
	OutageConfig
	// Due are tokens whose turn it had been in the meantime.
	Due int
	// Missed are those of them that it did not look at, and those that it looked
	// at and left although they would not last until their next turn. Twice are
	// slots that it asked for, and tokens that it looked at, more than once.
	Missed, Twice []string
	// Renewed is how many it renewed, Unserved callers who got no token at any time.
	Renewed, Unserved int
}

// outage is a run under way.
type outage struct {
	Outage
	clock   *virtual.Clock
	dice    *cast.Dice
	table   *memory.Store
	book    *cast.Book
	core    *vending.Core
	renewer *renewal.Renewer
	seen    *watched
	// nextUse is when each connection is asked for next.
	nextUse []time.Time
}

// RunOutage lives through it.
func RunOutage(ctx context.Context, c OutageConfig) (Outage, error) {
	o := &outage{Outage: Outage{OutageConfig: c}, clock: virtual.New(start), dice: cast.NewDice(c.Seed), table: memory.New(),
		nextUse: make([]time.Time, c.Connections),
		book: cast.NewBook(cast.BookConfig{Connections: c.Connections, Unlisted: true,
			Declare: func(n int) string { return cast.Declared(n, tokenURL) }})}
	provider := cast.NewProvider(cast.ProviderConfig{Clock: o.clock, Lifetime: func(clientID string) time.Duration {
		return outageLifetime(cast.Number(clientID))
	}})
	e := cast.Environment{Clock: o.clock, Store: o.table, Secrets: o.book, Minter: provider, Rand: o.dice, Sealer: cast.NewSealer()}
	o.core = e.Core()
	o.seen = &watched{Store: o.table, slots: map[string]int{}, keys: map[tokenstore.Key]int{}}
	e.Store = o.seen
	o.renewer = e.Renewer()
	for n := range o.nextUse {
		o.nextUse[n] = start.Add(o.dice.Around(outageLifetime(n)/usesPerLifetime, outageLifetime(n)))
	}
	if err := o.clock.Run(ctx, o.live); err != nil {
		return Outage{}, fmt.Errorf("an outage of %v: %w", c.Lasts, err)
	}
	return o.Outage, nil
}

func outageLifetime(n int) time.Duration { return outageLifetimes[n%len(outageLifetimes)] }

func (o *outage) live(ctx context.Context) error {
	at := start.Add(tickDelay)
	for ; at.Before(start.Add(o.Before)); at = at.Add(tickEvery) {
		if err := o.minute(ctx, at); err != nil {
			return err
		}
		o.renewer.Tick(ctx)
	}
	last := wheel.MinuteOf(at.Add(-tickEvery))
	for end := at.Add(o.Lasts); at.Before(end); at = at.Add(tickEvery) {
		if err := o.minute(ctx, at); err != nil {
			return err
		}
	}
	if err := o.minute(ctx, at); err != nil {
		return err
	}
	return o.catchUp(ctx, last)
}

// minute serves callers up to an instant; within it, their order is that of
// their connections.
func (o *outage) minute(ctx context.Context, until time.Time) error {
	for n := range o.nextUse {
		if o.nextUse[n].After(until) {
			continue
		}
		o.nextUse[n] = until.Add(o.dice.Around(outageLifetime(n)/usesPerLifetime, outageLifetime(n)))
		if _, err := o.core.Vend(ctx, vending.Request{Connection: o.book.Name(n), Caller: principal}); err != nil {
			o.Unserved++
		}
	}
	return o.clock.WaitUntil(ctx, until)
}

// catchUp runs the first tick and compares what it did with what was due since
// the last minute that had one.
func (o *outage) catchUp(ctx context.Context, last wheel.Minute) error {
	now := o.clock.Now()
	before := map[tokenstore.Key]tokenstore.Item{}
	for n := range o.Connections {
		item, err := o.table.Get(ctx, tokenstore.Key{Connection: string(o.book.Name(n))}, true)
		if err != nil {
			return err
		}
		before[item.Key] = item
	}
	o.seen.reset()
	o.Renewed = o.renewer.Tick(ctx).Renewed
	slots, looks := o.seen.counts()
	o.Twice = append(repeated(slots), repeated(byName(looks))...)
	for key, item := range before {
		next, turned := turns(item.RenewSlot, last, wheel.MinuteOf(now))
		if !turned {
			continue
		}
		o.Due++
		after, err := o.table.Get(ctx, key, true)
		if err != nil {
			return err
		}
		if looks[key] == 0 {
			o.Missed = append(o.Missed, key.Connection+" was not looked at")
		} else if owed(item, now, next) && after.Version == item.Version {
			o.Missed = append(o.Missed, key.Connection+" was left to expire")
		}
	}
	return nil
}

// owed reports whether a token must be replaced now: somebody uses it, it is
// still valid, and within a minute of the next turn it could not be served. It
// says less than the service's own rule, on purpose: what it asks for is owed
// under any rule.
func owed(item tokenstore.Item, now, next time.Time) bool {
	valid := item.Token.ExpiresAt.After(now)
	return item.Used && valid && item.Token.ExpiresAt.Before(next.Add(time.Minute))
}

// turns works out by itself whether a slot had its turn after last and up to
// now, and when it has the next.
func turns(slot string, last, now wheel.Minute) (next time.Time, turned bool) {
	parts := strings.Split(slot, "/")
	cycle, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || len(parts) != 3 {
		return time.Time{}, false
	}
	for minute := last + 1; minute <= now+wheel.Minute(cycle); minute++ {
		switch turn := strconv.FormatInt(int64(minute)%cycle, 10) == parts[1]; {
		case turn && minute <= now:
			turned = true
		case turn:
			return minute.Start(), turned
		}
	}
	return time.Time{}, turned
}

func repeated(counts map[string]int) []string {
	var twice []string
	for name, n := range counts {
		if n > 1 {
			twice = append(twice, fmt.Sprintf("%s: %d times", name, n))
		}
	}
	return twice
}

func byName(looks map[tokenstore.Key]int) map[string]int {
	named := make(map[string]int, len(looks))
	for key, n := range looks {
		named[key.Connection] = n
	}
	return named
}

// watched notes what the renewer asks for.
type watched struct {
	*memory.Store

	mu    sync.Mutex
	slots map[string]int
	keys  map[tokenstore.Key]int
}

// Due notes the slot, once for all its pages.
func (w *watched) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	if next == "" {
		w.mu.Lock()
		w.slots[slot]++
		w.mu.Unlock()
	}
	return w.Store.Due(ctx, slot, next)
}

// Get notes the key.
func (w *watched) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	w.mu.Lock()
	w.keys[key]++
	w.mu.Unlock()
	return w.Store.Get(ctx, key, consistent)
}

func (w *watched) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots, w.keys = map[string]int{}, map[tokenstore.Key]int{}
}

func (w *watched) counts() (slots map[string]int, keys map[tokenstore.Key]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slots, w.keys
}
