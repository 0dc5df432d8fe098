package consent_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func TestShow(t *testing.T) {
	t.Run("AZ-25 the content of the page", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		f.now = noon.Add(time.Minute)
		got, err := f.front.Show(f.ctx, s.SessionID)
		if err != nil || got.CSRF == "" {
			t.Fatalf("page %+v, %v", got, err)
		}
		got.CSRF = ""
		want := consent.Page{Connection: crm, Subject: "default", Provider: "oauth2", Principal: owner.ARN,
			Scopes: []string{"read", "offline_access"}, StartedAt: noon, ExpiresAt: noon.Add(10 * time.Minute), ProviderOrigin: "https://as.example.com"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("page (-want +got):\n%s", diff)
		}
	})
	t.Run("BI-38 showing the page changes nothing", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		before := f.store.text()
		for range 3 {
			if _, err := f.front.Show(f.ctx, s.SessionID); err != nil {
				t.Fatal(err)
			}
		}
		if f.store.text() != before {
			t.Error("the session has changed")
		}
	})
	t.Run("OC-09 the page names a foreign redirect URI's host, and no cookie is set", func(t *testing.T) {
		for _, uri := range []string{"https://apps.example.com/cb", base + "/callback/erp", base + "/callback/crm?x=1", "https://api.example.com/v2/callback/crm"} {
			f := newFixture()
			f.change(func(c *connection.Connection) { c.RedirectURI = uri })
			s := f.start(t)
			page, err := f.front.Show(f.ctx, s.SessionID)
			if err != nil || page.RedirectHost != parse(t, uri).Host {
				t.Errorf("host %q, %v", page.RedirectHost, err)
			}
			if b := f.redirect(t, s.SessionID); b.cookie != (consent.Cookie{}) {
				t.Error("a cookie is set that no page receives")
			}
		}
	})
}

func TestContinue(t *testing.T) {
	t.Run("AZ-20 AZ-22 each redirect has its own state and cookie", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		one, two := f.redirect(t, s.SessionID), f.redirect(t, s.SessionID)
		if one.state == two.state || one.cookie.Value == two.cookie.Value || one.state == stateOf(t, s.AuthorizationURL) {
			t.Error("a state or cookie is used twice")
		}
		if c := one.cookie; c.Name != ownCookie || !c.Secure || c.MaxAge != 10*time.Minute || len(c.Value.Reveal()) < 26 {
			t.Errorf("cookie %+v", c)
		}
		if one.address.Query().Get("code_challenge") != parse(t, s.AuthorizationURL).Query().Get("code_challenge") {
			t.Error("OC-06 a session has more than one verifier")
		}
	})
	t.Run("AZ-26 it redirects to the provider only", func(t *testing.T) {
		f := newFixture()
		b := f.redirect(t, f.start(t).SessionID)
		if b.address.Scheme+"://"+b.address.Host+b.address.Path != "https://as.example.com/authorize" {
			t.Errorf("leads to %s", b.address.Host)
		}
	})
	t.Run("AZ-22 over http the cookie has no prefix", func(t *testing.T) {
		f := newFixture()
		s, err := f.back.Start(f.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: "http://127.0.0.1:8080/v1"})
		if err != nil {
			t.Fatal(err)
		}
		b := f.redirect(t, s.SessionID)
		if b.cookie.Name != "tokenvend-consent" || b.cookie.Secure {
			t.Errorf("cookie %+v", b.cookie)
		}
		_, err = f.callback(b, response(b.state))
		expect(t, err, "", "")
	})
	t.Run("AZ-22 the first of three redirects is still accepted", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		first := f.redirect(t, s.SessionID)
		f.redirect(t, s.SessionID)
		f.redirect(t, s.SessionID)
		_, err := f.callback(first, response(first.state))
		expect(t, err, "", "")
	})
	t.Run("AZ-22 of five redirects the first is forgotten", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		first, second := f.redirect(t, s.SessionID), f.redirect(t, s.SessionID)
		for range 3 {
			f.redirect(t, s.SessionID)
		}
		_, err := f.callback(first, response(first.state))
		expect(t, err, problem.InvalidRequest, "does not know")
		_, err = f.callback(second, response(second.state))
		expect(t, err, "", "")
	})
	t.Run("AZ-25 a forged or stale form is refused", func(t *testing.T) {
		f := newFixture()
		mine, theirs := f.start(t), f.start(t)
		page, err := f.front.Show(f.ctx, mine.SessionID)
		if err != nil {
			t.Fatal(err)
		}
		before := f.store.text()
		for name, csrf := range map[string]string{"none": "", "of another session": csrfOf(t, f, theirs.SessionID),
			"altered": page.CSRF[:len(page.CSRF)-4] + "AAAA", "no base64": "%%%", "too short": "AA"} {
			_, err := f.front.Continue(f.ctx, consent.ContinueRequest{SessionID: mine.SessionID, CSRF: csrf})
			if expect(t, err, problem.InvalidRequest, "form"); t.Failed() {
				t.Fatalf("csrf %s", name)
			}
		}
		if f.store.text() != before {
			t.Error("a session has changed")
		}
		f.now = noon.Add(10 * time.Minute)
		_, err = f.front.Continue(f.ctx, consent.ContinueRequest{SessionID: mine.SessionID, CSRF: page.CSRF})
		expect(t, err, problem.InvalidRequest, "too old")
	})
}

