package vending_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

const referring = `{"provider":"oauth2","client_id":"app","client_secret":{"secret":"vendors/crm"},"token_url":"https://idp.example.com/token"}`

// newReferring returns a fleet whose connection refers to another secret.
func newReferring(t *testing.T) *fleet {
	f := newFleet(t)
	f.declare("vendors/crm", "first")
	f.declare("crm", referring)
	return f
}

func TestReferences_CR20_CR21_rotation(t *testing.T) {
	accepts := func(secrets ...string) func(oauth.Request) *oauth.Error {
		return func(r oauth.Request) *oauth.Error {
			for _, s := range secrets {
				if r.ClientSecret.Reveal() == s {
					return nil
				}
			}
			return &oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
		}
	}
	t.Run("CR-21 a rotation replaces the token, as an edit of the secret does", func(t *testing.T) {
		f := newReferring(t)
		f.server.refuse = accepts("first", "second")
		before := f.vend(f.process(), crm())
		f.declare("vendors/crm", "second")
		change, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm"})
		if err != nil || change.Recorded != 1 || change.Reissued != 1 {
			t.Fatalf("%+v, %v", change, err)
		}
		if after := f.vend(f.process(), crm()); after.ID == before.ID || f.server.calls() != 2 {
			t.Errorf("%d calls, the same token: %v", f.server.calls(), after.ID == before.ID)
		}
		if change, err = f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm"}); err != nil || change.Recorded+change.Reissued != 0 {
			t.Errorf("CR-21 then %+v, %v", change, err)
		}
	})
	t.Run("CR-22 a cached copy of the former version is not used", func(t *testing.T) {
		f := newReferring(t)
		f.secrets.stale = map[string]clientsecret.Secret{"vendors/crm": f.secrets.versions["vendors/crm"][0]}
		f.declare("vendors/crm", "second")
		f.server.refuse = accepts("second")
		if f.vend(f.process(), crm()); f.server.calls() != 1 {
			t.Errorf("%d calls, want 1: with the version that is current", f.server.calls())
		}
	})
	t.Run("FI-22 the previous version of the referenced secret", func(t *testing.T) {
		f := newReferring(t)
		f.declare("vendors/crm", "second")
		f.declare("vendors/crm", "third") // the third version is younger than the second of crm
		f.server.refuse = accepts("second")
		ctx, entry := audited(t)
		if _, err := f.process().Vend(ctx, crm()); err != nil || !entry.SecretFallback || f.server.calls() != 2 {
			t.Errorf("fallback %v, %d calls, %v", entry.SecretFallback, f.server.calls(), err)
		}
	})
	t.Run("CR-20 one more request, whichever secrets there are", func(t *testing.T) {
		f := newReferring(t)
		f.declare("vendors/crm", "second")
		f.declare("crm", referring+" ")
		f.server.refuse = accepts("none")
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderRejected)
		if f.server.calls() > 2 {
			t.Errorf("%d calls", f.server.calls())
		}
	})
}

func TestReferences_BI53_gone(t *testing.T) {
	bundle := `{"connections":{"a":` + referring + `,"b":{"provider":"oauth2","client_id":"b","client_secret":"hush","token_url":"https://idp.example.com/token"}}}`
	f := newReferring(t)
	f.declare("crm", bundle)
	a, b := vending.Request{Connection: "crm.a"}, vending.Request{Connection: "crm.b"}
	f.vend(f.process(), a)
	f.vend(f.process(), b)
	f.secrets.failing = map[string]error{"vendors/crm": clientsecret.ErrUnavailable}
	t.Run("FI-34 throttled changes nothing", func(t *testing.T) {
		_, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm", Former: []string{"crm.a", "crm.b"}})
		wantCode(t, err, problem.StoreUnavailable)
		f.vend(f.process(), a)
	})
	f.secrets.failing["vendors/crm"] = clientsecret.ErrNotFound
	t.Run("BI-53 a missing secret ends that member only", func(t *testing.T) {
		if _, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm", Former: []string{"crm.a", "crm.b"}}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, second(f.process().Vend(t.Context(), a)), problem.ConnectionMisconfigured)
		f.vend(f.process(), b)
	})
	f.secrets.failing = nil
	t.Run("CR-38 restored, it works at once", func(t *testing.T) {
		calls := f.server.calls()
		f.vend(f.process(), a)
		if f.server.calls() != calls {
			t.Error("the token was not kept")
		}
	})
}
