package vending_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/vending"
)

// scheduler runs a fleet. Every call that a process makes (to the table, the
// provider, the source of secrets) and every pause stops at a gate, and only the
// script opens gates, one at a time. It runs in a synctest bubble only to know
// when all goroutines are blocked again; time is a number that the script
// advances. So one script is one interleaving.
type scheduler struct {
	begin time.Time
	fleet []*processUnderTest
	turn  int      // counts what happened: several things happen at one time
	trace []string // what happened, a line each
	// found is the first violation of an invariant; what follows it is meaningless.
	found string
	// newCore is what a process runs.
	newCore func(*processUnderTest) *vending.Core
	// limit, when set, is how long an operation's context lives; the bubble's time
	// then follows the script's. Otherwise it stops, as the monotonic clock of a frozen
	// environment may do, and no context ever ends.
	limit time.Duration

	mu      sync.Mutex // over now, waiting and operations' ends
	now     time.Time
	waiting []*gate
	ops     []*operation
}

func newScheduler() *scheduler {
	begin := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	return &scheduler{begin: begin, now: begin}
}

// violated keeps the first violation.
func (s *scheduler) violated(invariant, format string, args ...any) {
	if s.found == "" {
		s.found = invariant + ": " + fmt.Sprintf(format, args...)
		s.note("VIOLATED %s", s.found)
	}
}

// processUnderTest is one execution environment.
type processUnderTest struct {
	name   string
	core   *vending.Core
	offset time.Duration // of its wall clock
	frozen bool
	dead   bool
	// laggedAt is when it last received outdated information, which it may cache from
	// then on.
	laggedAt time.Time
	// withoutLeaseAt is, per key, its clock when it last minted without a lease.
	withoutLeaseAt map[string]time.Time
}

// operation is one request to one process, run as a coroutine.
type operation struct {
	id        int
	process   *processUnderTest
	text      string
	begunTurn int
	begunAt   time.Time
	endedTurn int    // zero until then
	key       string // operations on one key share refreshes within a process
	cancel    context.CancelFunc
	ended     bool
	left      bool   // its caller did not wait for the answer
	check     func() // looks at the result, on the scheduler's side
	request   vending.Request
	replacing bool // it needs another token than the one it last read
	facts
}

// facts are what the oracle records of an operation in progress.
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
	open   chan outcome
}

// outcome is the result of a call.
type outcome int

const (
	completed outcome = iota // carried out and answered
	halfway                  // carried out; the response has a gate of its own
	refused                  // not carried out
	lost                     // carried out, and the response lost
	repeated                 // carried out twice, as by a client that lost the first response
	outdated                 // answered by a lagging replica
	died                     // the process has crashed
)

var outcomeNames = [...]string{"", " (answer under way)", " refused", " answer lost", " repeated", " from an old replica", " died"}

type operationKey struct{}

// boot adds a cold process.
func (s *scheduler) boot(offset time.Duration) *processUnderTest {
	p := &processUnderTest{name: fmt.Sprintf("p%d", len(s.fleet)+1), offset: offset, withoutLeaseAt: map[string]time.Time{}}
	p.core = s.newCore(p)
	s.fleet = append(s.fleet, p)
	return p
}

func (s *scheduler) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// clock is the wall clock of a process.
func (s *scheduler) clock(p *processUnderTest) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.Add(p.offset)
}

func (s *scheduler) advance(d time.Duration) {
	s.mu.Lock()
	s.now = s.now.Add(d)
	s.mu.Unlock()
	if s.limit > 0 && d > 0 {
		time.Sleep(d) // the bubble's: contexts end meanwhile
		s.settle()
	}
}

// note writes one line of the trace.
func (s *scheduler) note(format string, args ...any) {
	s.turn++
	at := s.time().Sub(s.begin).Seconds()
	s.trace = append(s.trace, fmt.Sprintf("%8.1fs  ", at)+fmt.Sprintf(format, args...))
}

// start begins an operation. work runs as a coroutine and returns how to check
// its result.
func (s *scheduler) start(op *operation, work func(context.Context) func()) {
	ctx, cancel := s.lifetime(context.WithValue(context.Background(), operationKey{}, op))
	op.id, op.cancel, op.begunTurn, op.begunAt = len(s.ops)+1, cancel, s.turn, s.time()
	s.ops = append(s.ops, op)
	s.note("%s #%d %s", op.process.name, op.id, op.text)
	go func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			op.ended = true
		}()
		check := work(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		op.check = check
	}()
	s.settle()
}

func (s *scheduler) lifetime(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.limit > 0 {
		return context.WithTimeout(ctx, s.limit)
	}
	return context.WithCancel(ctx)
}