func csrfOf(t *testing.T, f *fixture, sessionID string) string {
	t.Helper()
	page, err := f.front.Show(f.ctx, sessionID)
	if err != nil {
		t.Fatal(err)
	}
	return page.CSRF
}

func TestOrigin(t *testing.T) {
	tests := []struct {
		name, origin, site string
		ok                 bool
	}{
		{"AZ-25 a client that sends neither", "", "", true},
		{"AZ-25 a page without referrer sends null", "null", "same-origin", true},
		{"AZ-25 an old browser sends only null", "null", "", true},
		{"AZ-25 the consent page itself", "https://api.example.com", "same-origin", true},
		{"AZ-25 another site", "https://evil.example.com", "cross-site", false},
		{"AZ-25 another site in an old browser", "https://evil.example.com", "", false},
		{"AZ-25 another site with origin null", "null", "cross-site", false},
		{"AZ-25 a page of the same site", "null", "same-site", false},
		{"AZ-25 the host over http", "http://api.example.com", "", false},
		{"AZ-25 the host at another port", "https://api.example.com:8443", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			s := f.start(t)
			_, err := f.front.Continue(f.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrfOf(t, f, s.SessionID), Origin: tt.origin, FetchSite: tt.site})
			if tt.ok {
				expect(t, err, "", "")
			} else {
				expect(t, err, problem.InvalidRequest, "another site")
			}
		})
	}
}

func TestOriginWithPort(t *testing.T) {
	f := newFixture()
	s, err := f.back.Start(f.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: "https://API.example.com:443/v1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("AZ-25 browsers omit a default port", func(t *testing.T) {
		_, err := f.front.Continue(f.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrfOf(t, f, s.SessionID), Origin: "https://api.example.com"})
		expect(t, err, "", "")
	})
}

