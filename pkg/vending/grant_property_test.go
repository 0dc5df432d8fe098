package vending_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tokenvend/tokenvend/pkg/vending"
)

// killPoints is how many processes are killed while they work (FI-51).
const killPoints = 10_000

// TestGrantProperty runs scripts until that many processes have been killed between
// any two steps of a refresh with a user's grant, and others frozen, with servers
// of every policy. A failure names the script: its seed and policy reproduce it.
func TestGrantProperty(t *testing.T) {
	for p := range policies {
		t.Run("FI-51 "+policyNames[p], func(t *testing.T) {
			t.Parallel()
			tally := newGrantTally()
			for seed := uint64(1); tally.kills < killPoints/int(policies); seed++ {
				w := playGrant(t, seed, p, nil)
				if w.found != "" {
					t.Fatalf("seed %d: %s\n%s", seed, w.found, strings.Join(w.trace, "\n"))
				}
				tally.add(w)
			}
			t.Log(tally)
		})
	}
}

// playGrant runs the script of a seed.
func playGrant(t *testing.T, seed uint64, p policy, broken func(*grantEnv) vending.Store) (w *grantEnv) {
	synctest.Test(t, func(*testing.T) {
		w = newGrantEnv(seed, p, broken)
		defer w.end()
		w.finish(w.consent(w.fleet[0], ""))
		w.finish(w.consent(w.fleet[0], "ann"))
		w.advance(w.lifetime * 9 / 10)
		for range 60 + w.rand.IntN(120) {
			if w.found == "" {
				w.step()
			}
		}
		if w.found == "" {
			w.converge()
		}
	})
	return w
}

// grantActions are what can happen, weighted.
var grantActions = func() []func(*grantEnv) {
	weighed := []struct {
		times int
		act   func(*grantEnv)
	}{
		{12, func(w *grantEnv) { w.vend(w.anyProcess(), w.anySubject(), "") }},
		{16, func(w *grantEnv) { w.passes(completed) }},
		{14, func(w *grantEnv) { w.runToRefresh() }},
		{9, func(w *grantEnv) { w.passes(halfway) }},
		{2, func(w *grantEnv) { w.passes(refused) }},
		{3, func(w *grantEnv) { w.passes(lost) }},
		{2, func(w *grantEnv) { w.passes(repeated) }},
		{2, func(w *grantEnv) { w.passes(outdated) }},
		{6, func(w *grantEnv) { w.finishes() }},
		{9, func(w *grantEnv) { w.passTime() }},
		{14, func(w *grantEnv) { w.kills() }},
		{3, func(w *grantEnv) { w.freezes() }},
		{3, func(w *grantEnv) { w.thaws() }},
		{2, func(w *grantEnv) { w.reject(w.anyProcess(), w.anySubject()) }},
		{4, func(w *grantEnv) { w.renew(w.anyProcess(), w.anySubject()) }},
		{1, func(w *grantEnv) { w.forget(w.anyProcess(), w.anySubject()) }},
		{1, func(w *grantEnv) { w.disconnect(w.anyProcess(), w.anySubject()) }},
		{2, func(w *grantEnv) { w.consent(w.anyProcess(), w.anySubject()) }},
		{1, func(w *grantEnv) { w.importsToken(w.anyProcess(), w.anySubject()) }},
		{1, func(w *grantEnv) { w.reconcile(w.anyProcess()) }},
		{1, func(w *grantEnv) { w.edit() }},
		{2, func(w *grantEnv) { w.idp.fault = trouble(w.rand.IntN(int(troubles))) }},
		{2, func(w *grantEnv) { w.idp.fault = none }},
	}
	var deck []func(*grantEnv)
	for _, a := range weighed {
		deck = append(deck, slices.Repeat([]func(*grantEnv){a.act}, a.times)...)
	}
	return deck
}()

func (w *grantEnv) step() {
	if w.rand.IntN(400) == 0 {
		w.userRevokes(w.anySubject())
		return
	}
	pick(w.rand, grantActions...)(w)
}

