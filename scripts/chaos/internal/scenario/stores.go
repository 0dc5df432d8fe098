package scenario

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// stores are the cases of a table that fails, loses answers, or is of another build.
func stores() []Scenario {
	return []Scenario{
		{ID: "FI-26", Title: "reads fail and memory has a token older than 10 s", Patient: true, run: readsFail},
		{ID: "FI-27", Title: "the table is down and environments are cold", run: tableDown},
		{ID: "FI-28", Title: "the table throttles 30 % under load", Patient: true, Alone: true, run: throttledTable},
		{ID: "FI-29", Title: "the answer to the acquisition is lost", run: lostAnswer(fleet.Acquire)},
		{ID: "FI-30", Title: "the answer to the commit is lost", run: lostAnswer(fleet.Commit)},
		{ID: "FI-32", Title: "eventually consistent reads lag behind a rejection", run: staleReads},
		{ID: "FI-48", Title: "an item of a build that writes an attribute more", run: otherBuild},
		{ID: "FI-50", Title: "the role's session has expired", run: expiredSession},
	}
}

// onTable are the steps that the table sees.
var onTable = []fleet.Step{
	fleet.Get, fleet.Acquire, fleet.Commit, fleet.Fail, fleet.Release, fleet.Reject, fleet.Drop,
	fleet.Mark, fleet.Slot, fleet.Variant, fleet.Note, fleet.Query, fleet.Other,
}

// breakTable sets a hook for every step on the table; nil removes it.
func (s *stage) breakTable(h fleet.Hook) {
	for _, step := range onTable {
		s.Gate.Set(step, fleet.Arrived, h)
	}
}

func readsFail(ctx context.Context, s *stage) error {
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	s.pause(ctx, 11*time.Second) // memory is asked to look again
	s.newAct()
	s.Gate.Set(fleet.Get, fleet.Arrived, fault.Always(fault.Broken))
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	s.expect(s.Gate.Calls(fleet.Get) > 0, "the table was not asked")
	s.expectCalls(0, 0)
	return nil
}

func tableDown(ctx context.Context, s *stage) error {
	s.TableLine.Reset()
	processes := s.Vends(4)
	for range 2 { // the second time from memory
		for _, a := range s.askAll(ctx, processes, fleet.TokenOf(crm)) {
			s.expectOutcome(a, "200")
		}
	}
	s.expectCalls(1, len(processes))
	s.newAct()
	a := s.ask(ctx, processes[0], fleet.TokenOf("creative-force-user"))
	s.expectOutcome(a, "503 store_unavailable", "409 authorization_required")
	s.expectCalls(0, 0)
	if err := s.TableLine.Up(); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(5), fleet.TokenOf(crm)), "200")
	return nil
}

// load asks every process over and over, as often in all per second, for d.
func (s *stage) load(ctx context.Context, processes []*fleet.Process, perSecond int, d time.Duration, connections ...string) {
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
					s.ask(context.WithoutCancel(ctx), p, fleet.TokenOf(connections[n%len(connections)]))
				}
			}
		})
	}
	wg.Wait()
}

func throttledTable(ctx context.Context, s *stage) error {
	processes := s.Vends(8)
	s.askAll(ctx, processes, fleet.TokenOf(crm))
	s.breakTable(fault.Share(0.3, 1, fault.Throttled))
	s.load(ctx, processes, 200, 20*time.Second, crm)
	s.breakTable(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := 0
	for outcome, n := range s.outcomes {
		asked += n
		if outcome != "200" {
			s.broken = append(s.broken, fmt.Sprintf("FI-28: %d× %s", n, outcome))
		}
	}
	if calls := s.Gate.Calls(fleet.Token); calls != 1 {
		s.broken = append(s.broken, fmt.Sprintf("INV-2: %d calls to the provider", calls))
	}
	s.facts = append(s.facts, fmt.Sprintf("%d requests in 20 s", asked))
	return nil
}

func lostAnswer(step fleet.Step) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		s.Gate.Once(step, fleet.Done, fault.Always(fleet.Cut))
		s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
		s.expect(s.Gate.Calls(step) == 2, "%d requests for %s, want the first and its repetition", s.Gate.Calls(step), step)
		s.expectCalls(1, 1)
		item, err := s.Item(ctx, crm)
		if err != nil {
			return err
		}
		version, _ := item["version"].(*types.AttributeValueMemberN)
		s.expect(version != nil && version.Value == "1", "FI-30: the version is not 1")
		return s.expectNoLease(ctx, crm)
	}
}

func staleReads(ctx context.Context, s *stage) error {
	old, err := s.Mint(ctx, crm, time.Minute)
	if err != nil {
		return err
	}
	s.serveStale(crm)
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	next := s.ask(ctx, s.vend(0), fleet.Rejecting(crm, old))
	s.expectOutcome(next, "200")
	s.expect(next.TokenID != old, "FI-32: the rejected token came back")
	again := s.ask(ctx, s.vend(0), fleet.TokenOf(crm))
	s.expect(again.TokenID == next.TokenID, "FI-32: the rejected token came back later")
	s.expectCalls(2, 2)
	return nil
}

// serveStale answers every eventually consistent read of a connection's item
// with what the first read finds.
func (s *stage) serveStale(connection string) {
	var mu sync.Mutex
	var first string
	s.Gate.Set(fleet.Get, fleet.Done, func(c fleet.Call) fleet.Decision {
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

func otherBuild(ctx context.Context, s *stage) error {
	first := s.ask(ctx, s.vend(0), fleet.TokenOf(crm))
	s.expectOutcome(first, "200")
	if err := s.Change(ctx, crm, values{"added_later": fleet.Text("unknown to this build")}); err != nil {
		return err
	}
	second := s.ask(ctx, s.vend(1), fleet.TokenOf(crm))
	s.expectOutcome(second, "200")
	s.expect(first.TokenID == second.TokenID, "FI-48: the other build's item was not read")
	s.expectCalls(1, 1)
	s.fact("one build only: the newer one's item is written by the harness")
	return nil
}

func expiredSession(ctx context.Context, s *stage) error {
	expired := fault.Always(fleet.Decision{Status: http.StatusBadRequest, Code: "ExpiredTokenException"})
	s.breakTable(expired)
	s.Gate.Set(fleet.Secret, fleet.Arrived, expired)
	for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf(crm)) {
		s.expectOutcome(a, "503 store_unavailable")
	}
	s.expectCalls(0, 0)
	s.breakTable(nil)
	s.Gate.Set(fleet.Secret, fleet.Arrived, nil)
	for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf(crm)) {
		s.expectOutcome(a, "200")
	}
	s.expectCalls(1, 1)
	return nil
}
