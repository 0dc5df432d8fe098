package scenario

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// stores are the scenarios of a table that fails, loses answers, or was written by
// another build.
func stores() []Scenario {
	return []Scenario{
		{ID: "FI-26", Title: "reads fail and the cached token was read more than 10 s ago", FullOnly: true, run: readsFail},
		{ID: "FI-27", Title: "the table is down and environments are cold", run: tableDown},
		{ID: "FI-28", Title: "the table throttles 30 % under load", FullOnly: true, Alone: true, run: throttledTable},
		{ID: "CR-31", Title: "the table throttles and environments are cold", run: throttledCold},
		{ID: "FI-29", Title: "the answer to the acquisition is lost", run: lostAnswer(fleet.Acquire)},
		{ID: "FI-30", Title: "the answer to the commit is lost", run: lostAnswer(fleet.Commit)},
		{ID: "FI-32", Title: "eventually consistent reads lag behind a rejection", run: staleReads},
		{ID: "FI-48", Title: "an item with an attribute of a later build", run: otherBuild},
		{ID: "FI-50", Title: "the role's session has expired", run: expiredSession},
	}
}

// onTable are the steps that the table sees.
var onTable = []fleet.Step{
	fleet.Get, fleet.Acquire, fleet.Commit, fleet.Fail, fleet.Release, fleet.Reject, fleet.Drop,
	fleet.Mark, fleet.Slot, fleet.Variant, fleet.Note, fleet.Query, fleet.Other,
}

// breakTable sets a hook for every step on the table; nil removes it.
func (e *env) breakTable(h fleet.Hook) {
	for _, step := range onTable {
		e.Gate.Set(step, fleet.Arrived, h)
	}
}

func readsFail(ctx context.Context, e *env) {
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.pause(ctx, 11*time.Second) // longer than memory is trusted
	e.resetCounts()
	e.Gate.Set(fleet.Get, fleet.Arrived, fault.Always(fault.Broken))
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.expect(e.Gate.Calls(fleet.Get) > 0, "the table was not asked")
	e.expectCalls(0, 0)
}

func tableDown(ctx context.Context, e *env) {
	e.TableLine.Cut()
	processes := e.Vends(4)
	for range 2 { // the second time from the cache
		for _, a := range e.askAll(ctx, processes, fleet.TokenOf(crm)) {
			e.expectOutcome(a, "200")
		}
	}
	e.expectCalls(1, len(processes))
	e.resetCounts()
	a := e.ask(ctx, processes[0], fleet.TokenOf("creative-force-user"))
	e.expectOutcome(a, "503 store_unavailable", "409 authorization_required")
	e.expectCalls(0, 0)
	e.TableLine.Restore()
	e.expectOutcome(e.ask(ctx, e.vend(5), fleet.TokenOf(crm)), "200")
}

// load asks the processes, that often per second in all, for d.
func (e *env) load(ctx context.Context, processes []*fleet.Process, perSecond int, d time.Duration, connections ...string) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range processes {
		wg.Go(func() {
			tick := time.NewTicker(time.Second * time.Duration(len(processes)) / time.Duration(perSecond))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					e.ask(context.WithoutCancel(ctx), p, fleet.TokenOf(connections[n%len(connections)]))
				}
			}
		})
	}
	wg.Wait()
}

func throttledTable(ctx context.Context, e *env) {
	processes := e.Vends(8)
	e.askAll(ctx, processes, fleet.TokenOf(crm))
	e.breakTable(fault.Share(0.3, 1, fault.Throttled))
	e.load(ctx, processes, 200, 20*time.Second, crm)
	e.breakTable(nil)
	e.fact("%d requests in 20 s", e.expectAllServed("FI-28"))
	e.expectCalls(1, 1)
}

// throttledCold: the fleet uses a throttled table, so cold environments do not ask
// the provider without it.
func throttledCold(ctx context.Context, e *env) {
	processes := e.Vends(4)
	e.breakTable(fault.Always(fault.Throttled))
	for _, a := range e.askAll(ctx, processes, fleet.TokenOf(crm)) {
		e.expectOutcome(a, "503 store_unavailable")
	}
	e.expectCalls(0, 0)
	e.breakTable(nil)
	for _, a := range e.askAll(ctx, processes, fleet.TokenOf(crm)) {
		e.expectOutcome(a, "200")
	}
	e.expectCalls(1, 1)
}

func lostAnswer(step fleet.Step) func(context.Context, *env) {
	return func(ctx context.Context, e *env) {
		e.Gate.Once(step, fleet.Done, fault.Always(fleet.Cut))
		e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
		e.expect(e.Gate.Calls(step) == 2, "%d requests for %s, want the first and its repetition", e.Gate.Calls(step), step)
		e.expectCalls(1, 1)
		version, _ := e.item(ctx, crm)["version"].(*types.AttributeValueMemberN)
		e.expect(version != nil && version.Value == "1", "FI-30: the version is not 1")
		e.expectNoLease(ctx, crm)
	}
}

func staleReads(ctx context.Context, e *env) {
	old := e.mint(ctx, crm, time.Minute)
	e.serveStale(crm)
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	next := e.ask(ctx, e.vend(0), fleet.Rejecting(crm, old))
	e.expectOutcome(next, "200")
	e.expect(next.TokenID != old, "FI-32: the rejected token came back")
	again := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.expect(again.TokenID == next.TokenID, "FI-32: the rejected token came back later")
	e.expectCalls(2, 2)
}

// serveStale answers every eventually consistent read of a connection's item
// with what the first read finds.
func (e *env) serveStale(connection string) {
	var mu sync.Mutex
	var first string
	e.Gate.Set(fleet.Get, fleet.Done, func(c fleet.Call) fleet.Decision {
		if c.Subject != connection {
			return fleet.Decision{}
		}
		mu.Lock()
		defer mu.Unlock()
		if first == "" {
			first = c.Answer
		}
		if c.Consistent {
			return fleet.Decision{}
		}
		return fleet.Decision{Status: http.StatusOK, Answer: first}
	})
}

func otherBuild(ctx context.Context, e *env) {
	first := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.expectOutcome(first, "200")
	e.must(e.Change(ctx, crm, values{"added_later": fleet.Text("unknown to this build")}))
	second := e.ask(ctx, e.vend(1), fleet.TokenOf(crm))
	e.expectOutcome(second, "200")
	e.expect(first.TokenID == second.TokenID, "FI-48: the other build's item was not read")
	e.expectCalls(1, 1)
	e.fact("the harness writes the later build's attribute")
}

func expiredSession(ctx context.Context, e *env) {
	expired := fault.Always(fleet.Decision{Status: http.StatusBadRequest, Code: "ExpiredTokenException"})
	e.breakTable(expired)
	e.Gate.Set(fleet.Secret, fleet.Arrived, expired)
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf(crm)) {
		e.expectOutcome(a, "503 store_unavailable")
	}
	e.expectCalls(0, 0)
	e.breakTable(nil)
	e.Gate.Set(fleet.Secret, fleet.Arrived, nil)
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf(crm)) {
		e.expectOutcome(a, "200")
	}
	e.expectCalls(1, 1)
}
