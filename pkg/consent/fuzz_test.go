package consent_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// FuzzReceive sends arbitrary callbacks: without the cookie of the redirect, none
// is accepted and nothing changes.
func FuzzReceive(f *testing.F) {
	fx := newFixture()
	s := fx.start(f)
	b := fx.redirect(f, s.SessionID)
	f.Add("crm", response(b.state).Encode(), "")
	f.Add("erp", response(b.state).Encode(), ownCookie+"=x; "+ownCookie)
	f.Add("crm", response(manualState(s)).Encode(), ownCookie+"=")
	f.Add("crm", "error=access_denied&state="+b.state, "a=b;;="+ownCookie)
	f.Add("crm", "state=.&code=%", ";")
	before := fx.store.text()
	f.Fuzz(func(t *testing.T, name, query, cookies string) {
		_, err := fx.front.Receive(t.Context(), consent.CallbackRequest{Connection: connection.Name(name), RawQuery: query, Cookies: []string{cookies}})
		if code := codeOf(err); code != problem.InvalidRequest && code != problem.SessionExpired {
			t.Errorf("error %v", err)
		}
		if fx.store.text() != before {
			t.Error("a session has changed")
		}
	})
}

// FuzzCompletion completes manually with arbitrary addresses.
func FuzzCompletion(f *testing.F) {
	fx := newFixture()
	s := fx.start(f)
	b := fx.redirect(f, s.SessionID)
	f.Add(base + "/callback/crm?" + response(b.state).Encode())
	f.Add("https://evil.example.com/?" + response(manualState(s)).Encode())
	f.Add("?#")
	f.Add("https://[::1/callback/crm?code=c&state=" + manualState(s))
	before := fx.store.text()
	f.Fuzz(func(t *testing.T, address string) {
		err := fx.completeManually(address)
		if code := codeOf(err); code != problem.InvalidRequest && code != problem.SessionExpired {
			t.Errorf("error %v", err)
		}
		if len(fx.core.authorized) > 0 || fx.store.text() != before {
			t.Error("a session has changed")
		}
	})
}
