package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

type values = map[string]types.AttributeValue

// crm is the connection that most scenarios are about.
const crm = "creative-force"

// leaseTTL is what the functions take a lease for, and grace what polling and
// minting may add until somebody is served again.
const (
	leaseTTL = 20 * time.Second
	grace    = 3 * time.Second
)

// holders are the cases of who refreshes, and of what becomes of it.
func holders() []Scenario {
	all := []Scenario{
		{ID: "FI-01", Title: "16 cold environments ask at once", run: cold(16)},
		{ID: "FI-01", Title: "200 cold environments ask at once", Patient: true, Alone: true, run: cold(200)},
		{ID: "FI-02", Title: "the provider takes 9 s", Patient: true, run: slowProvider},
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
		all = append(all, Scenario{ID: at.id, Title: "the holder is killed " + at.where, run: func(ctx context.Context, s *stage) error {
			return s.killHolder(ctx, at.step, at.phase, at.calls)
		}})
	}
	return append(all,
		Scenario{ID: "FI-03", Title: "the holder is killed before it remembers a failure", run: killBeforeFail},
		Scenario{ID: "FI-07", Title: "the holder is frozen for longer than its lease", run: frozenHolder},
		Scenario{ID: "FI-09", Title: "too little of the invocation's time is left", run: noTime},
	)
}

func cold(n int) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		answers := s.askAll(ctx, s.Vends(n), fleet.TokenOf(crm))
		var slowest time.Duration
		for _, a := range answers {
			s.expectOutcome(a, "200")
			s.expect(a.TokenID == answers[0].TokenID, "callers got different tokens")
			slowest = max(slowest, a.Took)
		}
		s.expectCalls(1, 1)
		s.fact("slowest caller %d ms", slowest.Milliseconds())
		return nil
	}
}

func slowProvider(ctx context.Context, s *stage) error {
	if err := s.declare(ctx, "slow", trickle(9*time.Second)); err != nil {
		return err
	}
	holder := s.asking(ctx, s.vend(0), fleet.TokenOf("slow"))
	if err := s.Gate.Await(ctx, fleet.Token, fleet.Arrived, 1); err != nil {
		return err
	}
	for _, a := range s.askAll(ctx, s.Vends(4)[1:], fleet.TokenOf("slow")) {
		s.expectOutcome(a, "503 refresh_in_progress", "200")
		s.expect(a.Took < 8500*time.Millisecond, "a caller waited %s", a.Took)
	}
	s.expectOutcome(<-holder, "200")
	s.expectOutcome(s.ask(ctx, s.vend(1), fleet.TokenOf("slow")), "200")
	s.expectCalls(1, 1)
	return nil
}

// killHolder kills whoever refreshes at a point of the refresh. The others are
// served after the lease has lapsed, by one more refresh where the first left
// nothing behind.
func (s *stage) killHolder(ctx context.Context, step fleet.Step, phase fleet.Phase, calls int) error {
	killed := make(chan struct{})
	s.Gate.Once(step, phase, func(c fleet.Call) fleet.Decision {
		s.Named(c.From).Kill()
		close(killed)
		return fleet.Cut
	})
	a := s.ask(ctx, s.vend(0), fleet.TokenOf(crm))
	s.expectOutcome(a, "no answer")
	if a.Err == nil {
		return fmt.Errorf("nobody was killed: %s", a.Outcome())
	}
	<-killed
	if err := s.lapseHeld(ctx, crm); err != nil {
		return err
	}
	s.served(ctx, s.vend(1), crm, leaseTTL+grace)
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200") // the successor of the dead one
	s.expectCalls(calls, calls)
	s.fact("served again after %.1f s", s.recovered.Seconds())
	return nil
}

// lapseHeld has a lease end if there is one.
func (s *stage) lapseHeld(ctx context.Context, connection string) error {
	item, err := s.Item(ctx, connection)
	if err != nil || item["lease_owner"] == nil {
		return err
	}
	return s.lapse(ctx, connection)
}

func killBeforeFail(ctx context.Context, s *stage) error {
	if err := s.Provider.Fault(crm, answer(503)); err != nil {
		return err
	}
	s.Gate.Once(fleet.Fail, fleet.Arrived, func(c fleet.Call) fleet.Decision {
		s.Named(c.From).Kill()
		return fleet.Cut
	})
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "no answer")
	s.expectCalls(1, 2) // one retry belongs to a request
	s.newAct()
	if err := s.Provider.Fault(crm); err != nil {
		return err
	}
	if err := s.lapse(ctx, crm); err != nil {
		return err
	}
	s.served(ctx, s.vend(1), crm, leaseTTL+grace)
	s.expectCalls(1, 1)
	return nil
}

func frozenHolder(ctx context.Context, s *stage) error {
	holder := s.Brief(fleet.Vend, 90, 2*time.Minute) // so that Lambda lets it sleep
	met, release := s.Gate.Hold(fleet.Commit, fleet.Arrived)
	defer release()
	first := s.asking(ctx, holder, fleet.TokenOf(crm))
	select {
	case <-met:
	case a := <-first:
		return fmt.Errorf("no commit came: %s", a.Outcome())
	}
	if err := holder.Freeze(); err != nil {
		return err
	}
	if err := s.lapse(ctx, crm); err != nil {
		return err
	}
	second := s.served(ctx, s.vend(1), crm, leaseTTL+grace)
	if s.config.Full {
		s.pause(ctx, 2*leaseTTL-s.recovered)
	}
	release() // the late write meets the newer token
	if err := s.Gate.Await(ctx, fleet.Commit, fleet.Done, 2); err != nil {
		return err
	}
	if err := holder.Thaw(); err != nil {
		return err
	}
	// When it thaws, its deadline and the commit's answer may be due together.
	s.expectOutcome(<-first, "200", "503 refresh_in_progress")
	third := s.ask(ctx, s.vend(2), fleet.TokenOf(crm))
	s.expect(third.TokenID == second.TokenID, "FI-07: the late write replaced the newer token")
	s.expectCalls(2, 2)
	return nil
}

func noTime(ctx context.Context, s *stage) error {
	a := s.ask(ctx, s.Brief(fleet.Vend, 90, 10*time.Second), fleet.TokenOf(crm))
	s.expectOutcome(a, "503 refresh_in_progress")
	s.expect(a.RetryAfter > 0, "no Retry-After")
	s.expectCalls(0, 0)
	s.expect(s.Gate.Calls(fleet.Acquire) == 0, "the lease was touched")
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	return nil
}
