package vending_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// TestFleetSharesOneRefresh runs in a bubble of its own time, so that waiting
// for the provider and polling the lease happen as they would.
func TestFleetSharesOneRefresh(t *testing.T) {
	tests := []struct {
		name    string
		latency time.Duration
		code    problem.Code // of callers that get no token; empty: none may
	}{
		{"FI-01 200 cold processes, one call", 200 * time.Millisecond, ""},
		{"FI-02 the provider takes 9 s: callers get refresh_in_progress", 9 * time.Second, problem.RefreshInProgress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				f.inRealTime(tt.latency)
				began := time.Now()
				failed := 0
				var mu sync.Mutex
				var wg sync.WaitGroup
				for range 200 {
					core := f.process()
					wg.Go(func() {
						v, err := core.Vend(t.Context(), crm())
						mu.Lock()
						defer mu.Unlock()
						switch {
						case err != nil && problem.Of(err).Code == tt.code:
							failed++
						case err != nil || v.AccessToken.Reveal() != "token_1":
							t.Errorf("got %q, %v", v.AccessToken.Reveal(), err)
						}
					})
				}
				wg.Wait()
				if took, most := time.Since(began), max(2*tt.latency+200*time.Millisecond, 0); took > most {
					t.Errorf("the slowest caller took %v, want at most %v", took, most)
				}
				if f.server.calls() != 1 || tt.code != "" && failed != 199 {
					t.Errorf("%d provider calls, %d callers without a token", f.server.calls(), failed)
				}
				if v := f.vend(f.process(), crm()); v.AccessToken.Reveal() != "token_1" {
					t.Errorf("afterwards: %s", v.AccessToken.Reveal())
				}
			})
		})
	}
}

func TestWaitingForAnotherHolder(t *testing.T) {
	hold := func(f *fleet) tokenstore.Item {
		item, err := f.store.Store.Acquire(f.t.Context(), tokenstore.Acquire{
			Key: tokenstore.Key{Connection: "crm"}, Owner: "other", Now: f.clock.Now(), TTL: 19 * time.Second})
		if err != nil {
			f.t.Fatal(err)
		}
		return item
	}
	t.Run("CR-09 bounded, then refresh_in_progress", func(t *testing.T) {
		f := newFleet(t)
		hold(f)
		began := f.clock.Now()
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.RefreshInProgress)
		if waited := f.clock.Now().Sub(began); waited > 8*time.Second || waited < 7*time.Second {
			t.Errorf("waited %v, want about 8 s", waited)
		}
		if f.server.calls() != 0 {
			t.Error("a waiter called the provider")
		}
	})
	t.Run("FI-03 an expired lease is taken over", func(t *testing.T) {
		f := newFleet(t)
		hold(f)
		f.clock.advance(21 * time.Second)
		if v := f.vend(f.process(), crm()); v.AccessToken.Reveal() != "token_1" {
			t.Errorf("got %s", v.AccessToken.Reveal())
		}
	})
	t.Run("CR-09 a lease released without a result is taken at once", func(t *testing.T) {
		f := newFleet(t)
		hold(f)
		f.store.before = func(operation string) {
			if operation == "get consistent" {
				_ = f.store.Release(t.Context(), tokenstore.Release{Key: tokenstore.Key{Connection: "crm"}, Owner: "other"})
			}
		}
		f.vend(f.process(), crm())
	})
	t.Run("CR-18 a holder's failure is the answer for all who wait", func(t *testing.T) {
		f := newFleet(t)
		hold(f)
		f.server.failing(unavailable)
		other := f.process()
		f.store.before = func(operation string) {
			if operation == "get consistent" {
				f.store.before = nil
				_ = f.store.Release(t.Context(), tokenstore.Release{Key: tokenstore.Key{Connection: "crm"}, Owner: "other"})
				_, _ = other.Vend(t.Context(), crm())
			}
		}
		p := wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
		if f.server.calls() != 1 || p.RetryAfter <= 0 {
			t.Errorf("%d calls, pause %v; want one call and a pause", f.server.calls(), p.RetryAfter)
		}
	})
	t.Run("FI-09 no refresh starts with too little time left", func(t *testing.T) {
		f := newFleet(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantCode(t, second(f.process().Vend(ctx, crm())), problem.RefreshInProgress)
		if f.server.calls() != 0 || f.store.count("acquire") != 0 {
			t.Error("a refresh was started")
		}
	})
}

func TestCommitIsFenced(t *testing.T) {
	t.Run("FI-07 a holder frozen beyond its lease overwrites nothing newer", func(t *testing.T) {
		f := newFleet(t)
		other := f.process()
		f.server.during = func() {
			f.server.during = nil
			f.clock.advance(40 * time.Second) // the frozen holder's lease expires
			f.vend(other, crm())
		}
		v := f.vend(f.process(), crm())
		if item := f.item("crm"); v.AccessToken.Reveal() != "token_2" || item.Version != 1 || item.Token.ID != v.ID {
			t.Errorf("got %s, stored version %d; want the newer token in both places", v.AccessToken.Reveal(), item.Version)
		}
	})
	t.Run("FI-49 a token dropped while it was refreshed does not come back", func(t *testing.T) {
		f := newFleet(t)
		other := f.process()
		f.server.during = func() {
			f.server.during = nil
			if err := other.Forget(t.Context(), crm(), false); err != nil {
				t.Error(err)
			}
		}
		if v := f.vend(f.process(), crm()); v.AccessToken.Reveal() != "token_2" {
			t.Errorf("got %s, want one minted after the drop", v.AccessToken.Reveal())
		}
	})
}

