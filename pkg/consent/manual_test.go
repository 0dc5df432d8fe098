package consent_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
)

// noSealer has no keyset.
type noSealer struct{}

func (noSealer) Seal(context.Context, []byte, ...string) ([]byte, error) {
	return nil, seal.ErrUnavailable
}
func (noSealer) Open(context.Context, []byte, ...string) ([]byte, error) {
	return nil, seal.ErrUnavailable
}

// ended is the address at which a browser ends that was sent off by hand.
func ended(s consent.Started) string {
	return base + "/callback/crm?" + answer(parseState(s)).Encode()
}

func TestByHand(t *testing.T) {
	once := func(t *testing.T, w *world, r consent.CompleteRequest) {
		t.Helper()
		r.Connection, r.Principal = crm, owner
		expect(t, w.flow.Complete(w.ctx, r), "", "")
		expect(t, w.flow.Complete(w.ctx, r), problem.SessionExpired, "completed or has ended")
		if len(w.core.adopted) != 1 || w.core.adopted[0].Code.Reveal() != theCode || w.core.adopted[0].Verifier.IsZero() {
			t.Errorf("adopted %v", w.core.adopted)
		}
	}
	t.Run("OC-02 the whole address", func(t *testing.T) {
		w := newWorld()
		once(t, w, consent.CompleteRequest{RedirectURL: redact.New(" " + strings.Replace(ended(w.start(t)), "?", "?scope=read&session_state=x&", 1) + "#_=_\n")})
	})
	t.Run("OC-02 the address with the session's id", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		once(t, w, consent.CompleteRequest{RedirectURL: redact.New(ended(s)), SessionID: redact.New(s.SessionID)})
	})
	t.Run("OC-02 code and state", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		once(t, w, consent.CompleteRequest{Code: redact.New(theCode), State: redact.New(parseState(s))})
	})
	t.Run("OC-02 a browser that ended at our callback as a stranger", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		_, err := w.arrive(browser{}, answer(parseState(s)))
		expect(t, err, problem.InvalidRequest, "with the complete address of this page")
		once(t, w, consent.CompleteRequest{RedirectURL: redact.New(ended(s))})
	})
	t.Run("OC-02 a redirect URI elsewhere, by either state", func(t *testing.T) {
		for _, byPage := range []bool{false, true} {
			w := newWorld()
			w.change(func(c *connection.Connection) { c.RedirectURI = "https://Apps.example.com:443?tenant=7" })
			s := w.start(t)
			state := parseState(s)
			if byPage {
				state = w.leave(t, s.SessionID).state
			}
			once(t, w, consent.CompleteRequest{RedirectURL: redact.New("https://apps.example.com/?tenant=7&" + answer(state).Encode())})
			if w.core.adopted[0].RedirectURI != "https://Apps.example.com:443?tenant=7" {
				t.Error("the redirect URI has changed")
			}
		}
	})
}

