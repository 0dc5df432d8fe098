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

// renewals are the scenarios of scheduled renewal.
func renewals() []Scenario {
	return []Scenario{
		{ID: "FI-39", Title: "one event, three times at once and half an hour late", run: tripleTick},
		{ID: "FI-40", Title: "60 due, 1 poisoned, 10 hanging", FullOnly: true, run: mixedTick},
		{ID: "FI-41", Title: "nothing is renewed ahead", FullOnly: true, run: noRenewal},
	}
}

func number(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }

// due registers connections whose tokens are in use and due.
func (e *env) due(ctx context.Context, connections ...string) error {
	for _, c := range connections {
		if err := e.Register(c); err != nil {
			return err
		}
	}
	// The first tick records the new secrets, so that the next one only renews.
	if _, err := e.Process(fleet.Renew, 0).Send(ctx, fleet.Tick(time.Now())); err != nil {
		return err
	}
	for _, c := range connections {
		if _, err := e.Mint(ctx, c, 50*time.Minute); err != nil { // of an hour
			return err
		}
	}
	e.resetCounts()
	return e.MakeDue(ctx, connections...)
}

func tripleTick(ctx context.Context, e *env) error {
	if err := e.due(ctx, "due-1", "due-2", "due-3"); err != nil {
		return err
	}
	event := fleet.Tick(time.Now().Add(-30 * time.Minute))
	var wg sync.WaitGroup
	var mu sync.Mutex
	renewed := 0
	for n := range 3 {
		wg.Go(func() {
			done, err := e.Process(fleet.Renew, n).Send(ctx, event)
			e.expect(err == nil, "a tick failed%s", because(err))
			mu.Lock()
			defer mu.Unlock()
			renewed += done.Renewed
		})
	}
	wg.Wait()
	e.expect(renewed == 3, "FI-39: %d renewals of 3 tokens", renewed)
	e.expectCalls(3, 3)
	return nil
}

func mixedTick(ctx context.Context, e *env) error {
	var names []string
	for n := range 71 {
		names = append(names, fmt.Sprintf("due-%02d", n))
	}
	if err := e.due(ctx, names...); err != nil {
		return err
	}
	if err := e.Provider.Fault(names[0], answer(500)); err != nil {
		return err
	}
	for _, hangs := range names[1:11] {
		if err := e.Provider.Fault(hangs, sandbox.Fault{Hang: true}); err != nil {
			return err
		}
	}
	began := time.Now()
	done, err := e.Process(fleet.Renew, 0).Send(ctx, fleet.Tick(began))
	if err != nil {
		return err
	}
	took := time.Since(began)
	e.fact("%d due, %d renewed, %d skipped, %d failed, %d left over in %.1f s",
		done.Due, done.Renewed, done.Skipped, done.Failed, done.LeftOver, took.Seconds())
	e.expect(done.Renewed == 60, "FI-40: %d of the 60 in order were renewed", done.Renewed)
	e.expect(done.Failed+done.LeftOver == 11, "FI-40: %d failures and %d left over of 11 that fail or hang", done.Failed, done.LeftOver)
	e.expect(took < 25*time.Second, "FI-40: the tick took %s", took)
	return nil
}

func noRenewal(ctx context.Context, e *env) error {
	if err := e.Provider.SetLifetime(crm, 10*time.Second); err != nil {
		return err
	}
	e.load(ctx, e.Vends(4), 40, 45*time.Second, crm)
	e.mu.Lock()
	defer e.mu.Unlock()
	for outcome, n := range e.outcomes {
		if outcome != "200" {
			e.broken = append(e.broken, fmt.Sprintf("FI-41: %d× %s", n, outcome))
		}
	}
	if calls := e.Gate.Calls(fleet.Token); calls < 4 || calls > 7 { // the first, and one each 8.5 s
		e.broken = append(e.broken, fmt.Sprintf("INV-2: %d calls in 45 s of tokens that live for 10 s", calls))
	}
	return nil
}
