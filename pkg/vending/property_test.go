package vending_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// TestProtocol runs random scripts: processes that share one table and one
// provider, every order of their steps, and every fault between them. Run more of
// them with -rapid.checks=100000.
func TestProtocol(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := scripts().Draw(rt, "script")
		found, trace := play(t, s, nil)
		if found != "" {
			rt.Fatalf("%s\n%s", found, strings.Join(trace, "\n"))
		}
	})
}

// setting is fixed for a whole script.
type setting struct {
	lifetime time.Duration
	early    bool
	offsets  []time.Duration
	seed     uint64
}

// script is a setting and steps in bursts, which shrink better than one list.
type script struct {
	setting
	bursts [][]step
}

// step is one thing that happens. who and arg choose among what is there.
type step struct {
	act      action
	who, arg int
}

// action is a kind of step. The first are the simplest, for shrinking.
type action int

const (
	vend action = iota
	finish
	next
	nextHalf
	nextRefused
	nextLost
	nextRepeated
	nextOutdated
	advance
	crash
	freeze
	thaw
	reject
	renew
	forget
	reconcile
	edit
	fail
	setClock
	leave
	actions
)

// weights weigh the actions. A script uses one of these mixes, because some bugs need many
// steps of few kinds.
var weights = [...][actions]int{
	{ // anything
		vend: 12, finish: 10, next: 14, nextHalf: 5, nextRefused: 2, nextLost: 2, nextRepeated: 2, nextOutdated: 3,
		advance: 10, crash: 2, freeze: 1, thaw: 1, reject: 3, renew: 3, forget: 2, reconcile: 3, edit: 4, fail: 4, setClock: 1, leave: 1,
	},
	{ // contention: leases expire, are taken over, and their holders come back
		vend: 12, finish: 3, next: 30, nextHalf: 3, nextRepeated: 2, advance: 8, crash: 2, reject: 3, renew: 3, forget: 5, fail: 1,
	},
	{ // change: declarations change while tokens are minted
		vend: 12, finish: 8, next: 20, nextHalf: 4, nextOutdated: 2, advance: 5, renew: 2, forget: 3, reconcile: 7, edit: 7,
	},
}

func scripts() *rapid.Generator[script] {
	mixes := make([]*rapid.Generator[step], len(weights))
	for i, weights := range weights {
		var deck []action
		for act, n := range weights {
			deck = append(deck, slices.Repeat([]action{action(act)}, n)...)
		}
		mixes[i] = rapid.Custom(func(t *rapid.T) step {
			return step{rapid.SampledFrom(deck).Draw(t, "act"), rapid.IntRange(0, 5).Draw(t, "who"), rapid.IntRange(0, 11).Draw(t, "arg")}
		})
	}
	offset := rapid.Map(rapid.IntRange(-5, 5), func(s int) time.Duration { return time.Duration(s) * time.Second })
	return rapid.Custom(func(t *rapid.T) script {
		steps := rapid.SampledFrom(mixes).Draw(t, "mood")
		return script{
			setting: setting{
				lifetime: rapid.SampledFrom([]time.Duration{2 * time.Minute, 10 * time.Minute, time.Hour}).Draw(t, "lifetime"),
				early:    rapid.IntRange(0, 4).Draw(t, "late refresh only") != 4,
				offsets:  rapid.SliceOfN(offset, 3, 3).Draw(t, "offsets"),
				seed:     rapid.Uint64Range(0, 1<<16).Draw(t, "seed"),
			},
			bursts: rapid.SliceOfN(rapid.SliceOfN(steps, 1, 40), 4, 40).Draw(t, "steps"),
		}
	})
}

// play runs one script and returns the violation, if any, and the trace.
func play(t *testing.T, s script, broken func(*env) vending.Store) (found string, trace []string) {
	synctest.Test(t, func(*testing.T) {
		w := newEnv(s.setting, broken)
		defer w.end()
		for _, st := range slices.Concat(s.bursts...) {
			if w.found != "" {
				break
			}
			w.step(s.setting, st)
		}
		w.converge(s.setting)
		found, trace = w.found, w.trace
	})
	return found, trace
}

