package scenario

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// callers are the scenarios of rejected tokens, lists and long use.
func callers() []Scenario {
	return []Scenario{
		{ID: "FI-42", Title: "16 callers reject one token at once", run: rejectedAtOnce},
		{ID: "FI-42", Title: "50 callers reject made-up, old and new tokens", run: rejectedRepeatedly},
		{ID: "FI-25", Title: "a failure is stored for its connection only", run: otherConnections},
		{ID: "INV-6", Title: "the connections function lists the state of each", run: listsStates},
		{ID: "FI-52", Title: "soak with 20 % faults", FullOnly: true, Alone: true, run: soak},
	}
}

func rejectedAtOnce(ctx context.Context, e *env) {
	old := e.mint(ctx, crm, time.Minute)
	e.resetCounts()
	for _, a := range e.askAll(ctx, e.Vends(16), fleet.Rejecting(crm, old)) {
		e.expectOutcome(a, "200")
		e.expect(a.TokenID != old, "the rejected token came back")
	}
	e.expectCalls(1, 1)
}

func rejectedRepeatedly(ctx context.Context, e *env) {
	old := e.mint(ctx, crm, time.Minute)
	e.resetCounts()
	processes := e.Vends(10)
	for n := range 5 {
		for _, a := range e.askAll(ctx, processes, fleet.Rejecting(crm, fmt.Sprintf("%016x", n))) {
			e.expectOutcome(a, "200")
		}
	}
	e.expectCalls(0, 0)
	next := e.ask(ctx, processes[0], fleet.Rejecting(crm, old))
	e.expectOutcome(next, "200")
	for _, a := range e.askAll(ctx, processes, fleet.Rejecting(crm, next.TokenID)) {
		e.expectOutcome(a, "429 rate_limited")
		e.expect(a.RetryAfter > 0 && a.RetryAfter <= 30*time.Second, "Retry-After is %s", a.RetryAfter)
	}
	for _, a := range e.askAll(ctx, processes, fleet.Rejecting(crm, old)) {
		e.expectOutcome(a, "200")
	}
	e.expectCalls(1, 1)
}

// otherConnections fails for one connection and serves others of the same host.
func otherConnections(ctx context.Context, e *env) {
	e.fault(crm, sandbox.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "502 provider_rejected")
	for _, other := range []string{"agile-now", "cliquify"} {
		e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(other)), "200")
	}
}

func listsStates(ctx context.Context, e *env) {
	e.fault(crm, answer(503))
	e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.ask(ctx, e.vend(0), fleet.TokenOf("agile-now"))
	e.must(e.PutSecret("misspelt", []byte(`{"provider":"oauth2","client_idd":"x"}`)))
	p := e.Process(fleet.Connections, 0)
	all := e.ask(ctx, p, fleet.Ask{Path: "/connections"})
	e.expectOutcome(all, "200")
	for _, want := range []string{`"connection":"creative-force"`, `"failing"`, `"ready"`, `"misconfigured"`} {
		e.expect(strings.Contains(string(all.Body), want), "the list lacks %s", want)
	}
	e.expectOutcome(e.ask(ctx, p, fleet.Ask{Path: "/connections/unknown"}), "404 connection_not_found")
}

// soak has eight processes serve tokens that live for 15 s while a fifth of all
// requests fail. It compares their memory and open files early and late.
func soak(ctx context.Context, e *env) {
	connections := []string{crm, "agile-now", "cliquify"}
	for _, c := range connections {
		e.must(e.Provider.SetLifetime(c, 15*time.Second))
	}
	failing := fault.Share(0.2, 1, fault.Broken)
	e.breakTable(failing)
	e.Gate.Set(fleet.Secret, fleet.Arrived, failing)
	e.Gate.Set(fleet.Token, fleet.Arrived, fault.Share(0.2, 2, fleet.Decision{Status: http.StatusServiceUnavailable, Code: "injected"}))
	processes := e.Vends(8)
	warm := e.config.Soak / 5
	stop := e.ticking(ctx)
	e.load(ctx, processes, 400, warm, connections...)
	early := e.use(processes)
	e.load(ctx, processes, 400, e.config.Soak-warm, connections...)
	stop()
	late := e.use(processes)
	e.fact("memory %d → %d KiB, files %d → %d, in all", early.Resident>>10, late.Resident>>10, early.Files, late.Files)
	e.expect(flat(early.Resident, late.Resident), "FI-52: memory went from %d to %d KiB", early.Resident>>10, late.Resident>>10)
	e.expect(flat(early.Files, late.Files), "FI-52: open files went from %d to %d", early.Files, late.Files)
	e.expectNothingBroke()
}

// ticking sends the renewer its event every five seconds until stop is called.
func (e *env) ticking(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_, err := e.Process(fleet.Renew, 0).Send(context.WithoutCancel(ctx), fleet.Tick(time.Now()))
			e.expect(err == nil, "a tick failed: %s", because(err))
			e.pause(ctx, 5*time.Second)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// expectNothingBroke checks the outcomes so far. Faults may cause a documented 5xx,
// but no missing answer and no internal error.
func (e *env) expectNothingBroke() {
	seen := e.counted()
	for _, outcome := range []string{"no answer", "500 internal_error"} {
		e.expect(seen[outcome] == 0, "%d× %s", seen[outcome], outcome)
	}
}

// use is what all processes use together.
func (e *env) use(processes []*fleet.Process) (all fleet.Use) {
	for _, p := range processes {
		u, err := p.Use()
		e.must(err)
		all.Resident += u.Resident
		all.Files += u.Files
	}
	return all
}

// flat reports whether late exceeds early by at most a tenth.
func flat(early, late int64) bool { return late <= early+early/10 }