func TestReceive(t *testing.T) {
	t.Run("AZ-22 AZ-23 the code is stored, and a confirmation code shown", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		b := f.redirect(t, s.SessionID)
		f.now = noon.Add(9 * time.Minute)
		got, err := f.callback(b, response(b.state))
		if err != nil {
			t.Fatal(err)
		}
		code := got.ConfirmationCode.Reveal()
		if len(code) != 9 || code[4] != '-' || strings.Trim(code, "23456789ABCDEFGHJKLMNPQRSTUVWXYZ-") != "" {
			t.Error("the confirmation code is not of the form XXXX-XXXX")
		}
		if got.Denied || got.Subject != "default" || got.Principal != owner.ARN || got.ClearCookie != (consent.Cookie{Name: ownCookie, Secure: true}) ||
			!got.ExpiresAt.Equal(f.now.Add(30*time.Minute)) {
			t.Errorf("result %+v", got)
		}
		if len(f.core.authorized) > 0 {
			t.Error("AZ-23 the code was exchanged")
		}
		for _, member := range []string{"hand", "departed", "key"} {
			if strings.Contains(f.store.text(), `"`+member+`"`) {
				t.Errorf("AZ-20 the record still has %s", member)
			}
		}
	})
	t.Run("FI-43 a reload", func(t *testing.T) {
		f := newFixture()
		b := f.redirect(t, f.start(t).SessionID)
		_, err := f.callback(b, response(b.state))
		expect(t, err, "", "")
		_, err = f.callback(b, response(b.state))
		expect(t, err, problem.SessionExpired, "already has a response")
	})
	t.Run("FI-43 concurrent callbacks", func(t *testing.T) {
		f := newFixture()
		b := f.redirect(t, f.start(t).SessionID)
		errs := make([]error, 8)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				front := consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: f.store, Sealer: sealer("page"), Now: func() time.Time { return noon }})
				_, errs[i] = front.Receive(t.Context(), consent.CallbackRequest{Connection: crm, RawQuery: response(b.state).Encode(), Cookies: b.cookies})
			})
		}
		group.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				expect(t, err, problem.SessionExpired, "")
			}
		}
		if won != 1 {
			t.Errorf("%d callbacks succeeded", won)
		}
	})
	t.Run("FI-43 a refusal concurrent with a code", func(t *testing.T) {
		f := newFixture()
		b := f.redirect(t, f.start(t).SessionID)
		f.store.before = func() {
			_, err := f.callback(b, url.Values{"error": {"access_denied"}, "state": {b.state}})
			expect(t, err, "", "")
		}
		_, err := f.callback(b, response(b.state))
		expect(t, err, problem.SessionExpired, "already has a response")
	})
	t.Run("FI-44 after eleven minutes", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		b := f.redirect(t, s.SessionID)
		f.now = noon.Add(11 * time.Minute)
		_, err := f.callback(b, response(b.state))
		expect(t, err, problem.SessionExpired, "start a new consent")
		_, err = f.front.Show(f.ctx, s.SessionID)
		expect(t, err, problem.SessionExpired, "expired")
	})
}