// step does one thing, if it applies.
func (w *env) step(s setting, st step) {
	p := w.fleet[st.who%len(w.fleet)]
	switch st.act {
	case vend, reject, renew, forget, reconcile:
		w.request(p, st)
	case next, nextHalf, nextRefused, nextLost, nextRepeated, nextOutdated:
		if gates := w.runnable(); len(gates) > 0 {
			w.open(gates[st.who%len(gates)], outcome(st.act-next))
		}
	case finish:
		if gates := w.runnable(); len(gates) > 0 {
			w.finish(gates[st.who%len(gates)].op)
		}
	case advance:
		w.note("time passes: %v", pauses[st.arg])
		w.advance(pauses[st.arg])
	case edit:
		w.edit(s, st)
	case fail:
		w.fail(st)
	default:
		w.trouble(p, st)
	}
}

// pauses are steps of time: within a refresh, beyond a lease, beyond a lifetime.
var pauses = [...]time.Duration{
	100 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 11 * time.Second, 21 * time.Second,
	31 * time.Second, 40 * time.Second, 76 * time.Second, 100 * time.Second, 9 * time.Minute, 53 * time.Minute,
}

// trouble is what can happen to processes.
func (w *env) trouble(p *processUnderTest, st step) {
	switch st.act {
	case crash:
		w.note("%s crashes", p.name)
		w.oracle.crashes += w.runningCalls(p)
		w.crash(p)
	case freeze:
		w.note("%s is frozen", p.name)
		p.frozen = true
	case thaw:
		w.note("%s thaws", p.name)
		p.frozen = false
	case setClock:
		w.note("the clock of %s is set to %+d s", p.name, st.arg-5)
		w.set(p, time.Duration(min(st.arg, 10)-5)*time.Second)
	case leave:
		if gates := w.runnable(); len(gates) > 0 {
			op := gates[st.who%len(gates)].op
			w.note("the caller of #%d leaves", op.id)
			op.left = true
			op.cancel()
			w.settle()
		}
	}
}

// runningCalls counts the calls of a process in progress.
func (w *env) runningCalls(p *processUnderTest) int {
	n := 0
	for _, g := range w.waiting {
		if g.op.process == p {
			n++
		}
	}
	return n
}

func (w *env) set(p *processUnderTest, offset time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.offset = offset
	for _, op := range w.ops {
		op.stepped = op.stepped || op.process == p
	}
}

// edit changes secrets, and which of them the provider accepts.
func (w *env) edit(s setting, st step) {
	name, last := connections[0], w.secretHistory.last(connections[0])
	switch {
	case last.deleted:
		w.secretHistory.put(name, s.early)
		w.idp.accepted = nil
		w.note("%s is declared again", name)
	case st.arg < 5: // rotated: the provider is late, or early, or accepts both
		w.secretHistory.edit(name, true, s.early)
		w.idp.believes(st.arg != 1, st.arg != 2)
		w.note("the client secret of %s is rotated; the provider accepts %v", name, w.idp.accepted)
	case st.arg < 8:
		w.secretHistory.edit(name, false, s.early)
		w.note("the declaration of %s is edited", name)
	case st.arg == 8:
		w.secretHistory.remove(name)
		w.note("%s is deleted", name)
	default:
		w.idp.believes(true, false)
		w.note("the provider accepts only the latest secret")
	}
}

// fail chooses how the provider fails; half of the choices end it.
func (w *env) fail(st step) {
	w.idp.fault = nil
	if st.arg < len(faults) {
		w.idp.fault = faults[st.arg]
	}
	w.note("the provider: %v", w.idp.fault)
}

// request starts an operation; one process has at most two on one key.
func (w *env) request(p *processUnderTest, st step) {
	r := requests[st.arg]
	op := &operation{process: p, request: r, key: string(r.Connection) + r.Scope}
	if p.frozen || w.busy(p, op.key) >= 2 {
		return
	}
	switch st.act {
	case vend, reject:
		w.vend(op, st.act == reject)
	case renew:
		w.renew(op, st.arg%2 == 0)
	case forget:
		op.text = "forgets " + string(r.Connection)
		w.start(op, func(ctx context.Context) func() {
			err := p.core.Forget(ctx, vending.Request{Connection: r.Connection, Caller: principal}, false)
			return func() { w.oracle.finished(op, err) }
		})
	case reconcile:
		op.text = "reconciles " + string(r.Connection)
		op.replacing = true
		w.start(op, func(ctx context.Context) func() {
			_, err := p.core.Reconcile(ctx, vending.Changed{
				Secret: string(r.Connection), Former: []string{string(r.Connection)}})
			return func() { w.oracle.reconciled(op, string(r.Connection), err) }
		})
	}
}

