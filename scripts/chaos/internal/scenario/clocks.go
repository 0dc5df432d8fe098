package scenario

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// clocks are the scenarios of wrong clocks and of frozen processes.
func clocks() []Scenario {
	return []Scenario{
		{ID: "FI-37", Title: "a lease of a clock 10 min ahead", run: implausibleLease},
		{ID: "FI-37", Title: "a lease of a clock 30 s ahead", FullOnly: true, run: skewedLease},
		{ID: "FI-37", Title: "a token of a clock 10 min behind", run: skewedToken(10 * time.Minute)},
		{ID: "FI-37", Title: "a token of a clock 10 min ahead", FullOnly: true, run: skewedToken(-10 * time.Minute)},
		{ID: "FI-38", Title: "a process is frozen until its token has expired", FullOnly: true, run: frozenPastExpiry},
	}
}

// implausibleLease ends later than any holder could have written, so it is taken
// over.
func implausibleLease(ctx context.Context, e *env) {
	e.seedLease(ctx, 10*time.Minute+leaseTTL)
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.expectCalls(1, 1)
}

// seedLease writes an item as a holder with another clock leaves it.
func (e *env) seedLease(ctx context.Context, until time.Duration) {
	e.fact("the clock of a process cannot be set: the harness writes the item")
	e.must(e.Change(ctx, crm, values{
		"schema": number("1"), "lease_owner": fleet.Text("0123456789abcdef0123456789abcdef"), "lease_seq": number("1"),
		"lease_until": fleet.Millis(time.Now().Add(until)),
	}))
}

// skewedLease may be a living holder's. Callers wait, get Retry-After, and are
// served once it has expired by their own clock.
func skewedLease(ctx context.Context, e *env) {
	e.seedLease(ctx, 30*time.Second)
	a := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.expectOutcome(a, "503 refresh_in_progress")
	e.expectCalls(0, 0)
	e.expireLease(ctx, crm)
	e.served(ctx, e.vend(0), crm, 30*time.Second+grace)
	e.expectCalls(1, 1)
}

// skewedToken serves a token that another process with a wrong clock minted. One
// extra refresh is allowed; serving an expired token is not.
func skewedToken(behind time.Duration) func(context.Context, *env) {
	return func(ctx context.Context, e *env) {
		e.mint(ctx, crm, behind)
		e.resetCounts()
		e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
		e.expectCalls(0, 1)
	}
}

// frozenPastExpiry freezes a process while its token expires, its connections are
// cut, and another process refreshes.
func frozenPastExpiry(ctx context.Context, e *env) {
	const life = 20 * time.Second
	e.must(e.Provider.SetLifetime(crm, life))
	sleeper := e.vend(0)
	before := e.ask(ctx, sleeper, fleet.TokenOf(crm))
	e.expectOutcome(before, "200")
	e.must(sleeper.Freeze())
	e.pause(ctx, 2*life)
	e.TableLine.Cut()
	e.TableLine.Restore()
	other := e.ask(ctx, e.vend(1), fleet.TokenOf(crm))
	e.expectOutcome(other, "200")
	e.must(sleeper.Thaw())
	after := e.ask(ctx, sleeper, fleet.TokenOf(crm))
	e.expectOutcome(after, "200")
	e.expect(after.TokenID == other.TokenID, "FI-38: the thawed process served its own token")
	e.expect(after.Took < time.Second, "FI-38: the thawed process took %s, as if over a dead connection", after.Took)
	e.expectCalls(2, 2)
}