// stop makes a coroutine wait at a gate, and returns what the script decides.
func (s *scheduler) stop(ctx context.Context, what string, pause time.Duration) outcome {
	op := ctx.Value(operationKey{}).(*operation)
	g := &gate{op: op, what: what, open: make(chan outcome)}
	s.mu.Lock()
	if op.process.dead {
		s.mu.Unlock()
		runtime.Goexit()
	}
	if pause > 0 {
		g.wakeAt = s.now.Add(pause)
	}
	s.waiting = append(s.waiting, g)
	g.since = s.now
	s.mu.Unlock()
	v := <-g.open
	op.stalled += s.time().Sub(g.since)
	if v == died {
		runtime.Goexit()
	}
	return v
}

// pause is a process's Wait.
func (s *scheduler) pause(ctx context.Context, d time.Duration) error {
	s.stop(ctx, "wait", d)
	return ctx.Err()
}

// call runs one call through its gates.
func call[T any](ctx context.Context, s *scheduler, what string, carryOut func(outcome) (T, error), failure error) (T, error) {
	var none T
	v := s.stop(ctx, what, 0)
	if v == refused {
		return none, failure
	}
	result, err := carryOut(v)
	appliedAt := s.time()
	if v == halfway {
		v = s.stop(ctx, what+" answer", 0)
	}
	switch v {
	case lost, refused:
		return none, failure
	case repeated:
		result, err = carryOut(v)
	}
	op := ctx.Value(operationKey{}).(*operation)
	if now := s.time(); now.Sub(appliedAt) > time.Second {
		op.process.laggedAt = now
	}
	return result, err
}

// settle waits until all goroutines are blocked, and checks what has ended.
func (s *scheduler) settle() {
	synctest.Wait()
	slices.SortStableFunc(s.waiting, func(a, b *gate) int { return a.op.id - b.op.id })
	for _, op := range s.ops {
		if op.ended && op.endedTurn == 0 {
			op.endedTurn = s.turn
		}
		if op.ended && op.check != nil {
			if !op.process.dead {
				op.check()
			}
			op.check = nil
		}
	}
}

// runnable are the gates that may be opened, in a stable order.
func (s *scheduler) runnable() []*gate {
	var gates []*gate
	for _, g := range s.waiting {
		if !g.op.process.frozen {
			gates = append(gates, g)
		}
	}
	return gates
}

// open runs one coroutine to its next gate.
func (s *scheduler) open(g *gate, v outcome) {
	s.waiting = slices.DeleteFunc(s.waiting, func(other *gate) bool { return other == g })
	if v == died {
		g.open <- v
		s.settle()
		return
	}
	if !g.wakeAt.IsZero() {
		v = completed
		s.advance(max(g.wakeAt.Sub(s.time()), 0))
	}
	s.note("%s #%d   %s%s", g.op.process.name, g.op.id, g.what, outcomeNames[v])
	g.open <- v
	s.settle()
}

// finish opens the gates of one operation until it is done.
func (s *scheduler) finish(op *operation) {
	for range gatesPerOperation {
		at := slices.IndexFunc(s.waiting, func(g *gate) bool { return g.op == op })
		if at < 0 || op.process.frozen || s.found != "" {
			return
		}
		s.open(s.waiting[at], completed)
	}
	s.violated("INV-7", "#%d %s comes to no end", op.id, op.text)
}

// gatesPerOperation is more than any operation needs.
const gatesPerOperation = 400

// crash kills a process and starts another in its place.
func (s *scheduler) crash(p *processUnderTest) {
	s.kill(p)
	fresh := &processUnderTest{name: p.name + "'", offset: p.offset, withoutLeaseAt: map[string]time.Time{}}
	fresh.core = s.newCore(fresh)
	s.fleet[slices.Index(s.fleet, p)] = fresh
}

func (s *scheduler) kill(p *processUnderTest) {
	s.mu.Lock()
	p.dead = true
	s.mu.Unlock()
	for {
		at := slices.IndexFunc(s.waiting, func(g *gate) bool { return g.op.process == p })
		if at < 0 {
			return
		}
		s.open(s.waiting[at], died)
	}
}

// end stops every coroutine, so that the bubble can be left.
func (s *scheduler) end() {
	for _, op := range s.ops {
		s.kill(op.process)
		op.cancel()
	}
	synctest.Wait()
}

// stalled is how long an operation's result may have been delayed: it may be that of
// another operation whose refresh it shared.
func (s *scheduler) stalled(op *operation) time.Duration {
	longest := op.stalled
	for _, other := range s.ops {
		overlap := other.endedTurn == 0 || other.endedTurn >= op.begunTurn
		if other.process == op.process && other.key == op.key && overlap {
			longest = max(longest, other.stalled)
		}
	}
	for _, g := range s.waiting {
		if g.op.process == op.process && g.op.key == op.key {
			longest = max(longest, g.op.stalled+s.time().Sub(g.since))
		}
	}
	return longest
}

// busy counts the unfinished requests for a key in a process, with the refreshes
// that continue after their caller has left.
func (s *scheduler) busy(p *processUnderTest, key string) int {
	n := 0
	for _, op := range s.ops {
		unfinished := !op.ended || slices.ContainsFunc(s.waiting, func(g *gate) bool { return g.op == op })
		if op.process == p && op.key == key && unfinished {
			n++
		}
	}
	return n
}
