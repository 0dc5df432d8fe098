package consent_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// withCallback is a fixture whose provider has its own name of the code, and says
// more in its callback.
func withCallback() *fixture {
	f := newFixture()
	f.change(func(c *connection.Connection) {
		c.Callback = provider.Callback{Code: "oauth_code", Extra: map[string]string{"realm": "realmId"}}
	})
	return f
}

func TestCallbackExtra(t *testing.T) {
	want := extra.Values{"realm": "12"}
	check := func(t *testing.T, f *fixture, want extra.Values) {
		t.Helper()
		if len(f.core.authorized) != 1 || f.core.authorized[0].Code.Reveal() != theCode {
			t.Fatalf("authorized %v", f.core.authorized)
		}
		if diff := cmp.Diff(want, f.core.authorized[0].Extra); diff != "" {
			t.Errorf("OC-72 extra (-want +got):\n%s", diff)
		}
	}
	answer := func(state string) url.Values {
		return url.Values{"oauth_code": {theCode}, "state": {state}, "realmId": {"12"}, "other": {"x"}}
	}
	t.Run("OC-72 through the browser", func(t *testing.T) {
		f := withCallback()
		s := f.start(t)
		b := f.redirect(t, s.SessionID)
		result, err := f.callback(b, answer(b.state))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, f.complete(s.SessionID, result.ConfirmationCode.Reveal()), "", "")
		check(t, f, want)
	})
	t.Run("OC-72 by hand", func(t *testing.T) {
		f := withCallback()
		s := f.start(t)
		expect(t, f.completeManually(base+"/callback/crm?"+answer(manualState(s)).Encode()), "", "")
		check(t, f, want)
	})
	t.Run("OC-72 by code and state", func(t *testing.T) {
		f := withCallback()
		s := f.start(t)
		expect(t, f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner,
			Code: redact.New(theCode), State: redact.New(manualState(s)), Extra: extra.Values{"realm": "34"}}), "", "")
		check(t, f, extra.Values{"realm": "34"})
	})
}

// TestRedirectURIThatIsAName: the browser returns to the callback page if the vendor's
// console says so, and otherwise the consent is completed by hand.
func TestRedirectURIThatIsAName(t *testing.T) {
	for _, name := range []string{"Acme_Inc-AcmeIn-App-abcdef", "urn:ietf:wg:oauth:2.0:oob"} {
		named := func() *fixture {
			f := newFixture()
			f.change(func(c *connection.Connection) { c.RedirectURI = name })
			return f
		}
		sent := func(t *testing.T, f *fixture) {
			t.Helper()
			if len(f.core.authorized) != 1 || f.core.authorized[0].RedirectURI != name {
				t.Errorf("OC-02 authorized %v", f.core.authorized)
			}
		}
		t.Run("OC-02 through the browser "+name, func(t *testing.T) {
			f := named()
			s := f.start(t)
			if got := parse(t, s.AuthorizationURL).Query().Get("redirect_uri"); got != name {
				t.Errorf("redirect_uri %s", got)
			}
			b := f.redirect(t, s.SessionID)
			result, err := f.callback(b, response(b.state))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, f.complete(s.SessionID, result.ConfirmationCode.Reveal()), "", "")
			sent(t, f)
		})
		t.Run("OC-02 by hand, wherever the browser ended "+name, func(t *testing.T) {
			f := named()
			s := f.start(t)
			expect(t, f.completeManually("http://localhost:1/done?"+response(manualState(s)).Encode()), "", "")
			sent(t, f)
		})
	}
}
