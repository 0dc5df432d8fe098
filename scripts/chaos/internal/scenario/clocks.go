package scenario

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// clocks are the cases of clocks that are wrong and of processes that slept.
func clocks() []Scenario {
	return []Scenario{
		{ID: "FI-37", Title: "a lease of a clock 10 min ahead", run: absurdLease},
		{ID: "FI-37", Title: "a lease of a clock 30 s ahead", Patient: true, run: skewedLease},
		{ID: "FI-37", Title: "a token of a clock 10 min behind", run: skewedToken(10 * time.Minute)},
		{ID: "FI-37", Title: "a token of a clock 10 min ahead", Patient: true, run: skewedToken(-10 * time.Minute)},
		{ID: "FI-38", Title: "a process with a token sleeps past its end", Patient: true, run: thawed},
	}
}

// absurdLease is further ahead than any holder could have written it: it is
// taken over.
func absurdLease(ctx context.Context, s *stage) error {
	if err := s.seedLease(ctx, 10*time.Minute+leaseTTL); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	s.expectCalls(1, 1)
	return nil
}

// seedLease makes an item as a holder with another clock would have left it.
func (s *stage) seedLease(ctx context.Context, until time.Duration) error {
	s.fact("no process's clock can be set here: the skewed clock's item is written by the harness")
	return s.Change(ctx, crm, values{
		"schema": number("1"), "lease_owner": fleet.Text("0123456789abcdef0123456789abcdef"), "lease_seq": number("1"),
		"lease_until": fleet.Millis(time.Now().Add(until)),
	})
}

// skewedLease may be a living holder's: callers wait, are told to come again,
// and are served once it has ended by their own clock.
func skewedLease(ctx context.Context, s *stage) error {
	if err := s.seedLease(ctx, 30*time.Second); err != nil {
		return err
	}
	a := s.ask(ctx, s.vend(0), fleet.TokenOf(crm))
	s.expectOutcome(a, "503 refresh_in_progress")
	s.expectCalls(0, 0)
	if err := s.lapse(ctx, crm); err != nil {
		return err
	}
	s.served(ctx, s.vend(0), crm, 30*time.Second+grace)
	s.expectCalls(1, 1)
	return nil
}

// skewedToken has a process serve what another with a wrong clock minted. One
// refresh more is allowed, a token said to live longer than it does is not.
func skewedToken(behind time.Duration) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if _, err := s.Mint(ctx, crm, behind); err != nil {
			return err
		}
		s.newAct()
		s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
		s.expectCalls(0, 1)
		return nil
	}
}

// thawed freezes a process while its token ends, its connections are cut, and
// another refreshes.
func thawed(ctx context.Context, s *stage) error {
	const life = 20 * time.Second
	if err := s.Provider.SetLifetime(crm, life); err != nil {
		return err
	}
	sleeper := s.vend(0)
	before := s.ask(ctx, sleeper, fleet.TokenOf(crm))
	s.expectOutcome(before, "200")
	if err := sleeper.Freeze(); err != nil {
		return err
	}
	s.pause(ctx, 2*life)
	s.TableLine.Reset()
	if err := s.TableLine.Up(); err != nil {
		return err
	}
	other := s.ask(ctx, s.vend(1), fleet.TokenOf(crm))
	s.expectOutcome(other, "200")
	if err := sleeper.Thaw(); err != nil {
		return err
	}
	after := s.ask(ctx, sleeper, fleet.TokenOf(crm))
	s.expectOutcome(after, "200")
	s.expect(after.TokenID == other.TokenID, "FI-38: the thawed process served its own token")
	s.expect(after.Took < time.Second, "FI-38: the thawed process took %s, as if over a dead connection", after.Took)
	s.expectCalls(2, 2)
	return nil
}