func TestByHandRefused(t *testing.T) {
	in := func(change func(string) string) func(*testing.T, *world, consent.Started) error {
		return func(_ *testing.T, w *world, s consent.Started) error { return w.byHand(change(ended(s))) }
	}
	tests := []struct {
		name  string
		try   func(t *testing.T, w *world, s consent.Started) error
		code  problem.Code
		words string
	}{
		{"BI-30 no query", in(func(string) string { return base + "/callback/crm" }), problem.InvalidRequest, "state"},
		{"BI-30 a state that is none", in(func(a string) string { return strings.Replace(a, "state=", "state=x", 1) }), problem.InvalidRequest, "not issued by this service"},
		{"BI-30 a state with another end", in(func(a string) string { return a[:len(a)-3] + "aaa" }), problem.InvalidRequest, "authorization_url"},
		{"BI-30 the state of a session that never was", in(func(a string) string {
			return strings.Replace(a, "state=", "state="+strings.Repeat("0", 64)+"."+strings.Repeat("a", 32)+"&x=", 1)
		}), problem.SessionExpired, "no such"},
		{"BI-32 two codes", in(func(a string) string { return a + "&code=x" }), problem.InvalidRequest, "repeats a parameter"},
		{"BI-33 a code of 4 KiB", func(_ *testing.T, w *world, s consent.Started) error {
			return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, Code: redact.New(strings.Repeat("c", 4096)), State: redact.New(parseState(s))})
		}, problem.InvalidRequest, "2 KiB"},
		{"BI-35 the address of another connection", in(func(a string) string { return strings.Replace(a, "/crm?", "/erp?", 1) }), problem.InvalidRequest, "redirect_url"},
		{"BI-35 the address of another host", in(func(a string) string { return strings.Replace(a, "api.", "evil.", 1) }), problem.InvalidRequest, "redirect_url"},
		{"BI-35 no address", in(func(a string) string { return "callback" + a[strings.Index(a, "?"):] }), problem.InvalidRequest, "redirect_url"},
		{"BI-36 another issuer", in(func(a string) string { return a + "&iss=https%3A%2F%2Fevil.example.com" }), problem.InvalidRequest, "issuer"},
		{"BI-23 two sessions", func(t *testing.T, w *world, s consent.Started) error {
			return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: owner,
				SessionID: redact.New(strings.Repeat("a", 32)), RedirectURL: redact.New(ended(s))})
		}, problem.InvalidRequest, "two consent sessions"},
		{"BI-23 another principal", func(_ *testing.T, w *world, s consent.Started) error {
			return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: other, RedirectURL: redact.New(ended(s))})
		}, problem.AccessDenied, "another principal"},
		{"OC-09 the path of another connection", func(_ *testing.T, w *world, s consent.Started) error {
			return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: "erp", Principal: owner, RedirectURL: redact.New(ended(s))})
		}, problem.InvalidRequest, "does not belong"},
		{"AZ-22 the state of a browser that is bound", func(t *testing.T, w *world, s consent.Started) error {
			return w.byHand(base + "/callback/crm?" + answer(w.leave(t, s.SessionID).state).Encode())
		}, problem.InvalidRequest, "authorization_url"},
		{"BI-24 code without state", func(_ *testing.T, w *world, _ consent.Started) error {
			return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, Code: redact.New("c")})
		}, problem.InvalidRequest, "state"},
		{"BI-24 address and code", func(_ *testing.T, w *world, s consent.Started) error {
			return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, Code: redact.New("c"), RedirectURL: redact.New(ended(s))})
		}, problem.InvalidRequest, "ambiguous"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.change(func(c *connection.Connection) { c.Issuer = "https://as.example.com" })
			s := w.start(t)
			expect(t, tt.try(t, w, s), tt.code, tt.words)
			if len(w.core.adopted) > 0 {
				t.Error("something was adopted")
			}
			expect(t, w.byHand(ended(s)), "", "") // the owner is not harmed
		})
	}
	t.Run("OC-07 FI-44 after ten minutes", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		w.now = noon.Add(10 * time.Minute)
		expect(t, w.byHand(ended(s)), problem.SessionExpired, "expired")
	})
	t.Run("FI-43 after a browser was received", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		expect(t, w.byHand(ended(s)), problem.InvalidRequest, "confirmation code")
		expect(t, w.complete(s.SessionID, code), "", "")
	})
	t.Run("FI-43 while a browser is received", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		b := w.leave(t, s.SessionID)
		w.tables.before = func() {
			_, err := w.arrive(b, answer(b.state))
			expect(t, err, "", "")
		}
		expect(t, w.byHand(ended(s)), problem.SessionExpired, "another response")
		if len(w.core.adopted) > 0 {
			t.Error("it was adopted")
		}
	})
	t.Run("AZ-28 an error uses the state up", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		refusal := base + "/callback/crm?" + url.Values{"error": {"access_denied"}, "state": {parseState(s)}}.Encode()
		for _, address := range []string{refusal, refusal, ended(s)} {
			err := w.byHand(address)
			expect(t, err, problem.ProviderRejected, "start a new consent")
			if p := problem.Of(err); p.Provider == nil || p.Provider.Error != "access_denied" {
				t.Errorf("provider %+v", p.Provider)
			}
		}
	})
}