func (w *grantEnv) anyProcess() *processUnderTest { return pick(w.rand, w.fleet...) }

func (w *grantEnv) anySubject() string { return pick(w.rand, "", "", "", "", "ann") }

func (w *grantEnv) anyGate() *gate {
	if gates := w.runnable(); len(gates) > 0 {
		return pick(w.rand, gates...)
	}
	return nil
}

func (w *grantEnv) passes(v outcome) {
	if g := w.anyGate(); g != nil {
		w.open(g, v)
	}
}

func (w *grantEnv) finishes() {
	if g := w.anyGate(); g != nil {
		w.finish(g.op)
	}
}

func (w *grantEnv) passTime() {
	d := pick(w.rand, pauses[:]...)
	w.note("time passes: %v", d)
	w.advance(d)
}

// ofRefresh reports whether a gate is at a step of a refresh, or of a new grant.
func ofRefresh(g *gate) bool {
	step, _, _ := strings.Cut(g.what, " ")
	return slices.Contains([]string{"acquire", "ask", "commit", "adopt", "fail", "release", "wait"}, step)
}

// runToRefresh runs a request until it is at a step of a refresh, most often one
// under the lease.
func (w *grantEnv) runToRefresh() {
	first, beyond := w.anyGate(), w.rand.IntN(4) > 0
	for g := first; g != nil && (!ofRefresh(g) || beyond && strings.HasPrefix(g.what, "acquire")); {
		w.open(g, completed)
		at := slices.IndexFunc(w.waiting, func(next *gate) bool { return next.op == first.op })
		if at < 0 {
			return
		}
		g = w.waiting[at]
	}
}

// kills ends a process at a step of a refresh, also a frozen one. The call that it
// waits for has been carried out, or not.
func (w *grantEnv) kills() {
	points := slices.DeleteFunc(slices.Clone(w.waiting), func(g *gate) bool { return !ofRefresh(g) })
	if len(points) == 0 {
		return
	}
	at := pick(w.rand, points...)
	p := at.op.process
	w.note("%s is killed before: %s", p.name, at.what)
	w.grantOracle.kills[strings.Replace(at.what, " user", "", 1)]++
	w.grantOracle.killed(p)
	w.crash(p)
}

func (w *grantEnv) freezes() {
	if g := w.anyGate(); g != nil {
		w.note("%s is frozen before: %s", g.op.process.name, g.what)
		g.op.process.frozen = true
	}
}

func (w *grantEnv) thaws() {
	for _, p := range w.fleet {
		if p.frozen {
			w.note("%s thaws", p.name)
			p.frozen = false
			return
		}
	}
}

// grantTally counts what happened in many scripts.
type grantTally struct {
	scripts, kills, families, presented, reused int
	places, lost                                map[string]int
}

func newGrantTally() *grantTally {
	return &grantTally{places: map[string]int{}, lost: map[string]int{}}
}

func (t *grantTally) add(w *grantEnv) {
	t.scripts++
	t.presented += w.grantOracle.presented
	t.reused += w.grantOracle.reused
	for place, n := range w.grantOracle.kills {
		t.places[place] += n
		t.kills += n
	}
	seen := map[*family]bool{}
	for _, h := range w.idp.handles {
		if seen[h.family] {
			continue
		}
		seen[h.family] = true
		t.families++
		if h.family.lost != "" {
			t.lost[h.family.lost]++
		}
	}
}

func (t *grantTally) String() string {
	var b strings.Builder
	lost := 0
	for _, n := range t.lost {
		lost += n
	}
	fmt.Fprintf(&b, "%d kills in %d scripts: of %d grants %d lost their refresh token; %d presented, %d of them held up on the way until a newer one was stored\n",
		t.kills, t.scripts, t.families, lost, t.presented, t.reused)
	tabulate(&b, "lost: ", t.lost)
	tabulate(&b, "killed before: ", t.places)
	return b.String()
}

func tabulate(b *strings.Builder, what string, counts map[string]int) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(b, "  %5d  %s%s\n", counts[name], what, name)
	}
}
