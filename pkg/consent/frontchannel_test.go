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
	t.Run("AZ-25 who asks, for what, and since when", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		w.now = noon.Add(time.Minute)
		got, err := w.door.Show(w.ctx, s.SessionID)
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
	t.Run("BI-38 looking changes nothing", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		before := w.tables.text()
		for range 3 {
			if _, err := w.door.Show(w.ctx, s.SessionID); err != nil {
				t.Fatal(err)
			}
		}
		if w.tables.text() != before {
			t.Error("the session has changed")
		}
	})
	t.Run("OC-09 a redirect URI elsewhere is named, and nothing is bound", func(t *testing.T) {
		for _, uri := range []string{"https://apps.example.com/cb", base + "/callback/erp", base + "/callback/crm?x=1", "https://api.example.com/v2/callback/crm"} {
			w := newWorld()
			w.change(func(c *connection.Connection) { c.RedirectURI = uri })
			s := w.start(t)
			page, err := w.door.Show(w.ctx, s.SessionID)
			if err != nil || page.RedirectHost != parse(t, uri).Host {
				t.Errorf("host %q, %v", page.RedirectHost, err)
			}
			if b := w.leave(t, s.SessionID); b.cookie != (consent.Cookie{}) {
				t.Error("a cookie is set that comes back to nobody")
			}
		}
	})
}

func TestContinue(t *testing.T) {
	t.Run("AZ-20 AZ-22 each browser leaves with a state and a cookie of its own", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		one, two := w.leave(t, s.SessionID), w.leave(t, s.SessionID)
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
	t.Run("AZ-26 it leads to the provider and nowhere else", func(t *testing.T) {
		w := newWorld()
		b := w.leave(t, w.start(t).SessionID)
		if b.address.Scheme+"://"+b.address.Host+b.address.Path != "https://as.example.com/authorize" {
			t.Errorf("leads to %s", b.address.Host)
		}
	})
	t.Run("AZ-22 over plain http the cookie has no prefix", func(t *testing.T) {
		w := newWorld()
		s, err := w.flow.Start(w.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: "http://127.0.0.1:8080/v1"})
		if err != nil {
			t.Fatal(err)
		}
		b := w.leave(t, s.SessionID)
		if b.cookie.Name != "tokenvend-consent" || b.cookie.Secure {
			t.Errorf("cookie %+v", b.cookie)
		}
		_, err = w.arrive(b, answer(b.state))
		expect(t, err, "", "")
	})
	t.Run("AZ-22 a browser that left first still comes back when others left after it", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		first := w.leave(t, s.SessionID)
		w.leave(t, s.SessionID)
		w.leave(t, s.SessionID)
		_, err := w.arrive(first, answer(first.state))
		expect(t, err, "", "")
	})
	t.Run("AZ-22 of more than four the first is forgotten", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		first, second := w.leave(t, s.SessionID), w.leave(t, s.SessionID)
		for range 3 {
			w.leave(t, s.SessionID)
		}
		_, err := w.arrive(first, answer(first.state))
		expect(t, err, problem.InvalidRequest, "does not know")
		_, err = w.arrive(second, answer(second.state))
		expect(t, err, "", "")
	})
	t.Run("AZ-25 a forged or stale form is refused", func(t *testing.T) {
		w := newWorld()
		mine, theirs := w.start(t), w.start(t)
		page, err := w.door.Show(w.ctx, mine.SessionID)
		if err != nil {
			t.Fatal(err)
		}
		before := w.tables.text()
		for name, csrf := range map[string]string{"none": "", "of another session": csrfOf(t, w, theirs.SessionID),
			"altered": page.CSRF[:len(page.CSRF)-4] + "AAAA", "no base64": "%%%", "too short": "AA"} {
			_, err := w.door.Continue(w.ctx, consent.ContinueRequest{SessionID: mine.SessionID, CSRF: csrf})
			if expect(t, err, problem.InvalidRequest, "form"); t.Failed() {
				t.Fatalf("csrf %s", name)
			}
		}
		if w.tables.text() != before {
			t.Error("a session has changed")
		}
		w.now = noon.Add(10 * time.Minute)
		_, err = w.door.Continue(w.ctx, consent.ContinueRequest{SessionID: mine.SessionID, CSRF: page.CSRF})
		expect(t, err, problem.InvalidRequest, "too old")
	})
}

func csrfOf(t *testing.T, w *world, sessionID string) string {
	t.Helper()
	page, err := w.door.Show(w.ctx, sessionID)
	if err != nil {
		t.Fatal(err)
	}
	return page.CSRF
}

