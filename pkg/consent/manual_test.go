package consent_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/oauth"
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

// manualAddress is where a browser ends that opened authorization_url.
func manualAddress(s consent.Started) string {
	return base + "/callback/crm?" + response(manualState(s)).Encode()
}

func TestManual(t *testing.T) {
	once := func(t *testing.T, f *fixture, r consent.CompleteRequest) {
		t.Helper()
		r.Connection, r.Principal = crm, owner
		expect(t, f.back.Complete(f.ctx, r), "", "")
		expect(t, f.back.Complete(f.ctx, r), problem.SessionExpired, "completed or has ended")
		if len(f.core.authorized) != 1 || f.core.authorized[0].Code.Reveal() != theCode || f.core.authorized[0].Verifier.IsZero() {
			t.Errorf("authorized %v", f.core.authorized)
		}
	}
	t.Run("OC-02 the complete address", func(t *testing.T) {
		f := newFixture()
		once(t, f, consent.CompleteRequest{RedirectURL: redact.New(" " + strings.Replace(manualAddress(f.start(t)), "?", "?scope=read&session_state=x&", 1) + "#_=_\n")})
	})
	t.Run("OC-02 the address with the session's id", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		once(t, f, consent.CompleteRequest{RedirectURL: redact.New(manualAddress(s)), SessionID: redact.New(s.SessionID)})
	})
	t.Run("OC-02 code and state", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		once(t, f, consent.CompleteRequest{Code: redact.New(theCode), State: redact.New(manualState(s))})
	})
	t.Run("OC-02 a browser without a cookie at the callback", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		_, err := f.callback(browser{}, response(manualState(s)))
		expect(t, err, problem.InvalidRequest, "with the complete address of this page")
		once(t, f, consent.CompleteRequest{RedirectURL: redact.New(manualAddress(s))})
	})
	t.Run("OC-02 a foreign redirect URI, with either state", func(t *testing.T) {
		for _, byPage := range []bool{false, true} {
			f := newFixture()
			f.change(func(c *connection.Connection) { c.RedirectURI = "https://Apps.example.com:443?tenant=7" })
			s := f.start(t)
			state := manualState(s)
			if byPage {
				state = f.redirect(t, s.SessionID).state
			}
			once(t, f, consent.CompleteRequest{RedirectURL: redact.New("https://apps.example.com/?tenant=7&" + response(state).Encode())})
			if f.core.authorized[0].RedirectURI != "https://Apps.example.com:443?tenant=7" {
				t.Error("the redirect URI has changed")
			}
		}
	})
}

// TestLongCodes: some servers send codes of thousands of characters.
func TestLongCodes(t *testing.T) {
	for name, code := range map[string]string{
		"BI-33 4,096 characters": strings.Repeat("aZ9-._~!", 512), "BI-33 4,096 special characters": strings.Repeat("/$!=", 1024),
	} {
		ways := map[string]func(f *fixture, s consent.Started) error{
			"the callback": func(f *fixture, s consent.Started) error {
				b := f.redirect(t, s.SessionID)
				query := oauth.AuthorizationResponseQuery(url.Values{"code": {code}, "state": {b.state}})
				result, err := f.front.Receive(f.ctx, consent.CallbackRequest{Connection: crm, RawQuery: query, Cookies: b.cookies})
				if err != nil {
					return err
				}
				return f.complete(s.SessionID, result.ConfirmationCode.Reveal())
			},
			"the address": func(f *fixture, s consent.Started) error {
				query := oauth.AuthorizationResponseQuery(url.Values{"code": {code}, "state": {manualState(s)}})
				return f.completeManually(base + "/callback/crm?" + query)
			},
			"code and state": func(f *fixture, s consent.Started) error {
				return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, Code: redact.New(code), State: redact.New(manualState(s))})
			},
		}
		for way, complete := range ways {
			t.Run(name+" by "+way, func(t *testing.T) {
				f := newFixture()
				expect(t, complete(f, f.start(t)), "", "")
				if len(f.core.authorized) != 1 || f.core.authorized[0].Code.Reveal() != code {
					t.Error("the core did not get the code as the server sent it")
				}
			})
		}
	}
}

