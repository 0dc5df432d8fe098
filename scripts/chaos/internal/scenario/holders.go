package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

type values = map[string]types.AttributeValue

// crm is the connection that most scenarios are about.
const crm = "creative-force"

// grace is what polling and minting may add to a lease until a caller is served
// again. recoveryLimit is the same without a delay of the provider.
const (
	leaseTTL      = vending.LeaseTTL
	grace         = 3 * time.Second
	recoveryLimit = 19_500 * time.Millisecond
)

// holders are the scenarios of lease holders that race, die or freeze.
func holders() []Scenario {
	all := []Scenario{
		{ID: "FI-01", Title: "16 cold environments ask at once", run: cold(16)},
		{ID: "FI-01", Title: "200 cold environments ask at once", FullOnly: true, Alone: true, run: cold(200)},
		{ID: "FI-02", Title: "the provider takes 9 s", FullOnly: true, run: slowProvider},
	}
	for _, at := range []struct {
		id, where string
		step      fleet.Step
		phase     fleet.Phase
		calls     int
	}{
		{"FI-03", "before its lease is written", fleet.Acquire, fleet.Arrived, 1},
		{"FI-03", "under the lease, before the provider call", fleet.Acquire, fleet.Done, 1},
		{"FI-03", "when the provider is called", fleet.Token, fleet.Arrived, 2},
		{"FI-04", "after the provider answered", fleet.Token, fleet.Done, 2},
		{"FI-04", "before the commit is applied", fleet.Commit, fleet.Arrived, 2},
		{"FI-04", "after the commit is applied", fleet.Commit, fleet.Done, 1},
	} {
		all = append(all, Scenario{ID: at.id, Title: "the holder is killed " + at.where, run: func(ctx context.Context, e *env) {
			e.killHolder(ctx, at.step, at.phase, at.calls)
		}})
	}
	return append(all,
		Scenario{ID: "FI-03", Title: "the holder is killed before it stores a failure", run: killBeforeFail},
		Scenario{ID: "FI-07", Title: "the holder is frozen for longer than its lease", run: frozenHolder},
		Scenario{ID: "FI-09", Title: "too little of the invocation's time is left", run: noTime},
	)
}

func cold(n int) func(context.Context, *env) {
	return func(ctx context.Context, e *env) {
		answers := e.askAll(ctx, e.Vends(n), fleet.TokenOf(crm))
		var slowest time.Duration
		for _, a := range answers {
			e.expectOutcome(a, "200")
			e.expect(a.TokenID == answers[0].TokenID, "callers got different tokens")
			slowest = max(slowest, a.Took)
		}
		e.expectCalls(1, 1)
		e.fact("slowest caller %d ms", slowest.Milliseconds())
	}
}

func slowProvider(ctx context.Context, e *env) {
	e.declare("slow", trickle(9*time.Second))
	holder := e.asking(ctx, e.vend(0), fleet.TokenOf("slow"))
	e.must(e.Gate.Await(ctx, fleet.Token, fleet.Arrived, 1))
	for _, a := range e.askAll(ctx, e.Vends(4)[1:], fleet.TokenOf("slow")) {
		e.expectOutcome(a, "503 refresh_in_progress", "200")
		e.expect(a.Took < 8500*time.Millisecond, "a caller waited %s", a.Took)
	}
	e.expectOutcome(<-holder, "200")
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf("slow")), "200")
	e.expectCalls(1, 1)
}

// killHolder kills the lease holder at a point of its refresh. Others are served
// once the lease has expired, by one more refresh where the first stored nothing.
func (e *env) killHolder(ctx context.Context, step fleet.Step, phase fleet.Phase, calls int) {
	killed := make(chan struct{})
	e.Gate.Once(step, phase, func(c fleet.Call) fleet.Decision {
		e.Named(c.From).Kill()
		close(killed)
		return fleet.Cut
	})
	a := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.expectOutcome(a, "no answer")
	if a.Err == nil {
		e.must(fmt.Errorf("the holder was not killed: %s", a.Outcome()))
	}
	<-killed
	e.expireLease(ctx, crm)
	e.served(ctx, e.vend(1), crm, leaseTTL+grace)
	e.expect(e.recovered <= recoveryLimit, "CR-06: a token came %s after the holder was killed", e.recovered)
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200") // the successor of the killed process
	e.expectCalls(calls, calls)
	e.fact("served again after %.1f s", e.recovered.Seconds())
}

func killBeforeFail(ctx context.Context, e *env) {
	e.fault(crm, answer(503))
	e.Gate.Once(fleet.Fail, fleet.Arrived, func(c fleet.Call) fleet.Decision {
		e.Named(c.From).Kill()
		return fleet.Cut
	})
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "no answer")
	e.expectCalls(1, 2) // a request may be retried once
	e.resetCounts()
	e.fault(crm)
	e.expireLease(ctx, crm)
	e.served(ctx, e.vend(1), crm, leaseTTL+grace)
	e.expectCalls(1, 1)
}

func frozenHolder(ctx context.Context, e *env) {
	holder := e.Brief(fleet.Vend, 90, 2*time.Minute) // outlives the freeze
	first, release := e.heldAtCommit(ctx, holder, crm)
	defer release()
	e.must(holder.Freeze())
	e.expireLease(ctx, crm)
	second := e.served(ctx, e.vend(1), crm, leaseTTL+grace)
	if e.config.Full {
		e.pause(ctx, 2*leaseTTL-e.recovered)
	}
	release() // the late write meets the newer token
	e.must(e.Gate.Await(ctx, fleet.Commit, fleet.Done, 2))
	e.must(holder.Thaw())
	// When it thaws, its deadline and the commit's answer may be due together.
	e.expectOutcome(<-first, "200", "503 refresh_in_progress")
	third := e.ask(ctx, e.vend(2), fleet.TokenOf(crm))
	e.expect(third.TokenID == second.TokenID, "FI-07: the late write replaced the newer token")
	e.expectCalls(2, 2)
}

func noTime(ctx context.Context, e *env) {
	a := e.ask(ctx, e.Brief(fleet.Vend, 90, 10*time.Second), fleet.TokenOf(crm))
	e.expectOutcome(a, "503 refresh_in_progress")
	e.expect(a.RetryAfter > 0, "no Retry-After")
	e.expectCalls(0, 0)
	e.expect(e.Gate.Calls(fleet.Acquire) == 0, "the lease was touched")
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
}
