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

// callers are the cases of callers who complain, look around, and stay.
func callers() []Scenario {
	return []Scenario{
		{ID: "FI-42", Title: "16 callers reject one token at once", run: rejectedAtOnce},
		{ID: "FI-42", Title: "50 callers reject made-up, old and new tokens", run: rejectedInVain},
		{ID: "FI-25", Title: "a wrong answer is remembered for no other connection", run: apart},
		{ID: "INV-6", Title: "the connections function lists how each stands", run: listed},
		{ID: "FI-52", Title: "soak with 20 % faults", Patient: true, Alone: true, run: soak},
	}
}

func rejectedAtOnce(ctx context.Context, s *stage) error {
	old, err := s.Mint(ctx, crm, time.Minute)
	if err != nil {
		return err
	}
	s.newAct()
	for _, a := range s.askAll(ctx, s.Vends(16), fleet.Rejecting(crm, old)) {
		s.expectOutcome(a, "200")
		s.expect(a.TokenID != old, "the rejected token came back")
	}
	s.expectCalls(1, 1)
	return nil
}

func rejectedInVain(ctx context.Context, s *stage) error {
	old, err := s.Mint(ctx, crm, time.Minute)
	if err != nil {
		return err
	}
	s.newAct()
	processes := s.Vends(10)
	for n := range 5 {
		for _, a := range s.askAll(ctx, processes, fleet.Rejecting(crm, fmt.Sprintf("%016x", n))) {
			s.expectOutcome(a, "200")
		}
	}
	s.expectCalls(0, 0)
	next := s.ask(ctx, processes[0], fleet.Rejecting(crm, old))
	s.expectOutcome(next, "200")
	for _, a := range s.askAll(ctx, processes, fleet.Rejecting(crm, next.TokenID)) {
		s.expectOutcome(a, "429 rate_limited")
		s.expect(a.RetryAfter > 0 && a.RetryAfter <= 30*time.Second, "Retry-After is %s", a.RetryAfter)
	}
	for _, a := range s.askAll(ctx, processes, fleet.Rejecting(crm, old)) {
		s.expectOutcome(a, "200")
	}
	s.expectCalls(1, 1)
	return nil
}

// apart has one connection fail and another of the same host served.
func apart(ctx context.Context, s *stage) error {
	if err := s.Provider.Fault(crm, sandbox.Fault{Status: 400, Body: `{"error":"invalid_grant"}`}); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "502 provider_rejected")
	for _, other := range []string{"agile-now", "cliquify"} {
		s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(other)), "200")
	}
	return nil
}

func listed(ctx context.Context, s *stage) error {
	if err := s.Provider.Fault(crm, answer(503)); err != nil {
		return err
	}
	s.ask(ctx, s.vend(0), fleet.TokenOf(crm))
	s.ask(ctx, s.vend(0), fleet.TokenOf("agile-now"))
	if err := s.PutSecret(ctx, "misspelt", []byte(`{"provider":"oauth2","client_idd":"x"}`)); err != nil {
		return err
	}
	p := s.Process(fleet.Connections, 0)
	all := s.ask(ctx, p, fleet.Ask{Path: "/connections"})
	s.expectOutcome(all, "200")
	for _, want := range []string{`"connection":"creative-force"`, `"failing"`, `"ready"`, `"misconfigured"`} {
		s.expect(strings.Contains(string(all.Body), want), "the list lacks %s", want)
	}
	s.expectOutcome(s.ask(ctx, p, fleet.Ask{Path: "/connections/nobody"}), "404 connection_not_found")
	return nil
}

// soak has eight processes serve tokens of 15 s while a fifth of everything
// fails, and compares what they hold of the machine early with late.
func soak(ctx context.Context, s *stage) error {
	connections := []string{crm, "agile-now", "cliquify"}
	for _, c := range connections {
		if err := s.Provider.SetLifetime(c, 15*time.Second); err != nil {
			return err
		}
	}
	failing := fault.Share(0.2, 1, fault.Broken)
	s.breakTable(failing)
	s.Gate.Set(fleet.Secret, fleet.Arrived, failing)
	s.Gate.Set(fleet.Token, fleet.Arrived, fault.Share(0.2, 2, fleet.Decision{Status: http.StatusServiceUnavailable, Code: "injected"}))
	processes := s.Vends(8)
	warm := s.config.Soak / 5
	stop := s.ticking(ctx)
	s.load(ctx, processes, 400, warm, connections...)
	early, err := use(processes)
	if err != nil {
		return err
	}
	s.load(ctx, processes, 400, s.config.Soak-warm, connections...)
	stop()
	late, err := use(processes)
	if err != nil {
		return err
	}
	s.fact("memory %d → %d KiB, files %d → %d, in all", early.Resident>>10, late.Resident>>10, early.Files, late.Files)
	s.expect(flat(early.Resident, late.Resident), "FI-52: memory went from %d to %d KiB", early.Resident>>10, late.Resident>>10)
	s.expect(flat(early.Files, late.Files), "FI-52: open files went from %d to %d", early.Files, late.Files)
	s.expectNothingBroke()
	return nil
}

// ticking sends the renewer its event every five seconds until it is stopped.
func (s *stage) ticking(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_, err := s.Process(fleet.Renew, 0).Send(context.WithoutCancel(ctx), fleet.Tick(time.Now()))
			s.expect(err == nil, "a tick failed: %s", because(err))
			s.pause(ctx, 5*time.Second)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// expectNothingBroke holds the outcomes so far against what faults may cause:
// an honest 5xx is one, an answer that never came or an internal error is none.
func (s *stage) expectNothingBroke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, outcome := range []string{"no answer", "500 internal_error"} {
		if n := s.outcomes[outcome]; n > 0 {
			s.broken = append(s.broken, fmt.Sprintf("%d× %s", n, outcome))
		}
	}
}

// use is what processes take of the machine in all.
func use(processes []*fleet.Process) (all fleet.Use, err error) {
	for _, p := range processes {
		u, err := p.Use()
		if err != nil {
			return all, err
		}
		all.Resident += u.Resident
		all.Files += u.Files
	}
	return all, nil
}

// flat reports whether late is not above early by more than a tenth. Less is
// no leak.
func flat(early, late int64) bool { return late <= early+early/10 }