func TestManualRefused(t *testing.T) {
	in := func(change func(string) string) func(*testing.T, *fixture, consent.Started) error {
		return func(_ *testing.T, f *fixture, s consent.Started) error {
			return f.completeManually(change(manualAddress(s)))
		}
	}
	tests := []struct {
		name  string
		try   func(t *testing.T, f *fixture, s consent.Started) error
		code  problem.Code
		words string
	}{
		{"BI-30 no query", in(func(string) string { return base + "/callback/crm" }), problem.InvalidRequest, "state"},
		{"BI-30 a state of another form", in(func(a string) string { return strings.Replace(a, "state=", "state=x", 1) }), problem.InvalidRequest, "not issued by this service"},
		{"BI-30 a state with another random part", in(func(a string) string { return a[:len(a)-3] + "aaa" }), problem.InvalidRequest, "authorization_url"},
		{"BI-30 the state of an unknown session", in(func(a string) string {
			return strings.Replace(a, "state=", "state="+strings.Repeat("0", 64)+"."+strings.Repeat("a", 32)+"&x=", 1)
		}), problem.SessionExpired, "no such"},
		{"BI-32 two codes", in(func(a string) string { return a + "&code=x" }), problem.InvalidRequest, "repeats a parameter"},
		{"BI-33 a code of 4,097 characters", func(_ *testing.T, f *fixture, s consent.Started) error {
			return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, Code: redact.New(strings.Repeat("c", 4097)), State: redact.New(manualState(s))})
		}, problem.InvalidRequest, "invalid code"},
		{"AZ-28 an address of more than 8 KiB", in(func(a string) string { return a + "&x=" + strings.Repeat("x", 8<<10) }), problem.InvalidRequest, "8 KiB"},
		{"BI-35 the address of another connection", in(func(a string) string { return strings.Replace(a, "/crm?", "/erp?", 1) }), problem.InvalidRequest, "redirect_url"},
		{"BI-35 the address of another host", in(func(a string) string { return strings.Replace(a, "api.", "evil.", 1) }), problem.InvalidRequest, "redirect_url"},
		{"BI-35 no address", in(func(a string) string { return "callback" + a[strings.Index(a, "?"):] }), problem.InvalidRequest, "redirect_url"},
		{"BI-36 another issuer", in(func(a string) string { return a + "&iss=https%3A%2F%2Fevil.example.com" }), problem.InvalidRequest, "issuer"},
		{"BI-23 two sessions", func(t *testing.T, f *fixture, s consent.Started) error {
			return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner,
				SessionID: redact.New(strings.Repeat("a", 32)), RedirectURL: redact.New(manualAddress(s))})
		}, problem.InvalidRequest, "two consent sessions"},
		{"BI-23 another principal", func(_ *testing.T, f *fixture, s consent.Started) error {
			return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: other, RedirectURL: redact.New(manualAddress(s))})
		}, problem.AccessDenied, "another principal"},
		{"OC-09 the path of another connection", func(_ *testing.T, f *fixture, s consent.Started) error {
			return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: "erp", Principal: owner, RedirectURL: redact.New(manualAddress(s))})
		}, problem.InvalidRequest, "does not belong"},
		{"AZ-22 the state of a redirect from the consent page", func(t *testing.T, f *fixture, s consent.Started) error {
			return f.completeManually(base + "/callback/crm?" + response(f.redirect(t, s.SessionID).state).Encode())
		}, problem.InvalidRequest, "authorization_url"},
		{"BI-24 code without state", func(_ *testing.T, f *fixture, _ consent.Started) error {
			return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, Code: redact.New("c")})
		}, problem.InvalidRequest, "state"},
		{"BI-24 address and code", func(_ *testing.T, f *fixture, s consent.Started) error {
			return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, Code: redact.New("c"), RedirectURL: redact.New(manualAddress(s))})
		}, problem.InvalidRequest, "ambiguous"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			f.change(func(c *connection.Connection) { c.Issuer = "https://as.example.com" })
			s := f.start(t)
			expect(t, tt.try(t, f, s), tt.code, tt.words)
			if len(f.core.authorized) > 0 {
				t.Error("a code was exchanged")
			}
			expect(t, f.completeManually(manualAddress(s)), "", "") // the owner can still complete
		})
	}
	t.Run("OC-07 FI-44 after ten minutes", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		f.now = noon.Add(10 * time.Minute)
		expect(t, f.completeManually(manualAddress(s)), problem.SessionExpired, "expired")
	})
	t.Run("FI-43 after a browser's response", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		expect(t, f.completeManually(manualAddress(s)), problem.InvalidRequest, "confirmation code")
		expect(t, f.complete(s.SessionID, code), "", "")
	})
	t.Run("FI-43 while a browser's response arrives", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		b := f.redirect(t, s.SessionID)
		f.store.before = func() {
			_, err := f.callback(b, response(b.state))
			expect(t, err, "", "")
		}
		expect(t, f.completeManually(manualAddress(s)), problem.SessionExpired, "another response")
		if len(f.core.authorized) > 0 {
			t.Error("a code was exchanged")
		}
	})
	t.Run("AZ-28 an error uses the state up", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		refusal := base + "/callback/crm?" + url.Values{"error": {"access_denied"}, "state": {manualState(s)}}.Encode()
		for _, address := range []string{refusal, refusal, manualAddress(s)} {
			err := f.completeManually(address)
			expect(t, err, problem.ProviderRejected, "start a new consent")
			if p := problem.Of(err); p.Provider == nil || p.Provider.Error != "access_denied" {
				t.Errorf("provider %+v", p.Provider)
			}
		}
	})
}
