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
func implausibleLease(ctx context.Context, e *env) error {
	if err := e.seedLease(ctx, 10*time.Minute+leaseTTL); err != nil {
		return err
	}
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.expectCalls(1, 1)
	return nil
}

// seedLease writes an item as a holder with another clock leaves it.
func (e *env) seedLease(ctx context.Context, until time.Duration) error {
	e.fact("the clock of a process cannot be set: the harness writes the item")
	return e.Change(ctx, crm, values{
		"schema": number("1"), "lease_owner": fleet.Text("0123456789abcdef0123456789abcdef"), "lease_seq": number("1"),
		"lease_until": fleet.Millis(time.Now().Add(until)),
	})
}

// skewedLease may be a living holder's. Callers wait, get Retry-After, and are
// served once it has expired by their own clock.
func skewedLease(ctx context.Context, e *env) error {
	if err := e.seedLease(ctx, 30*time.Second); err != nil {
		return err
	}
	a := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.expectOutcome(a, "503 refresh_in_progress")
	e.expectCalls(0, 0)
	if err := e.expireLease(ctx, crm); err != nil {
		return err
	}
	e.served(ctx, e.vend(0), crm, 30*time.Second+grace)
	e.expectCalls(1, 1)
	return nil
}

// skewedToken serves a token that another process with a wrong clock minted. One
// extra refresh is allowed; serving an expired token is not.
func skewedToken(behind time.Duration) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		if _, err := e.Mint(ctx, crm, behind); err != nil {
			return err
		}
		e.resetCounts()
		e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
		e.expectCalls(0, 1)
		return nil
	}
}

// frozenPastExpiry freezes a process while its token expires, its connections are
// cut, and another process refreshes.
func frozenPastExpiry(ctx context.Context, e *env) error {
	const life = 20 * time.Second
	if err := e.Provider.SetLifetime(crm, life); err != nil {
		return err
	}
	sleeper := e.vend(0)
	before := e.ask(ctx, sleeper, fleet.TokenOf(crm))
	e.expectOutcome(before, "200")
	if err := sleeper.Freeze(); err != nil {
		return err
	}
	e.pause(ctx, 2*life)
	e.TableLine.Cut()
	e.TableLine.Restore()
	other := e.ask(ctx, e.vend(1), fleet.TokenOf(crm))
	e.expectOutcome(other, "200")
	if err := sleeper.Thaw(); err != nil {
		return err
	}
	after := e.ask(ctx, sleeper, fleet.TokenOf(crm))
	e.expectOutcome(after, "200")
	e.expect(after.TokenID == other.TokenID, "FI-38: the thawed process served its own token")
	e.expect(after.Took < time.Second, "FI-38: the thawed process took %s, as if over a dead connection", after.Took)
	e.expectCalls(2, 2)
	return nil
}