func TestSite(t *testing.T) {
	tests := []struct {
		name, origin, site string
		ok                 bool
	}{
		{"AZ-25 a script sends neither", "", "", true},
		{"AZ-25 a page without referrer says null", "null", "same-origin", true},
		{"AZ-25 an old browser says null alone", "null", "", true},
		{"AZ-25 our own page", "https://api.example.com", "same-origin", true},
		{"AZ-25 another site", "https://evil.example.com", "cross-site", false},
		{"AZ-25 another site in an old browser", "https://evil.example.com", "", false},
		{"AZ-25 another site that hides", "null", "cross-site", false},
		{"AZ-25 a neighbour", "null", "same-site", false},
		{"AZ-25 our host over http", "http://api.example.com", "", false},
		{"AZ-25 our host at another port", "https://api.example.com:8443", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			s := w.start(t)
			_, err := w.door.Continue(w.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrfOf(t, w, s.SessionID), Origin: tt.origin, FetchSite: tt.site})
			if tt.ok {
				expect(t, err, "", "")
			} else {
				expect(t, err, problem.InvalidRequest, "another site")
			}
		})
	}
}

func TestSiteWithPort(t *testing.T) {
	w := newWorld()
	s, err := w.flow.Start(w.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: "https://API.example.com:443/v1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("AZ-25 browsers leave out the usual port", func(t *testing.T) {
		_, err := w.door.Continue(w.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrfOf(t, w, s.SessionID), Origin: "https://api.example.com"})
		expect(t, err, "", "")
	})
}

func TestReceive(t *testing.T) {
	t.Run("AZ-22 AZ-23 a code is kept, and a confirmation code shown", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		b := w.leave(t, s.SessionID)
		w.now = noon.Add(9 * time.Minute)
		got, err := w.arrive(b, answer(b.state))
		if err != nil {
			t.Fatal(err)
		}
		code := got.ConfirmationCode.Reveal()
		if len(code) != 9 || code[4] != '-' || strings.Trim(code, "23456789ABCDEFGHJKLMNPQRSTUVWXYZ-") != "" {
			t.Error("the confirmation code is not of the form XXXX-XXXX")
		}
		if got.Denied || got.Subject != "default" || got.Principal != owner.ARN || got.ClearCookie != (consent.Cookie{Name: ownCookie, Secure: true}) ||
			!got.ExpiresAt.Equal(w.now.Add(30*time.Minute)) {
			t.Errorf("receipt %+v", got)
		}
		if len(w.core.adopted) > 0 {
			t.Error("AZ-23 the code was exchanged")
		}
		for _, member := range []string{"hand", "departed", "key"} {
			if strings.Contains(w.tables.text(), `"`+member+`"`) {
				t.Errorf("AZ-20 the record still has %s", member)
			}
		}
	})
	t.Run("FI-43 a browser that reloads", func(t *testing.T) {
		w := newWorld()
		b := w.leave(t, w.start(t).SessionID)
		_, err := w.arrive(b, answer(b.state))
		expect(t, err, "", "")
		_, err = w.arrive(b, answer(b.state))
		expect(t, err, problem.SessionExpired, "already has a response")
	})
	t.Run("FI-43 two at the same time", func(t *testing.T) {
		w := newWorld()
		b := w.leave(t, w.start(t).SessionID)
		errs := make([]error, 8)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				door := consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: w.tables, Sealer: sealer("door"), Now: func() time.Time { return noon }})
				_, errs[i] = door.Receive(t.Context(), consent.CallbackRequest{Connection: crm, RawQuery: answer(b.state).Encode(), Cookies: b.cookies})
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
			t.Errorf("%d of them won", won)
		}
	})
	t.Run("FI-43 a refusal and a code at the same time", func(t *testing.T) {
		w := newWorld()
		b := w.leave(t, w.start(t).SessionID)
		w.tables.before = func() {
			_, err := w.arrive(b, url.Values{"error": {"access_denied"}, "state": {b.state}})
			expect(t, err, "", "")
		}
		_, err := w.arrive(b, answer(b.state))
		expect(t, err, problem.SessionExpired, "already has a response")
	})
	t.Run("FI-44 after eleven minutes", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		b := w.leave(t, s.SessionID)
		w.now = noon.Add(11 * time.Minute)
		_, err := w.arrive(b, answer(b.state))
		expect(t, err, problem.SessionExpired, "start a new consent")
		_, err = w.door.Show(w.ctx, s.SessionID)
		expect(t, err, problem.SessionExpired, "expired")
	})
}

