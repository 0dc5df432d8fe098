package scenario

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/pkg/wheel"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/cast"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/virtual"
)

// LoadConfig is one tick with much to do.
type LoadConfig struct {
	// Due connections have their turn at once, evenly over Hosts providers that
	// take Latency each. Of them the first Poisoned are refused always, and the
	// next Hanging never answered; they are all on the same few hosts.
	Due, Hosts        int
	Latency           time.Duration
	Poisoned, Hanging int
}

// Load is what came of it.
type Load struct {
	LoadConfig
	// Renewed of the healthy ones, the last of them LastAfter the tick began;
	// the tick itself took Tick.
	Renewed   int
	LastAfter time.Duration
	Tick      time.Duration
	Run       audit.Run
	// AtOnce and PerHost are the most requests that were under way together.
	AtOnce, PerHost int
	// HeapBefore, HeapPeak and HeapAfter are live bytes before the tick, the
	// most seen during it, and after it. Only the run in real time takes them.
	HeapBefore, HeapPeak, HeapAfter uint64
}

// Healthy is how many should be renewed.
func (c LoadConfig) Healthy() int { return c.Due - c.Poisoned - c.Hanging }

// poisoned and hanging say how the provider treats connection n.
func (c LoadConfig) poisoned(n int) bool { return n < c.Poisoned }

func (c LoadConfig) hanging(n int) bool { return n >= c.Poisoned && n < c.Poisoned+c.Hanging }

// load is a run under way.
type load struct {
	Load
	clock   cast.Clock
	table   *memory.Store
	book    *cast.Book
	gauge   *gauge
	core    *vending.Core
	renewer *renewal.Renewer
}

func newLoad(c LoadConfig, e cast.Environment, urls []string, asked vending.Minter) *load {
	l := &load{Load: Load{LoadConfig: c}, clock: e.Clock, table: memory.New(), gauge: &gauge{minter: asked, perHost: map[string]int{}}}
	l.book = cast.NewBook(cast.BookConfig{Connections: c.Due, Unlisted: true, Declare: func(n int) string {
		return cast.Declared(n, urls[n%len(urls)])
	}})
	e.Store, e.Secrets, e.Minter, e.Rand, e.Sealer = l.table, l.book, l.gauge, cast.NewDice(1), cast.NewSealer()
	l.core, l.renewer = e.Core(), e.Renewer()
	return l
}

// RunLoad does it on a virtual clock.
func RunLoad(ctx context.Context, c LoadConfig) (Load, error) {
	clock := virtual.New(start)
	var urls []string
	for host := range c.Hosts {
		urls = append(urls, fmt.Sprintf("https://idp-%d.example.com/token", host))
	}
	ready := false
	provider := cast.NewProvider(cast.ProviderConfig{Clock: clock, Lifetime: func(string) time.Duration { return time.Hour },
		Conduct: func(clientID string) cast.Conduct {
			switch n := cast.Number(clientID); {
			case !ready:
				return cast.Conduct{}
			case c.poisoned(n):
				return cast.Conduct{After: c.Latency, Status: http.StatusBadRequest}
			case c.hanging(n):
				return cast.Conduct{After: time.Hour}
			}
			return cast.Conduct{After: c.Latency}
		}})
	l := newLoad(c, cast.Environment{Clock: clock}, urls, provider)
	err := clock.Run(ctx, func(ctx context.Context) error {
		if err := l.prepare(ctx); err != nil {
			return err
		}
		ready = true
		if err := clock.Wait(ctx, tickEvery); err != nil {
			return err
		}
		return l.tick(ctx)
	})
	if err != nil {
		return Load{}, fmt.Errorf("%d due at once: %w", c.Due, err)
	}
	return l.Load, nil
}

// prepare mints every token and puts them all into the slot of this minute.
func (l *load) prepare(ctx context.Context) error {
	l.renewer.Tick(ctx) // sets the cursors: what comes to lie behind them is made up
	slot := wheel.MinuteOf(l.clock.Now()).Start().Add(tickEvery)
	var g errgroup.Group
	g.SetLimit(64)
	for n := range l.Due {
		g.Go(func() error {
			key := tokenstore.Key{Connection: string(l.book.Name(n))}
			if _, err := l.core.Vend(ctx, vending.Request{Connection: l.book.Name(n), Caller: principal}); err != nil {
				return fmt.Errorf("mint the token of %s: %w", key.Connection, err)
			}
			item, err := l.table.Get(ctx, key, true)
			if err != nil {
				return err
			}
			return l.table.Reslot(ctx, key, item.RenewSlot, vending.RetrySlot(key, slot))
		})
	}
	return g.Wait()
}

// tick runs the tick and looks at what it left behind.
func (l *load) tick(ctx context.Context) error {
	l.gauge.reset()
	began := l.clock.Now()
	l.Run = l.renewer.Tick(ctx)
	l.Tick = l.clock.Now().Sub(began)
	l.AtOnce, l.PerHost = l.gauge.most()
	for n := range l.Due {
		item, err := l.table.Get(ctx, tokenstore.Key{Connection: string(l.book.Name(n))}, true)
		if err != nil {
			return err
		}
		if item.Version != 2 || l.poisoned(n) || l.hanging(n) {
			continue
		}
		l.Renewed++
		l.LastAfter = max(l.LastAfter, item.Token.MintedAt.Add(l.Latency).Sub(began))
	}
	return nil
}

// gauge counts requests under way.
type gauge struct {
	minter vending.Minter

	mu             sync.Mutex
	now            int
	perHost        map[string]int
	peak, hostPeak int
}

// Token asks and counts.
func (g *gauge) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	host := ""
	if u, err := url.Parse(r.TokenURL); err == nil {
		host = u.Host
	}
	g.add(host, 1)
	defer g.add(host, -1)
	return g.minter.Token(ctx, r)
}

func (g *gauge) add(host string, change int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += change
	g.perHost[host] += change
	g.peak, g.hostPeak = max(g.peak, g.now), max(g.hostPeak, g.perHost[host])
}

func (g *gauge) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peak, g.hostPeak = 0, 0
}

func (g *gauge) most() (atOnce, perHost int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peak, g.hostPeak
}

// liveHeap is what is in use after collecting what is not.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
