package vending_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestRejection(t *testing.T) {
	reject := func(id string) vending.Request {
		r := crm()
		r.RejectedTokenID = id
		return r
	}
	t.Run("FI-42 any other id gets the current token", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		v := f.vend(core, crm())
		if got := f.vend(core, reject("0123456789abcdef")); got.ID != v.ID || f.server.calls() != 1 {
			t.Errorf("got another token, or %d calls", f.server.calls())
		}
	})
	t.Run("CR-23 fifty callers with a 401 cause one refresh", func(t *testing.T) {
		f := newFleet(t)
		v := f.vend(f.process(), crm())
		f.clock.advance(time.Minute)
		for range 50 {
			if got := f.vend(f.process(), reject(v.ID)); got.AccessToken.Reveal() != "token_2" {
				t.Fatalf("got %s, want token_2", got.AccessToken.Reveal())
			}
		}
		if f.server.calls() != 2 {
			t.Errorf("%d calls, want 2", f.server.calls())
		}
	})
	t.Run("CR-23 a token younger than 30 s is not replaced", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		v := f.vend(core, crm())
		f.clock.advance(10 * time.Second)
		if p := wantCode(t, second(core.Vend(t.Context(), reject(v.ID))), problem.RateLimited); p.RetryAfter != 20*time.Second {
			t.Errorf("pause %v, want 20 s", p.RetryAfter)
		}
	})
	t.Run("CR-23 three forced refreshes of one principal in ten minutes, then 429", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		v := f.vend(core, crm())
		for range 3 {
			f.clock.advance(time.Minute)
			v = f.vend(core, reject(v.ID))
		}
		f.clock.advance(time.Minute)
		p := wantCode(t, second(core.Vend(t.Context(), reject(v.ID))), problem.RateLimited)
		if p.RetryAfter != 7*time.Minute {
			t.Errorf("pause %v, want 7 min", p.RetryAfter)
		}
		f.clock.advance(p.RetryAfter)
		f.vend(core, reject(v.ID))
	})
	t.Run("a failed refresh is an error, and the rejected token is not served", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		v := f.vend(core, crm())
		f.clock.advance(time.Minute)
		f.server.failing(unavailable)
		for range 2 {
			wantCode(t, second(core.Vend(t.Context(), reject(v.ID))), problem.ProviderUnavailable)
		}
		if f.server.calls() != 2 {
			t.Errorf("%d calls, want 2: the failure is remembered", f.server.calls())
		}
		if other := f.vend(f.process(), crm()); other.ID != v.ID || !other.Stale {
			t.Errorf("other callers got %s (stale %v), want the valid token, stale", other.ID, other.Stale)
		}
		f.server.failing(nil)
		f.clock.advance(3 * time.Second)
		if got := f.vend(core, reject(v.ID)); got.ID == v.ID {
			t.Error("the rejected token was served again")
		}
	})
}

func TestForget(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token",
		"revocation_url":"https://idp.example.com/revoke"}`)
	core := f.process()
	f.vend(core, crm())
	t.Run("OC-14 revokes first when asked to", func(t *testing.T) {
		if err := core.Forget(t.Context(), crm(), true); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.server.revoked, []string{"token_1"}) {
			t.Errorf("revoked %v", f.server.revoked)
		}
	})
	t.Run("the next vend mints", func(t *testing.T) {
		if v := f.vend(core, crm()); v.AccessToken.Reveal() != "token_2" {
			t.Errorf("got %s", v.AccessToken.Reveal())
		}
	})
	t.Run("nothing to forget is no error", func(t *testing.T) {
		if err := errors.Join(core.Forget(t.Context(), crm(), false), core.Forget(t.Context(), crm(), true)); err != nil {
			t.Error(err)
		}
	})
}

// A client_credentials token has no deferred refresh, even when a failure's next
// attempt falls on the token's end.
func TestRejectionDuringBackoffUntilTheEnd(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	first := f.vend(core, crm())
	f.clock.advance(52 * time.Minute)
	f.server.failing(&oauth.Error{Kind: oauth.Unavailable, Reason: "status", RetryAfter: 8 * time.Minute, Trace: oauth.Trace{Calls: 1, Status: 503}})
	if v := f.vend(core, crm()); !v.Stale || f.server.calls() != 2 {
		t.Fatalf("stale %v after %d calls", v.Stale, f.server.calls())
	}
	r := crm()
	r.RejectedTokenID = first.ID
	if _, err := core.Vend(t.Context(), r); !problem.Is(err, problem.ProviderUnavailable) || f.server.calls() != 2 {
		t.Errorf("CR-18 got %v after %d calls", err, f.server.calls())
	}
}