// TestReceiveRefused: a response to another redirect changes nothing, so the owner
// of the state can still use it.
func TestReceiveRefused(t *testing.T) {
	type attempt struct {
		connection connection.Name
		query      string
		cookies    []string
	}
	tests := []struct {
		name   string
		change func(a *attempt, b browser, s consent.Started)
		words  string
	}{
		{"BI-30 no state", func(a *attempt, _ browser, _ consent.Started) { a.query = "code=c" }, "state"},
		{"BI-30 an empty state", func(a *attempt, _ browser, _ consent.Started) { a.query = "code=c&state=" }, "state"},
		{"BI-30 a state of 4 KiB", func(a *attempt, _ browser, _ consent.Started) { a.query = "code=c&state=" + strings.Repeat("s", 4096) }, "not issued by this service"},
		{"AZ-28 more than 8 KiB", func(a *attempt, _ browser, _ consent.Started) { a.query += "&x=" + strings.Repeat("x", 8<<10) }, "8 KiB"},
		{"BI-33 a code of 4,097 characters", func(a *attempt, b browser, _ consent.Started) {
			a.query = "state=" + b.state + "&code=" + strings.Repeat("c", 4097)
		}, "code"},
		{"BI-30 a state of another form", func(a *attempt, _ browser, _ consent.Started) { a.query = "code=c&state=xyz" }, "not issued by this service"},
		{"BI-30 a state with another random part", func(a *attempt, b browser, _ consent.Started) {
			a.query = response(b.state[:len(b.state)-4] + "aaaa").Encode()
		}, "does not know"},
		{"BI-31 no cookie", func(a *attempt, _ browser, _ consent.Started) { a.cookies = nil }, "not the browser"},
		{"BI-31 another browser", func(a *attempt, _ browser, _ consent.Started) {
			a.cookies = []string{ownCookie + "=" + strings.Repeat("a", 32)}
		}, "not the browser"},
		{"BI-31 the cookie without its prefix", func(a *attempt, b browser, _ consent.Started) {
			a.cookies = []string{strings.TrimPrefix(b.cookies[0], "__Host-")}
		}, "not the browser"},
		{"BI-31 a planted cookie beside the right one", func(a *attempt, b browser, _ consent.Started) {
			a.cookies = []string{ownCookie + "=planted; " + b.cookies[0]}
		}, "not the browser"},
		{"BI-31 a planted cookie behind the right one", func(a *attempt, b browser, _ consent.Started) {
			a.cookies = []string{b.cookies[0], ownCookie + "=planted"}
		}, "not the browser"},
		{"BI-31 the state of authorization_url", func(a *attempt, _ browser, s consent.Started) {
			a.query = url.Values{"code": {theCode}, "state": {manualState(s)}}.Encode()
		}, "copied authorization_url"},
		{"BI-32 two codes", func(a *attempt, _ browser, _ consent.Started) { a.query += "&code=other" }, "repeats a parameter"},
		{"BI-32 a code and an error", func(a *attempt, _ browser, _ consent.Started) { a.query += "&error=access_denied" }, "code and an error"},
		{"BI-32 neither", func(a *attempt, b browser, _ consent.Started) { a.query = "state=" + b.state }, "neither"},
		{"BI-33 a code with a line break", func(a *attempt, b browser, _ consent.Started) { a.query = "state=" + b.state + "&code=a%0d%0ab" }, "code"},
		{"BI-33 a code with a NUL", func(a *attempt, b browser, _ consent.Started) { a.query = "state=" + b.state + "&code=a%00b" }, "code"},
		{"BI-34 an error with markup", func(a *attempt, b browser, _ consent.Started) { a.query = "state=" + b.state + "&error=%3Cscript%3E" }, "error"},
		{"BI-35 FI-47 the callback of another connection", func(a *attempt, _ browser, _ consent.Started) { a.connection = "erp" }, "does not belong"},
		{"BI-36 FI-47 another issuer", func(a *attempt, _ browser, _ consent.Started) { a.query += "&iss=https%3A%2F%2Fevil.example.com" }, "issuer"},
		{"BI-36 the issuer with a slash", func(a *attempt, _ browser, _ consent.Started) { a.query += "&iss=https%3A%2F%2Fas.example.com%2F" }, "issuer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			f.change(func(c *connection.Connection) { c.Issuer = "https://as.example.com" })
			s := f.start(t)
			b := f.redirect(t, s.SessionID)
			a := attempt{connection: crm, query: response(b.state).Encode(), cookies: b.cookies}
			tt.change(&a, b, s)
			before := f.store.text()
			_, err := f.front.Receive(f.ctx, consent.CallbackRequest{Connection: a.connection, RawQuery: a.query, Cookies: a.cookies})
			expect(t, err, problem.InvalidRequest, tt.words)
			if consent.IsOtherBrowser(err) != (tt.words == "not the browser") {
				t.Error("IsOtherBrowser is wrong")
			}
			if marked := strings.Contains(f.line(), "session_mismatch"); marked != (tt.words == "not the browser" || tt.words == "does not belong") {
				t.Errorf("FI-45 session_mismatch in the audit line: %v", marked)
			}
			if f.store.text() != before {
				t.Error("the session has changed")
			}
			right := response(b.state)
			right.Set("iss", "https://as.example.com")
			_, err = f.front.Receive(f.ctx, consent.CallbackRequest{Connection: crm, RawQuery: right.Encode(), Cookies: []string{"a=b; " + b.cookies[0], "c=d"}})
			expect(t, err, "", "") // the owner can still complete
		})
	}
}