func TestFailureMemory(t *testing.T) {
	t.Run("CR-18 no call until the next attempt, for any process", func(t *testing.T) {
		f := newFleet(t)
		f.server.failing(unavailable)
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
		for range 5 {
			wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
		}
		if f.server.calls() != 1 {
			t.Errorf("%d calls, want 1", f.server.calls())
		}
	})
	t.Run("CR-18 pauses double from 2 s to 30 s while callers have nothing", func(t *testing.T) {
		f := newFleet(t)
		f.server.failing(unavailable)
		low := []time.Duration{2, 3, 6, 12, 24, 30, 30}
		for i, want := range low {
			p := wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
			if p.RetryAfter < want*time.Second*3/4 || p.RetryAfter < 2*time.Second || p.RetryAfter > 30*time.Second {
				t.Errorf("pause %d = %v, want about %d s", i+1, p.RetryAfter, want)
			}
			f.clock.advance(p.RetryAfter)
		}
	})
	t.Run("FI-12 a longer Retry-After wins", func(t *testing.T) {
		f := newFleet(t)
		f.server.failing(&oauth.Error{Kind: oauth.Unavailable, RetryAfter: 2 * time.Minute, Trace: oauth.Trace{Status: 429}})
		core := f.process()
		_, _ = core.Vend(t.Context(), crm())
		f.clock.advance(119 * time.Second)
		p := wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable)
		if p.RetryAfter != time.Second || f.server.calls() != 1 {
			t.Errorf("pause %v after %d calls, want 1 s left and one call", p.RetryAfter, f.server.calls())
		}
	})
	t.Run("CR-19 another secret version clears the failure at once", func(t *testing.T) {
		f := newFleet(t)
		f.server.failing(&oauth.Error{Kind: oauth.Rejected, Code: "unauthorized_client", Trace: oauth.Trace{Status: 400}})
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderRejected)
		f.server.failing(nil)
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderRejected)
		f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"other","token_url":"https://idp.example.com/token"}`)
		f.vend(f.process(), crm())
		if f.item("crm").Failure.Count != 0 {
			t.Error("the failure is still stored after a success")
		}
	})
}

func TestTableDown(t *testing.T) {
	t.Run("FI-26 a valid token in memory is served", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		f.store.setDown(true)
		f.clock.advance(time.Minute)
		if v := f.vend(core, crm()); v.Source != vending.FromMemory {
			t.Errorf("served from %s", v.Source)
		}
	})
	t.Run("FI-27 a cold process mints at most once in 30 s", func(t *testing.T) {
		f := newFleet(t)
		f.server.lifetime = 20 * time.Second
		f.store.setDown(true)
		core := f.process()
		ctx, entry := audited(t)
		if _, err := core.Vend(ctx, crm()); err != nil || !warned(entry, "token_not_stored") {
			t.Errorf("AZ-57 a token that is not stored raises no alarm: %v", err)
		}
		f.vend(core, crm())
		f.clock.advance(25 * time.Second)
		p := wantCode(t, second(core.Vend(t.Context(), crm())), problem.StoreUnavailable)
		if f.server.calls() != 1 || p.RetryAfter != 5*time.Second {
			t.Errorf("%d calls, pause %v; want 1 and 5 s", f.server.calls(), p.RetryAfter)
		}
		f.clock.advance(5 * time.Second)
		f.vend(core, crm())
	})
	t.Run("a token that cannot be stored is served", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.server.during = func() { f.store.setDown(true) }
		ctx, entry := audited(t)
		v, err := core.Vend(ctx, crm())
		if err != nil || v.AccessToken.Reveal() != "token_1" {
			t.Fatalf("got %v, %v", v.AccessToken.Reveal(), err)
		}
		f.vend(core, crm())
		if f.server.calls() != 1 || entry.Source != "provider" {
			t.Errorf("%d calls, source %s", f.server.calls(), entry.Source)
		}
	})
	t.Run("CR-18 a token that is stored late clears the failure that came meanwhile", func(t *testing.T) {
		f := newFleet(t)
		f.store.setDown(true)
		core := f.process()
		f.vend(core, crm())
		f.store.setDown(false)
		f.clock.advance(time.Minute)
		f.server.failing(unavailable)
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
		f.vend(core, crm())
		if v := f.vend(f.process(), crm()); v.Source != vending.FromTable || f.item("crm").Failure.Count != 0 {
			t.Errorf("served from %s, %d failures remembered", v.Source, f.item("crm").Failure.Count)
		}
	})
}

func TestUsableTokenIsServedAtOnce(t *testing.T) {
	late := func(t *testing.T) (*fleet, *vending.Core) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		f.clock.advance(52 * time.Minute)
		return f, core
	}
	t.Run("CR-09 while another process refreshes", func(t *testing.T) {
		f, core := late(t)
		f.store.before = func(operation string) { // another process takes the lease after this one's read
			if operation == "acquire" {
				f.store.before = nil
				_, _ = f.store.Store.Acquire(t.Context(), tokenstore.Acquire{
					Key: tokenstore.Key{Connection: "crm"}, Owner: "other", Now: f.clock.Now(), TTL: 19 * time.Second})
			}
		}
		began := f.clock.Now()
		if v := f.vend(core, crm()); v.AccessToken.Reveal() != "token_1" || v.Stale || !f.clock.Now().Equal(began) {
			t.Errorf("got %s (stale %v) after %v", v.AccessToken.Reveal(), v.Stale, f.clock.Now().Sub(began))
		}
	})
	t.Run("CR-32 nor while the table is down", func(t *testing.T) {
		f, core := late(t)
		f.store.setDown(true)
		if v := f.vend(core, crm()); v.AccessToken.Reveal() != "token_1" || f.server.calls() != 1 {
			t.Errorf("got %s after %d calls", v.AccessToken.Reveal(), f.server.calls())
		}
	})
}
