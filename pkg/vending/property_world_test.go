package vending_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// world is a fleet under a scheduler. Every call that a process makes (to the
// table, the provider, the source of secrets) and every pause stops at a gate,
// and only the script opens gates, one at a time. The world lives in a synctest
// bubble merely to know when everything has come to rest again: the bubble's own
// time never moves, and time is a number that the script advances. So one script
// is one interleaving.
type world struct {
	begin  time.Time
	table  vending.Store // what processes are given: the truth, or a broken promise
	truth  *memory.Store // what is stored
	past   *replicas     // what replicas may still answer
	vault  *vault        // secrets, by version
	idp    *provider     // the provider
	oracle *oracle       // judges everything that happens
	fleet  []*processUnderTest
	turn   int      // counts what happened: several things happen at one time
	trace  []string // what happened, a line each
	// answers are what callers got: a token's text, or the code of an error.
	answers map[*operation]string

	mu      sync.Mutex // over now, waiting and operations' ends
	now     time.Time
	waiting []*gate
	ops     []*operation
	seed    uint64
}

// processUnderTest is one execution environment.
type processUnderTest struct {
	name   string
	core   *vending.Core
	offset time.Duration // of its wall clock
	frozen bool
	dead   bool
	// laggedAt is when it last learned something that was no longer news: it
	// may believe that for as long as its memory lasts from then on.
	laggedAt time.Time
	// aloneAt is, per key, its clock when it last minted without a lease.
	aloneAt map[string]time.Time
}

// operation is one request to one process, run as a coroutine.
type operation struct {
	id        int
	process   *processUnderTest
	text      string
	begunTurn int
	endedTurn int    // zero until then
	key       string // operations on one key share refreshes within a process
	cancel    context.CancelFunc
	ended     bool
	left      bool   // its caller did not wait for the answer
	judge     func() // looks at the result, on the scheduler's side
	request   vending.Request
	replacing bool // it wants another token than the one it last read
	facts
}

// facts are what the oracle notes of an operation under way.
type facts struct {
	storeFailed bool          // a call to the table failed
	failedAt    time.Time     // by the process's clock, the last time
	stepped     bool          // the process's clock was set meanwhile
	stalled     time.Duration // at calls, in all
	read        string        // id of the token it last read
	loaded      int           // number of the version of the secret it last loaded
	hold        *holding
	asks        int // to the provider, outside a lease
}

// gate is where a coroutine waits for the script.
type gate struct {
	op     *operation
	what   string
	since  time.Time
	wakeAt time.Time // of a pause
	open   chan verdict
}

// verdict is what becomes of a call.
type verdict int

const (
	whole    verdict = iota // carried out and answered
	half                    // carried out; the answer has a gate of its own
	refused                 // not carried out
	lost                    // carried out, and the answer lost
	repeated                // carried out twice, as a client does that lost the first answer
	outdated                // answered by a replica that lags behind
	died                    // the process has crashed
)

var verdictNames = [...]string{"", " (answer under way)", " refused", " answer lost", " repeated", " from an old replica", " died"}

type operationKey struct{}

func newWorld(s setting, broken func(*world) vending.Store) *world {
	w := &world{
		begin: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), truth: memory.New(), seed: s.seed,
		answers: map[*operation]string{},
	}
	w.now = w.begin
	w.past = newReplicas(w)
	w.vault = newVault(w)
	w.idp = newProvider(w, s.lifetime)
	w.oracle = newOracle(w)
	w.table = w.truth
	if broken != nil {
		w.table = broken(w)
	}
	for _, name := range connections {
		w.vault.put(name, s.early)
	}
	for _, offset := range s.offsets {
		w.boot(offset)
	}
	return w
}

// boot adds a cold process.
func (w *world) boot(offset time.Duration) *processUnderTest {
	p := &processUnderTest{name: fmt.Sprintf("p%d", len(w.fleet)+1), offset: offset, aloneAt: map[string]time.Time{}}
	p.core = w.newCore(p)
	w.fleet = append(w.fleet, p)
	return p
}

func (w *world) newCore(p *processUnderTest) *vending.Core {
	clock := func() time.Time { return w.clock(p) }
	w.seed++
	return vending.New(vending.Config{
		Store:   &tablePort{w: w},
		Secrets: &secretPort{w: w, cache: clientsecret.NewCache(clientsecret.CacheConfig{Source: &vaultPort{w: w}, Now: clock})},
		Minter:  &providerPort{w: w, clock: clock}, Revoker: &providerPort{w: w, clock: clock},
		Sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.New(`{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`), nil
		}}),
		Now: clock, Wait: w.pause, Rand: rand.NewChaCha8([32]byte{byte(w.seed), byte(w.seed >> 8), byte(w.seed >> 16)}),
	})
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// clock is the wall clock of a process.
func (w *world) clock(p *processUnderTest) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.Add(p.offset)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// note writes one line of the trace.
func (w *world) note(format string, args ...any) {
	w.turn++
	at := w.time().Sub(w.begin).Seconds()
	w.trace = append(w.trace, fmt.Sprintf("%8.1fs  ", at)+fmt.Sprintf(format, args...))
}

// start begins an operation. work runs as a coroutine and returns how to judge
// its result.
func (w *world) start(op *operation, work func(context.Context) func()) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), operationKey{}, op))
	op.id, op.cancel, op.begunTurn = len(w.ops)+1, cancel, w.turn
	w.ops = append(w.ops, op)
	w.note("%s #%d %s", op.process.name, op.id, op.text)
	go func() {
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			op.ended = true
		}()
		judge := work(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		op.judge = judge
	}()
	w.settle()
}

