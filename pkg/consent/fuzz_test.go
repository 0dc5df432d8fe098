package consent_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// FuzzReceive lets anybody knock with anything: without the cookie of the
// browser that left, nothing gets in and nothing changes.
func FuzzReceive(f *testing.F) {
	w := newWorld()
	s := w.start(f)
	b := w.leave(f, s.SessionID)
	f.Add("crm", answer(b.state).Encode(), "")
	f.Add("erp", answer(b.state).Encode(), ownCookie+"=x; "+ownCookie)
	f.Add("crm", answer(parseState(s)).Encode(), ownCookie+"=")
	f.Add("crm", "error=access_denied&state="+b.state, "a=b;;="+ownCookie)
	f.Add("crm", "state=.&code=%", ";")
	before := w.tables.text()
	f.Fuzz(func(t *testing.T, name, query, cookies string) {
		_, err := w.door.Receive(t.Context(), consent.CallbackRequest{Connection: connection.Name(name), RawQuery: query, Cookies: []string{cookies}})
		if code := codeOf(err); code != problem.InvalidRequest && code != problem.SessionExpired {
			t.Errorf("error %v", err)
		}
		if w.tables.text() != before {
			t.Error("a session has changed")
		}
	})
}

// FuzzClaim hands in any address as the one at which a browser ended.
func FuzzClaim(f *testing.F) {
	w := newWorld()
	s := w.start(f)
	b := w.leave(f, s.SessionID)
	f.Add(base + "/callback/crm?" + answer(b.state).Encode())
	f.Add("https://evil.example.com/?" + answer(parseState(s)).Encode())
	f.Add("?#")
	f.Add("https://[::1/callback/crm?code=c&state=" + parseState(s))
	before := w.tables.text()
	f.Fuzz(func(t *testing.T, address string) {
		err := w.byHand(address)
		if code := codeOf(err); code != problem.InvalidRequest && code != problem.SessionExpired {
			t.Errorf("error %v", err)
		}
		if len(w.core.adopted) > 0 || w.tables.text() != before {
			t.Error("a session has changed")
		}
	})
}
