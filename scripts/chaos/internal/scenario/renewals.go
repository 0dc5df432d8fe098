package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// renewals are the cases of the schedule.
func renewals() []Scenario {
	return []Scenario{
		{ID: "FI-39", Title: "one event, three times at once and half an hour late", run: tripleTick},
		{ID: "FI-40", Title: "60 due, 1 poisoned, 10 hanging", Patient: true, run: mixedTick},
		{ID: "FI-41", Title: "nothing is renewed ahead", Patient: true, run: noRenewal},
	}
}

func number(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }

// due makes a connection with a token that callers use and whose turn it is.
func (s *stage) due(ctx context.Context, connections ...string) error {
	for _, c := range connections {
		if err := s.Register(ctx, c); err != nil {
			return err
		}
	}
	// What the ledger has to note of new secrets is noted before there is
	// anything to renew.
	if _, err := s.Process(fleet.Renew, 0).Send(ctx, fleet.Tick(time.Now())); err != nil {
		return err
	}
	for _, c := range connections {
		if _, err := s.Mint(ctx, c, 50*time.Minute); err != nil { // of an hour
			return err
		}
	}
	s.newAct()
	return s.MakeDue(ctx, connections...)
}

func tripleTick(ctx context.Context, s *stage) error {
	if err := s.due(ctx, "due-1", "due-2", "due-3"); err != nil {
		return err
	}
	event := fleet.Tick(time.Now().Add(-30 * time.Minute))
	var wg sync.WaitGroup
	var mu sync.Mutex
	renewed := 0
	for n := range 3 {
		wg.Go(func() {
			done, err := s.Process(fleet.Renew, n).Send(ctx, event)
			s.expect(err == nil, "a tick failed%s", because(err))
			mu.Lock()
			defer mu.Unlock()
			renewed += done.Renewed
		})
	}
	wg.Wait()
	s.expect(renewed == 3, "FI-39: %d renewals of 3 tokens", renewed)
	s.expectCalls(3, 3)
	return nil
}

func mixedTick(ctx context.Context, s *stage) error {
	var names []string
	for n := range 71 {
		names = append(names, fmt.Sprintf("due-%02d", n))
	}
	if err := s.due(ctx, names...); err != nil {
		return err
	}
	if err := s.Provider.Fault(names[0], answer(500)); err != nil {
		return err
	}
	for _, hangs := range names[1:11] {
		if err := s.Provider.Fault(hangs, sandbox.Fault{Hang: true}); err != nil {
			return err
		}
	}
	began := time.Now()
	done, err := s.Process(fleet.Renew, 0).Send(ctx, fleet.Tick(began))
	if err != nil {
		return err
	}
	took := time.Since(began)
	s.fact("%d due, %d renewed, %d skipped, %d failed, %d left over in %.1f s",
		done.Due, done.Renewed, done.Skipped, done.Failed, done.LeftOver, took.Seconds())
	s.expect(done.Renewed == 60, "FI-40: %d of the 60 in order were renewed", done.Renewed)
	s.expect(done.Failed+done.LeftOver == 11, "FI-40: %d failures and %d left over of 11 in trouble", done.Failed, done.LeftOver)
	s.expect(took < 25*time.Second, "FI-40: the tick took %s", took)
	return nil
}

func noRenewal(ctx context.Context, s *stage) error {
	if err := s.Provider.SetLifetime(crm, 10*time.Second); err != nil {
		return err
	}
	s.load(ctx, s.Vends(4), 40, 45*time.Second, crm)
	s.mu.Lock()
	defer s.mu.Unlock()
	for outcome, n := range s.outcomes {
		if outcome != "200" {
			s.broken = append(s.broken, fmt.Sprintf("FI-41: %d× %s", n, outcome))
		}
	}
	if calls := s.Gate.Calls(fleet.Token); calls < 4 || calls > 7 { // one each 8.5 s and one to begin with
		s.broken = append(s.broken, fmt.Sprintf("INV-2: %d calls in 45 s of tokens that live for 10 s", calls))
	}
	return nil
}
