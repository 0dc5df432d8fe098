package vending_test

import (
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestSecretRotation(t *testing.T) {
	const current = `{"provider":"oauth2","client_id":"app","client_secret":"new","token_url":"https://idp.example.com/token"}`
	accepts := func(secret string) func(oauth.Request) *oauth.Error {
		return func(r oauth.Request) *oauth.Error {
			if r.ClientSecret.Reveal() == secret {
				return nil
			}
			return &oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
		}
	}
	t.Run("OC-46 a cached secret that is refused is read again", func(t *testing.T) {
		f := newFleet(t)
		f.secrets.stale = map[string]clientsecret.Secret{"crm": f.secrets.versions["crm"][0]}
		f.vend(f.process(), crm())
		f.declare("crm", current)
		f.server.refuse = accepts("new")
		f.clock.advance(time.Hour)
		v := f.vend(f.process(), crm())
		if f.server.calls() != 3 {
			t.Errorf("%d calls, want 3: of the second mint one with each secret", f.server.calls())
		}
		if again := f.vend(f.process(), crm()); again.ID != v.ID || again.SecretVersion != "v2" {
			t.Errorf("then %s of %s, want the same token, of the version that the record names by now", again.ID, again.SecretVersion)
		}
	})
	t.Run("FI-22 the previous secret is tried once, and counts as the current declaration", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", current)
		f.server.refuse = accepts("hush")
		core := f.process()
		ctx, entry := audited(t)
		if _, err := core.Vend(ctx, crm()); err != nil {
			t.Fatal(err)
		}
		if item := f.item("crm"); !entry.SecretFallback || item.Token.SecretVersion != "v2" {
			t.Errorf("fallback %v, version %s; want it noted, under v2", entry.SecretFallback, item.Token.SecretVersion)
		}
		calls := f.server.calls()
		f.clock.advance(time.Minute)
		if err := core.Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.vend(core, crm())
		if got := f.server.calls() - calls; got != 1 {
			t.Errorf("CR-20 %d calls at the next refresh, want 1: the label that worked is remembered", got)
		}
	})
	t.Run("CR-20 not when more than the client differs", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"new","token_url":"https://other.example.com/token"}`)
		f.server.refuse = accepts("hush")
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderRejected)
		if f.server.calls() != 1 {
			t.Errorf("%d calls, want 1", f.server.calls())
		}
	})
	t.Run("CR-20 a transient error triggers no fallback", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", current)
		f.server.failing(unavailable)
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
		if f.server.calls() != 1 {
			t.Errorf("%d calls, want 1", f.server.calls())
		}
	})
	t.Run("OC-46 so is one refused without an error code", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", current)
		f.server.refuse = func(r oauth.Request) *oauth.Error {
			if r.ClientSecret.Reveal() == "hush" {
				return nil
			}
			return &oauth.Error{Kind: oauth.Rejected, Trace: oauth.Trace{Calls: 1, Status: 400}}
		}
		f.vend(f.process(), crm())
	})
	t.Run("CR-22 a record that names another version bypasses the cache", func(t *testing.T) {
		f := newFleet(t)
		f.secrets.stale = map[string]clientsecret.Secret{"crm": f.secrets.versions["crm"][0]}
		f.declare("crm", current)
		if _, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm"}); err != nil {
			t.Fatal(err)
		}
		if err := f.process().Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.server.refuse = accepts("new")
		f.vend(f.process(), crm())
		if f.server.calls() != 1 {
			t.Errorf("%d calls, want 1: the new secret at once", f.server.calls())
		}
	})
}

func TestCorrectedSecretIsUsedSoon(t *testing.T) {
	const corrected = `{"provider":"oauth2","client_id":"app","client_secret":"new","token_url":"https://idp.example.com/token"}`
	t.Run("CR-19 although a cached copy still names the version that failed", func(t *testing.T) {
		f := newFleet(t)
		f.secrets.stale = map[string]clientsecret.Secret{"crm": f.secrets.versions["crm"][0]}
		f.server.failing(&oauth.Error{Kind: oauth.Rejected, Code: "unauthorized_client", Trace: oauth.Trace{Status: 400}})
		core := f.process()
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderRejected)
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderRejected)
		f.declare("crm", corrected)
		f.server.failing(nil)
		loads := f.secrets.loads
		for range 10 {
			wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderRejected)
		}
		if looked := f.secrets.loads - loads; looked != 10 {
			t.Errorf("%d reads for ten callers within 5 s, want ten of the cache and none past it", looked)
		}
		f.clock.advance(5 * time.Second)
		f.server.failing(&oauth.Error{Kind: oauth.Unavailable, RetryAfter: time.Hour, Trace: oauth.Trace{Status: 503}})
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable)
		if f.server.calls() != 2 {
			t.Errorf("%d calls, want a new attempt at once with the new version", f.server.calls())
		}
	})
	t.Run("CR-22 an invalid cached copy is read again", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", `{"provider":"unknown"}`)
		f.secrets.stale = map[string]clientsecret.Secret{"crm": f.secrets.versions["crm"][1]}
		core := f.process()
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.ConnectionMisconfigured)
		f.declare("crm", corrected)
		f.vend(core, crm())
	})
}