// requests are what is requested: mostly one connection's own token.
var requests = [12]vending.Request{
	0: crm(), 1: crm(), 2: crm(), 3: crm(), 4: crm(), 5: crm(),
	6:  {Connection: "crm", Caller: principal, MinTTL: time.Minute},
	7:  {Connection: "crm", Caller: principal, MinTTL: time.Minute},
	8:  {Connection: "crm", Caller: principal, Scope: "read"},
	9:  {Connection: "crm", Caller: principal, Scope: "read"},
	10: {Connection: "erp", Caller: principal},
	11: crm(),
}

func (w *env) vend(op *operation, rejecting bool) {
	op.text = "vends " + op.key
	if rejecting {
		op.request.RejectedTokenID = w.current(op.request).Token.ID
		if op.request.RejectedTokenID == "" {
			return
		}
		op.text = "rejects " + op.key
	}
	w.start(op, func(ctx context.Context) func() {
		v, err := op.process.core.Vend(ctx, op.request)
		return func() { w.oracle.served(op, v, err) }
	})
}

func (w *env) renew(op *operation, now bool) {
	op.text, op.replacing = "renews "+op.key, true
	key := w.current(op.request).Key
	var next time.Time
	if !now {
		next = w.time().Add(5 * time.Minute)
	}
	w.start(op, func(ctx context.Context) func() {
		plan, err := op.process.core.Inspect(ctx, key, next)
		if plan.Due() {
			_, err = plan.Run(ctx)
		}
		return func() { w.oracle.finished(op, err) }
	})
}

// current is the item of a request as it is stored.
func (w *env) current(r vending.Request) tokenstore.Item {
	item := w.stored(tokenstore.Key{Connection: string(r.Connection)})
	if r.Scope == "" {
		return item
	}
	if len(item.Variants) == 0 {
		return tokenstore.Item{Key: item.Key}
	}
	return w.stored(tokenstore.Key{Connection: string(r.Connection), Variant: item.Variants[0]})
}

// converge is INV-7: when nothing fails any more, every process gets a token within
// one lease of the next attempt, whatever state was left; also after the frozen
// ones have come back.
func (w *env) converge(s setting) {
	w.heal(s)
	w.drain()
	w.advance(w.longestWait())
	w.everyProcessVends("INV-7")
	for _, p := range w.fleet {
		p.frozen = false
	}
	w.drain()
	w.advance(w.longestWait())
	w.everyProcessVends("INV-7")
	w.catchUp()
	if w.found == "" {
		w.oracle.checkCalls()
	}
}

// drain finishes everything in progress.
func (w *env) drain() {
	for gates := w.runnable(); len(gates) > 0 && w.found == ""; gates = w.runnable() {
		w.finish(gates[0].op)
	}
}

// heal ends every fault.
func (w *env) heal(s setting) {
	w.idp.fault = nil
	if w.secretHistory.last(connections[0]).deleted {
		w.secretHistory.put(connections[0], s.early)
	}
	w.idp.believes(true, true)
	w.note("every fault ends")
}

// longestWait is how long a new request may have to wait.
func (w *env) longestWait() time.Duration {
	until := w.time()
	for _, key := range w.past.keys() {
		until = later(until, w.stored(key).Failure.NextAttemptAt)
	}
	return until.Sub(w.time()) + leaseTTL + 2*maxSkew
}

// everyProcessVends vends in each process, and in a new one.
func (w *env) everyProcessVends(invariant string) {
	w.boot(0)
	for _, p := range w.fleet {
		if p.frozen || w.found != "" {
			continue
		}
		for _, r := range []vending.Request{requests[0], requests[8]} {
			op := &operation{process: p, request: r, key: string(r.Connection) + r.Scope}
			op.text = "vends " + op.key
			w.start(op, func(ctx context.Context) func() {
				v, err := p.core.Vend(ctx, r)
				return func() {
					if err != nil {
						w.oracle.violated(invariant, "#%d gets no token: %v", op.id, err)
						return
					}
					w.oracle.served(op, v, nil)
				}
			})
			w.finish(op)
		}
	}
}

// catchUp is CR-21: some time after a reconciliation, every process has a token of
// the current declaration.
func (w *env) catchUp() {
	if w.found != "" {
		return
	}
	w.request(w.fleet[len(w.fleet)-1], step{act: reconcile})
	w.finish(w.ops[len(w.ops)-1])
	w.advance(beliefLimit + time.Second)
	w.everyProcessVends("CR-21")
}