func manualState(s consent.Started) string {
	u, _ := url.Parse(s.AuthorizationURL)
	return u.Query().Get("state")
}

func TestRefusal(t *testing.T) {
	for name, tt := range map[string]struct{ sent, want string }{
		"OC-02 AZ-28 the user denies access": {"access_denied", "access_denied"},
		"OC-02 AZ-28 an unknown error code":  {"tenant_suspended", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			s := f.start(t)
			b := f.redirect(t, s.SessionID)
			got, err := f.callback(b, url.Values{"error": {tt.sent}, "error_description": {"<b>no</b>"}, "state": {b.state}})
			if err != nil || !got.Denied || got.Error != tt.want || !got.ConfirmationCode.IsZero() || got.ClearCookie.Name != ownCookie {
				t.Errorf("result %+v, %v", got, err)
			}
			_, err = f.callback(b, response(b.state))
			expect(t, err, problem.SessionExpired, "already has a response")
			err = f.complete(s.SessionID, "AAAA-AAAA")
			expect(t, err, problem.ProviderRejected, "start a new consent")
			if p := problem.Of(err); p.Provider == nil || *p.Provider != (problem.Provider{Error: tt.want}) {
				t.Errorf("provider %+v", p.Provider)
			}
		})
	}
}

// TestUnreadable: a session that this release cannot decode is neither used nor
// overwritten.
func TestUnreadable(t *testing.T) {
	for name, tt := range map[string]struct{ text, warning string }{
		"FI-48 started by another release": {`{"schema":2,"phase":"pending"}`, "session_schema"},
		"AZ-52 invalid JSON":               {`{"schema":`, "session_corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			s := f.start(t)
			csrf := csrfOf(t, f, s.SessionID)
			key := hash(s.SessionID)
			f.store.sessions[key] = tokenstore.Session{ID: key, Version: 7, Text: []byte(tt.text)}
			_, shown := f.front.Show(f.ctx, s.SessionID)
			_, continued := f.front.Continue(f.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrf})
			_, arrived := f.callback(browser{}, response(manualState(s)))
			for i, err := range []error{shown, continued, arrived, f.complete(s.SessionID, "AAAA-AAAA")} {
				if expect(t, err, problem.SessionExpired, "start a new consent"); t.Failed() {
					t.Fatalf("step %d", i)
				}
			}
			if !strings.Contains(f.line(), tt.warning) || f.store.sessions[key].Version != 7 {
				t.Error("there is no warning, or it was overwritten")
			}
		})
	}
	t.Run("FI-27 the table is down", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		csrf := csrfOf(t, f, s.SessionID)
		f.store.down = fmt.Errorf("reading: %w", tokenstore.ErrUnavailable)
		_, shown := f.front.Show(f.ctx, s.SessionID)
		_, continued := f.front.Continue(f.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrf})
		_, arrived := f.callback(browser{}, response(manualState(s)))
		for _, err := range []error{shown, continued, arrived, f.complete(s.SessionID, "AAAA-AAAA")} {
			expect(t, err, problem.StoreUnavailable, "")
		}
	})
	t.Run("BI-30 an incomplete address", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		for _, id := range []string{"", s.SessionID[1:], s.SessionID + "a", strings.ToUpper(s.SessionID), "../" + s.SessionID[3:]} {
			_, err := f.front.Show(f.ctx, id)
			expect(t, err, problem.InvalidRequest, "incomplete session id")
		}
		_, err := f.front.Show(f.ctx, strings.Repeat("a", len(s.SessionID)))
		expect(t, err, problem.SessionExpired, "no such")
	})
}