// TestReceiveRefused: what does not belong together changes nothing, so that
// the owner of the state can still use it.
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
		{"BI-30 a state of 4 KiB", func(a *attempt, _ browser, _ consent.Started) { a.query = "code=c&state=" + strings.Repeat("s", 4096) }, "2 KiB"},
		{"BI-30 a state that is none of ours", func(a *attempt, _ browser, _ consent.Started) { a.query = "code=c&state=xyz" }, "not issued by this service"},
		{"BI-30 a state of ours with another end", func(a *attempt, b browser, _ consent.Started) {
			a.query = answer(b.state[:len(b.state)-4] + "aaaa").Encode()
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
		{"BI-31 the state for consent by hand", func(a *attempt, _ browser, s consent.Started) {
			a.query = url.Values{"code": {theCode}, "state": {parseState(s)}}.Encode()
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
			w := newWorld()
			w.change(func(c *connection.Connection) { c.Issuer = "https://as.example.com" })
			s := w.start(t)
			b := w.leave(t, s.SessionID)
			a := attempt{connection: crm, query: answer(b.state).Encode(), cookies: b.cookies}
			tt.change(&a, b, s)
			before := w.tables.text()
			_, err := w.door.Receive(w.ctx, consent.CallbackRequest{Connection: a.connection, RawQuery: a.query, Cookies: a.cookies})
			expect(t, err, problem.InvalidRequest, tt.words)
			if consent.IsOtherBrowser(err) != (tt.words == "not the browser") {
				t.Error("IsOtherBrowser tells the wrong thing")
			}
			if marked := strings.Contains(w.line(), "session_mismatch"); marked != (tt.words == "not the browser" || tt.words == "does not belong") {
				t.Errorf("FI-45 session_mismatch in the audit line: %v", marked)
			}
			if w.tables.text() != before {
				t.Error("the session has changed")
			}
			right := answer(b.state)
			right.Set("iss", "https://as.example.com")
			_, err = w.door.Receive(w.ctx, consent.CallbackRequest{Connection: crm, RawQuery: right.Encode(), Cookies: []string{"a=b; " + b.cookies[0], "c=d"}})
			expect(t, err, "", "") // the owner is not harmed
		})
	}
}

func parseState(s consent.Started) string {
	u, _ := url.Parse(s.AuthorizationURL)
	return u.Query().Get("state")
}

func TestRefusal(t *testing.T) {
	for name, tt := range map[string]struct{ sent, told string }{
		"OC-02 AZ-28 the user says no":           {"access_denied", "access_denied"},
		"OC-02 AZ-28 an error that nobody knows": {"tenant_suspended", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			s := w.start(t)
			b := w.leave(t, s.SessionID)
			got, err := w.arrive(b, url.Values{"error": {tt.sent}, "error_description": {"<b>no</b>"}, "state": {b.state}})
			if err != nil || !got.Denied || got.Error != tt.told || !got.ConfirmationCode.IsZero() || got.ClearCookie.Name != ownCookie {
				t.Errorf("receipt %+v, %v", got, err)
			}
			_, err = w.arrive(b, answer(b.state))
			expect(t, err, problem.SessionExpired, "already has a response")
			err = w.complete(s.SessionID, "AAAA-AAAA")
			expect(t, err, problem.ProviderRejected, "start a new consent")
			if p := problem.Of(err); p.Provider == nil || *p.Provider != (problem.Provider{Error: tt.told}) {
				t.Errorf("provider %+v", p.Provider)
			}
		})
	}
}

// TestUnreadable: what this release cannot understand it neither uses nor overwrites.
func TestUnreadable(t *testing.T) {
	for name, tt := range map[string]struct{ text, warning string }{
		"FI-48 started by another release": {`{"schema":2,"phase":"pending"}`, "session_schema"},
		"AZ-52 no text of ours":            {`{"schema":`, "session_corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			s := w.start(t)
			csrf := csrfOf(t, w, s.SessionID)
			key := hash(s.SessionID)
			w.tables.sessions[key] = tokenstore.Session{ID: key, Version: 7, Text: []byte(tt.text)}
			_, shown := w.door.Show(w.ctx, s.SessionID)
			_, continued := w.door.Continue(w.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrf})
			_, arrived := w.arrive(browser{}, answer(parseState(s)))
			for i, err := range []error{shown, continued, arrived, w.complete(s.SessionID, "AAAA-AAAA")} {
				if expect(t, err, problem.SessionExpired, "start a new consent"); t.Failed() {
					t.Fatalf("step %d", i)
				}
			}
			if !strings.Contains(w.line(), tt.warning) || w.tables.sessions[key].Version != 7 {
				t.Error("nothing says so, or it was overwritten")
			}
		})
	}
	t.Run("FI-27 the table is down", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		csrf := csrfOf(t, w, s.SessionID)
		w.tables.down = fmt.Errorf("reading: %w", tokenstore.ErrUnavailable)
		_, shown := w.door.Show(w.ctx, s.SessionID)
		_, continued := w.door.Continue(w.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrf})
		_, arrived := w.arrive(browser{}, answer(parseState(s)))
		for _, err := range []error{shown, continued, arrived, w.complete(s.SessionID, "AAAA-AAAA")} {
			expect(t, err, problem.StoreUnavailable, "")
		}
	})
	t.Run("BI-30 half an address", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		for _, id := range []string{"", s.SessionID[1:], s.SessionID + "a", strings.ToUpper(s.SessionID), "../" + s.SessionID[3:]} {
			_, err := w.door.Show(w.ctx, id)
			expect(t, err, problem.InvalidRequest, "incomplete session id")
		}
		_, err := w.door.Show(w.ctx, strings.Repeat("a", len(s.SessionID)))
		expect(t, err, problem.SessionExpired, "no such")
	})
}
