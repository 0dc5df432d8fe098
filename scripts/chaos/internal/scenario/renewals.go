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
func (e *env) due(ctx context.Context, connections ...string) {
	for _, c := range connections {
		e.must(e.Register(c))
	}
	// The first tick records the new secrets, so that the next one only renews.
	e.renew(ctx, fleet.Tick(time.Now()))
	for _, c := range connections {
		e.mint(ctx, c, 50*time.Minute) // of an hour
	}
	e.resetCounts()
	e.must(e.MakeDue(ctx, connections...))
}

func tripleTick(ctx context.Context, e *env) {
	e.due(ctx, "due-1", "due-2", "due-3")
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
}

func mixedTick(ctx context.Context, e *env) {
	var names []string
	for n := range 71 {
		names = append(names, fmt.Sprintf("due-%02d", n))
	}
	e.due(ctx, names...)
	e.fault(names[0], answer(500))
	for _, hangs := range names[1:11] {
		e.fault(hangs, sandbox.Fault{Hang: true})
	}
	began := time.Now()
	done := e.renew(ctx, fleet.Tick(began))
	took := time.Since(began)
	e.fact("%d due, %d renewed, %d skipped, %d failed, %d left over in %.1f s",
		done.Due, done.Renewed, done.Skipped, done.Failed, done.LeftOver, took.Seconds())
	e.expect(done.Renewed == 60, "FI-40: %d of the 60 in order were renewed", done.Renewed)
	e.expect(done.Failed+done.LeftOver == 11, "FI-40: %d failures and %d left over of 11 that fail or hang", done.Failed, done.LeftOver)
	e.expect(took < 25*time.Second, "FI-40: the tick took %s", took)
}

func noRenewal(ctx context.Context, e *env) {
	e.must(e.Provider.SetLifetime(crm, 10*time.Second))
	e.load(ctx, e.Vends(4), 40, 45*time.Second, crm)
	e.expectAllServed("FI-41")
	e.expectCalls(4, 7) // the first, and one each 8.5 s
}