// stop makes a coroutine wait at a gate, and returns what the script decides.
func (w *world) stop(ctx context.Context, what string, pause time.Duration) verdict {
	op := ctx.Value(operationKey{}).(*operation)
	g := &gate{op: op, what: what, open: make(chan verdict)}
	w.mu.Lock()
	if op.process.dead {
		w.mu.Unlock()
		runtime.Goexit()
	}
	if pause > 0 {
		g.wakeAt = w.now.Add(pause)
	}
	w.waiting = append(w.waiting, g)
	g.since = w.now
	w.mu.Unlock()
	v := <-g.open
	op.stalled += w.time().Sub(g.since)
	if v == died {
		runtime.Goexit()
	}
	return v
}

// pause is a process's Wait.
func (w *world) pause(ctx context.Context, d time.Duration) error {
	w.stop(ctx, "wait", d)
	return ctx.Err()
}

// call takes one call through its gates.
func call[T any](ctx context.Context, w *world, what string, carryOut func(verdict) (T, error), failure error) (T, error) {
	var none T
	v := w.stop(ctx, what, 0)
	if v == refused {
		return none, failure
	}
	result, err := carryOut(v)
	appliedAt := w.time()
	if v == half {
		v = w.stop(ctx, what+" answer", 0)
	}
	switch v {
	case lost, refused:
		return none, failure
	case repeated:
		result, err = carryOut(v)
	}
	op := ctx.Value(operationKey{}).(*operation)
	if now := w.time(); now.Sub(appliedAt) > time.Second {
		op.process.laggedAt = now
	}
	return result, err
}

// settle waits until everything has come to rest, and judges what has ended.
func (w *world) settle() {
	synctest.Wait()
	slices.SortStableFunc(w.waiting, func(a, b *gate) int { return a.op.id - b.op.id })
	for _, op := range w.ops {
		if op.ended && op.endedTurn == 0 {
			op.endedTurn = w.turn
		}
		if op.ended && op.judge != nil {
			if !op.process.dead {
				op.judge()
			}
			op.judge = nil
		}
	}
}

// runnable are the gates that may be opened, in a stable order.
func (w *world) runnable() []*gate {
	var gates []*gate
	for _, g := range w.waiting {
		if !g.op.process.frozen {
			gates = append(gates, g)
		}
	}
	return gates
}

// open lets one coroutine go on to its next gate.
func (w *world) open(g *gate, v verdict) {
	w.waiting = slices.DeleteFunc(w.waiting, func(other *gate) bool { return other == g })
	if v == died {
		g.open <- v
		w.settle()
		return
	}
	if !g.wakeAt.IsZero() {
		v = whole
		w.advance(max(g.wakeAt.Sub(w.time()), 0))
	}
	w.note("%s #%d   %s%s", g.op.process.name, g.op.id, g.what, verdictNames[v])
	g.open <- v
	w.settle()
}

// finish opens the gates of one operation until it is done.
func (w *world) finish(op *operation) {
	for range gatesPerOperation {
		at := slices.IndexFunc(w.waiting, func(g *gate) bool { return g.op == op })
		if at < 0 || op.process.frozen || w.oracle.found != "" {
			return
		}
		w.open(w.waiting[at], whole)
	}
	w.oracle.violated("INV-7", "#%d %s comes to no end", op.id, op.text)
}

// gatesPerOperation is more than any operation needs.
const gatesPerOperation = 400

// crash ends a process with all that it is doing, and starts another in its place.
func (w *world) crash(p *processUnderTest) {
	w.kill(p)
	fresh := &processUnderTest{name: p.name + "'", offset: p.offset, aloneAt: map[string]time.Time{}}
	fresh.core = w.newCore(fresh)
	w.fleet[slices.Index(w.fleet, p)] = fresh
}

func (w *world) kill(p *processUnderTest) {
	w.mu.Lock()
	p.dead = true
	w.mu.Unlock()
	for {
		at := slices.IndexFunc(w.waiting, func(g *gate) bool { return g.op.process == p })
		if at < 0 {
			return
		}
		w.open(w.waiting[at], died)
	}
}

// end stops every coroutine, so that the bubble can be left.
func (w *world) end() {
	for _, op := range w.ops {
		w.kill(op.process)
		op.cancel()
	}
	synctest.Wait()
}

// stalled is how long an operation's answer may have been under way: it may be
// that of another whose refresh it shared.
func (w *world) stalled(op *operation) time.Duration {
	longest := op.stalled
	for _, other := range w.ops {
		overlap := other.endedTurn == 0 || other.endedTurn >= op.begunTurn
		if other.process == op.process && other.key == op.key && overlap {
			longest = max(longest, other.stalled)
		}
	}
	for _, g := range w.waiting {
		if g.op.process == op.process && g.op.key == op.key {
			longest = max(longest, g.op.stalled+w.time().Sub(g.since))
		}
	}
	return longest
}

// busy counts the requests for a key that a process has not answered, refreshes
// included that go on after their caller has left.
func (w *world) busy(p *processUnderTest, key string) int {
	n := 0
	for _, op := range w.ops {
		unfinished := !op.ended || slices.ContainsFunc(w.waiting, func(g *gate) bool { return g.op == op })
		if op.process == p && op.key == key && unfinished {
			n++
		}
	}
	return n
}
