package vending_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// TestTableThrottled: a table with too many requests is in use by the fleet, so no
// process asks the provider alone, as it does while the table is down.
func TestTableThrottled(t *testing.T) {
	refused := func(t *testing.T, f *fleet, core *vending.Core, r vending.Request) {
		t.Helper()
		p := wantCode(t, second(core.Vend(t.Context(), r)), problem.StoreUnavailable)
		if p.RetryAfter < time.Second || !contains(p.Detail, "too many requests") {
			t.Errorf("CR-31 Retry-After %v, %q", p.RetryAfter, p.Detail)
		}
	}
	t.Run("CR-31 FI-28 cold processes ask no provider", func(t *testing.T) {
		f := newFleet(t)
		f.store.Throttle(true)
		for range 20 {
			refused(t, f, f.process(), crm())
		}
		if f.server.calls() != 0 {
			t.Errorf("%d provider calls", f.server.calls())
		}
		f.store.Throttle(false)
		for range 20 {
			f.vend(f.process(), crm())
		}
		if f.server.calls() != 1 {
			t.Errorf("%d provider calls after the throttling, want 1", f.server.calls())
		}
	})
	t.Run("CR-31 nor where the lease alone is throttled", func(t *testing.T) {
		f := newFleet(t)
		f.store.before = func(operation string) { f.store.Throttle(operation == "acquire") }
		refused(t, f, f.process(), crm())
		if f.server.calls() != 0 || f.store.count("acquire") == 0 {
			t.Errorf("%d provider calls, %d leases asked for", f.server.calls(), f.store.count("acquire"))
		}
	})
	t.Run("CR-31 FI-26 a valid token in memory is served", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		f.store.Throttle(true)
		f.clock.advance(time.Minute)
		if v := f.vend(core, crm()); v.Source != vending.FromMemory || v.Stale {
			t.Errorf("served from %s, stale %v", v.Source, v.Stale)
		}
		f.clock.advance(52 * time.Minute) // due, so one refresh is tried
		if v := f.vend(core, crm()); v.AccessToken.Reveal() != "token_1" || f.server.calls() != 1 {
			t.Errorf("got %s after %d calls", v.AccessToken.Reveal(), f.server.calls())
		}
		f.clock.advance(8 * time.Minute) // expired
		refused(t, f, core, crm())
	})
	t.Run("CR-31 CR-23 a rejected token is not replaced without the table", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		v := f.vend(core, crm())
		f.clock.advance(time.Minute)
		f.store.Throttle(true)
		rejection := crm()
		rejection.RejectedTokenID = v.ID
		refused(t, f, core, rejection)
		if f.server.calls() != 1 {
			t.Errorf("%d provider calls", f.server.calls())
		}
	})
	t.Run("CR-31 CR-32 no refresh token is sent", func(t *testing.T) {
		d, _ := consented(t, rotates)
		d.clock.advance(expired)
		d.store.Throttle(true)
		wantCode(t, second(d.process().Vend(t.Context(), user())), problem.StoreUnavailable)
		if d.idp.calls() != 1 {
			t.Errorf("%d provider calls", d.idp.calls())
		}
	})
	t.Run("CR-31 concurrent callers share the refused read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			f.inRealTime(0)
			f.store.Throttle(true)
			f.store.before = func(string) { time.Sleep(100 * time.Millisecond) }
			core := f.process()
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() { _, _ = core.Vend(t.Context(), crm()) })
			}
			callers.Wait()
			if reads := f.store.count("get") + f.store.count("get consistent"); reads != 1 || f.server.calls() != 0 {
				t.Errorf("%d reads for 50 callers, %d provider calls", reads, f.server.calls())
			}
		})
	})
}
