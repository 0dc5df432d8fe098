package renewals

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// OutageConfig is a time without ticks in which callers continue to ask.
type OutageConfig struct {
	Connections int
	// Before is how long everything works, Lasts is how long no tick comes.
	Before, Lasts time.Duration
}

// Outage is what the first tick after it did.
type Outage struct {
	OutageConfig
	// Due tokens were due during the outage; Renewed of them were renewed.
	Due, Renewed int
	// Missed are due tokens that the tick did not read, or left to expire. Twice
	// are slots queried, and tokens read, more than once.
	Missed, Twice []string
	// Unserved are callers without a token, at any time.
	Unserved int
}

// lifetimeOf gives tokens of several rungs of the wheel's ladder.
func lifetimeOf(n int) time.Duration {
	return []time.Duration{time.Hour, 6 * time.Minute, 24 * time.Hour, 90 * time.Minute}[n%4]
}

// RunOutage compares what the first tick reads and renews with what was due.
func RunOutage(ctx context.Context, c OutageConfig) (Outage, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	store := &watched{Store: memory.New()}
	s := newService(store, c.Connections, 1, lifetimeOf)
	wait := s.call(ctx)
	s.ticks(ctx, c.Before)
	last := wheel.MinuteOf(time.Now())
	pause(ctx, c.Lasts)
	before, err := items(ctx, store.Store, c.Connections)
	if err != nil {
		return Outage{}, err
	}
	store.watch()
	o := Outage{OutageConfig: c, Renewed: s.tick(ctx).Renewed, Twice: store.repeated()}
	after, err := items(ctx, store.Store, c.Connections)
	if err != nil {
		return Outage{}, err
	}
	o.compare(store, before, after, last)
	cancel()
	wait()
	o.Unserved = s.unserved
	return o, nil
}

func items(ctx context.Context, store *memory.Store, connections int) (all []tokenstore.Item, err error) {
	for n := range connections {
		item, err := store.Get(ctx, tokenstore.Key{Connection: secretName(n)}, true)
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

// compare computes what was due minute by minute; the renewer computes several
// minutes at once.
func (o *Outage) compare(store *watched, before, after []tokenstore.Item, last wheel.Minute) {
	due := map[string]bool{}
	now := wheel.MinuteOf(time.Now())
	for minute := last + 1; minute <= now; minute++ {
		for shard := range wheel.Shards {
			for _, slot := range wheel.DueSlots(shard, minute-1, minute) {
				due[slot] = true
			}
		}
	}
	for n, item := range before {
		if !due[item.RenewSlot] {
			continue
		}
		o.Due++
		if store.keys[item.Key] == 0 {
			o.Missed = append(o.Missed, item.Key.Connection+" was not read")
		} else if owed(item, time.Now()) && after[n].Version == item.Version {
			o.Missed = append(o.Missed, item.Key.Connection+" was left to expire")
		}
	}
}

// owed reports whether a token must be renewed now: it is in use and valid, and
// expires within a minute of its slot's next turn. The service renews more than
// this.
func owed(item tokenstore.Item, now time.Time) bool {
	next, _ := wheel.NextVisit(item.RenewSlot, now)
	return item.Used && item.Token.ExpiresAt.After(now) && item.Token.ExpiresAt.Before(next.Add(time.Minute))
}

// watched counts queries of slots and reads of items.
type watched struct {
	*memory.Store

	mu    sync.Mutex
	slots map[string]int
	keys  map[tokenstore.Key]int
}

// watch begins the counts.
func (w *watched) watch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots, w.keys = map[string]int{}, map[tokenstore.Key]int{}
}

// Due counts a slot once for all its pages.
func (w *watched) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	w.mu.Lock()
	if w.slots != nil && next == "" {
		w.slots[slot]++
	}
	w.mu.Unlock()
	return w.Store.Due(ctx, slot, next)
}

// Get counts the key.
func (w *watched) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	w.read(key)
	return w.Store.Get(ctx, key, consistent)
}

// GetWithDeclaration counts the key.
func (w *watched) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	w.read(key)
	return w.Store.GetWithDeclaration(ctx, key, consistent)
}

func (w *watched) read(key tokenstore.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys != nil {
		w.keys[key]++
	}
}

// repeated returns what was asked for more than once.
func (w *watched) repeated() (twice []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for slot, n := range w.slots {
		if n > 1 {
			twice = append(twice, fmt.Sprintf("slot %s: %d times", slot, n))
		}
	}
	for key, n := range w.keys {
		if n > 1 {
			twice = append(twice, fmt.Sprintf("%s: %d times", key.Connection, n))
		}
	}
	return twice
}
