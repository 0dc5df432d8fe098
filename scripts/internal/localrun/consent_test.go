package localrun_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// wrongCode is well formed, and practically never generated.
const wrongCode = "2222-2222"

func TestConsent(t *testing.T) {
	r := start(t, "")
	if got := r.ask("local", "GET", root("")+"/token", ""); got.status != http.StatusConflict || got.text("error") != "authorization_required" {
		t.Errorf("before anybody consented: %d %v", got.status, got.body)
	}
	s, b := r.begin(""), newBrowser(t)

	shown := b.open(s.consentURL, nil)
	for _, want := range []string{user, "cfgateway", "arn:aws:iam::000000000000:user/local", `<form id="consent"`} {
		if !strings.Contains(shown.text, want) {
			t.Errorf("AZ-25 the consent page lacks %q", want)
		}
	}
	at := b.leave(s)
	if query, err := url.Parse(at); err != nil || query.Query().Get("code_challenge_method") != "S256" || query.Query().Get("redirect_uri") != r.url+"/callback/"+user {
		t.Errorf("OC-06 sent to %s (%v)", at, err)
	}
	if got := r.complete("local", s, wrongCode); got.status != http.StatusConflict || got.text("error") != "authorization_required" {
		t.Errorf("AZ-23 completed before the browser is back: %d %v", got.status, got.body)
	}
	back := b.open(b.decides(at, "ada@studio.example", true), nil)
	if cleared := back.header.Get("Set-Cookie"); back.code() == "" || !strings.HasPrefix(cleared, "tokenvend-consent=;") || !strings.Contains(cleared, "HttpOnly") {
		t.Errorf("AZ-22 the callback page: %d, cookie %q", back.status, cleared)
	}
	if n := r.requests(user); n != 0 {
		t.Errorf("AZ-23 %d token requests before anybody completed", n)
	}
	got := r.complete("local", s, strings.ToLower(strings.ReplaceAll(back.code(), "-", "")))
	if got.status != http.StatusOK || got.text("state") != "ready" || r.requests(user) != 1 {
		t.Fatalf("complete: %d %v", got.status, got.body)
	}
	token := r.vend(user)
	if !r.opens(r.sandbox, "creative-force", token) || r.requests(user) != 1 {
		t.Errorf("the token of the consent: %d token requests", r.requests(user))
	}
	if text, _ := json.Marshal(token.body); strings.Contains(string(text), "refresh_token") {
		t.Error("a refresh token is handed out")
	}
	if got := r.complete("local", s, back.code()); got.status != http.StatusGone || r.requests(user) != 1 {
		t.Errorf("BI-23 completed twice: %d %v", got.status, got.body)
	}
	if got := b.open(s.consentURL, nil); got.status != http.StatusGone {
		t.Errorf("AZ-21 the used page: %d", got.status)
	}
}

// TestManual completes a consent with the address at which a browser ended, in both
// forms, with and without the session.
func TestManual(t *testing.T) {
	for _, c := range []struct {
		name string
		body func(s session, back *url.URL) map[string]string
	}{
		{"the address", func(_ session, back *url.URL) map[string]string {
			return map[string]string{"redirect_url": back.String()}
		}},
		{"the address and the session", func(s session, back *url.URL) map[string]string {
			return map[string]string{"session_id": s.id, "redirect_url": " " + back.String() + "#_=_\n"}
		}},
		{"code and state", func(_ session, back *url.URL) map[string]string {
			return map[string]string{"code": back.Query().Get("code"), "state": back.Query().Get("state")}
		}},
		{"code, state and the session", func(s session, back *url.URL) map[string]string {
			return map[string]string{"session_id": s.id, "code": back.Query().Get("code"), "state": back.Query().Get("state")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, "")
			s, b := r.begin(""), newBrowser(t)
			address := b.decides(s.authorizationURL, "", true)
			if got := b.open(address, nil); got.status != http.StatusBadRequest || !strings.Contains(got.text, "Copy the address of this page") {
				t.Errorf("AZ-22 the callback page without the browser of the session: %d", got.status)
			}
			back, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(c.body(s, back))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.ask("local2", "POST", s.path+"/complete", string(body)); got.status != http.StatusForbidden {
				t.Errorf("BI-23 by another principal: %d %v", got.status, got.body)
			}
			if got := r.ask("local", "POST", s.path+"/complete", string(body)); got.status != http.StatusOK {
				t.Fatalf("complete: %d %v", got.status, got.body)
			}
			if !r.opens(r.sandbox, "creative-force", r.vend(user)) {
				t.Error("the resource refuses the token")
			}
			if got := r.ask("local", "POST", s.path+"/complete", string(body)); got.status != http.StatusGone || r.requests(user) != 1 {
				t.Errorf("BI-23 twice: %d %v", got.status, got.body)
			}
		})
	}
}

func TestDenial(t *testing.T) {
	r := start(t, "")
	s, b := r.begin(""), newBrowser(t)
	back := b.decides(b.leave(s), "", false)
	if got := b.open(back, nil); got.status != http.StatusOK || got.code() != "" || !strings.Contains(got.text, "did not allow access") {
		t.Errorf("OC-02 the page after a denial: %d", got.status)
	}
	if got := b.open(back, nil); got.status != http.StatusGone {
		t.Errorf("AZ-28 an error's state is used up: %d", got.status)
	}
	got := r.complete("local", s, wrongCode)
	provider, _ := got.body["provider"].(map[string]any)
	if got.status != http.StatusBadGateway || provider["error"] != "access_denied" || !strings.Contains(got.text("detail"), "start a new consent") {
		t.Errorf("OC-02 completed after a denial: %d %v", got.status, got.body)
	}
	if r.requests(user) != 0 || r.grants() != 0 {
		t.Error("OC-02 a denial led to a token request")
	}
}

func TestWrongCodes(t *testing.T) {
	r := start(t, "")
	s := r.begin("")
	code := r.received(s, "")
	for i, want := range []int{http.StatusForbidden, http.StatusForbidden, http.StatusGone} {
		if got := r.complete("local", s, wrongCode); got.status != want {
			t.Errorf("BI-24 wrong code %d: %d %v", i+1, got.status, got.body)
		}
	}
	if got := r.complete("local", s, code); got.status != http.StatusGone || r.requests(user) != 0 {
		t.Errorf("BI-24 the right code afterwards: %d %v", got.status, got.body)
	}
	if len(r.subjects()) != 0 || r.grants() != 0 {
		t.Error("FI-45 who was not told the code has a grant")
	}
}

func TestAnotherPrincipal(t *testing.T) {
	r := start(t, "")
	s := r.begin("")
	code := r.received(s, "")
	if got := r.complete("local2", s, code); got.status != http.StatusForbidden || !r.warned("complete", "session_mismatch") {
		t.Errorf("BI-23 by another principal: %d %v", got.status, got.body)
	}
	if got := r.ask("local", "POST", root("grace")+"/authorization/complete", `{"session_id":"`+s.id+`","confirmation_code":"`+code+`"}`); got.status != http.StatusBadRequest {
		t.Errorf("AZ-20 for another subject: %d %v", got.status, got.body)
	}
	if r.requests(user) != 0 {
		t.Error("FI-45 a stranger's completion led to a token request")
	}
	if got := r.complete("local", s, code); got.status != http.StatusOK {
		t.Errorf("AZ-23 by who started: %d %v", got.status, got.body)
	}
}

func TestAnotherBrowser(t *testing.T) {
	r := start(t, "")
	s, owner, other := r.begin(""), newBrowser(t), newBrowser(t)
	back := owner.decides(owner.leave(s), "", true)
	if got := other.open(back, nil); got.status != http.StatusBadRequest || got.code() != "" || !strings.Contains(got.text, "another browser") {
		t.Errorf("BI-31 a browser without the cookie: %d", got.status)
	}
	other.leave(s) // has a cookie of its own now
	if got := other.open(back, nil); got.status != http.StatusBadRequest || got.code() != "" {
		t.Errorf("BI-31 a browser with another cookie: %d", got.status)
	}
	got := owner.open(back, nil)
	if got.status != http.StatusOK || r.complete("local", s, got.code()).status != http.StatusOK {
		t.Errorf("BI-31 the owner's browser afterwards: %d", got.status)
	}
}

func TestCallbackTwice(t *testing.T) {
	r := start(t, "")
	s, b := r.begin(""), newBrowser(t)
	back := b.decides(b.leave(s), "", true)
	const times = 8
	pages, failures := make([]page, times), make([]error, times)
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() { pages[i], failures[i] = b.try(http.MethodGet, back, "") })
	}
	all.Wait()
	code := ""
	for i, got := range pages {
		switch {
		case failures[i] != nil:
			t.Fatal(failures[i])
		case got.status == http.StatusOK && code == "":
			code = got.code()
		case got.status == http.StatusOK:
			t.Error("FI-43 two callbacks won")
		}
	}
	if got := b.open(back, nil); got.status != http.StatusGone {
		t.Errorf("FI-43 the page loaded again: %d", got.status)
	}
	for _, got := range together(t, times, func() (answer, error) {
		return r.try("local", "POST", s.path+"/complete", `{"session_id":"`+s.id+`","confirmation_code":"`+code+`"}`)
	}) {
		if got.status != http.StatusOK && got.status != http.StatusGone {
			t.Errorf("AZ-21 completed at once: %d %v", got.status, got.body)
		}
	}
	if n := r.requests(user); n != 1 || r.grants() != 1 {
		t.Errorf("FI-43 %d token requests, want 1", n)
	}
}

func TestTimesOfAConsent(t *testing.T) {
	t.Run("FI-44 back after 11 minutes", func(t *testing.T) {
		r := start(t, "")
		s, b := r.begin(""), newBrowser(t)
		back := b.decides(b.leave(s), "", true)
		r.clock.advance(11 * time.Minute)
		if got := b.open(back, nil); got.status != http.StatusGone || !strings.Contains(got.text, "start again") {
			t.Errorf("%d", got.status)
		}
		if got := r.complete("local", s, wrongCode); got.status != http.StatusGone {
			t.Errorf("completed: %d %v", got.status, got.body)
		}
	})
	t.Run("AZ-20 completed after 29 minutes", func(t *testing.T) {
		r := start(t, "")
		s := r.begin("")
		r.clock.advance(9 * time.Minute)
		code := r.received(s, "")
		r.clock.advance(29 * time.Minute)
		if got := r.complete("local", s, code); got.status != http.StatusOK {
			t.Errorf("%d %v", got.status, got.body)
		}
	})
	t.Run("AZ-20 completed after 31 minutes", func(t *testing.T) {
		r := start(t, "")
		s := r.begin("")
		code := r.received(s, "")
		r.clock.advance(31 * time.Minute)
		if got := r.complete("local", s, code); got.status != http.StatusGone || r.requests(user) != 0 {
			t.Errorf("%d %v", got.status, got.body)
		}
	})
	t.Run("FI-44 the provider no longer knows the code", func(t *testing.T) {
		r := start(t, "")
		s := r.begin("")
		code := r.received(s, "")
		r.pull(r.sandbox, "POST", user+"/forget", "")
		if got := r.complete("local", s, code); got.status != http.StatusConflict || !strings.Contains(got.text("detail"), "start again") {
			t.Errorf("%d %v", got.status, got.body)
		}
		if got := r.complete("local", s, code); got.status != http.StatusGone || r.requests(user) != 1 {
			t.Errorf("FI-46 the code was used: %d %v", got.status, got.body)
		}
		r.consent("", "")
	})
	t.Run("AZ-31 a fourth at once ends the first", func(t *testing.T) {
		r := start(t, "")
		first, second := r.begin(""), r.begin("")
		r.begin("")
		if got := r.ask("local2", "POST", root("")+"/authorization", ""); got.status != http.StatusCreated {
			t.Errorf("another principal's first: %d %v", got.status, got.body)
		}
		r.received(second, "")
		r.begin("")
		if got := newBrowser(t).open(first.consentURL, nil); got.status != http.StatusGone {
			t.Errorf("the first: %d", got.status)
		}
		r.consent("", "")
	})
}

// TestMixUp sends responses to the wrong callback.
func TestMixUp(t *testing.T) {
	t.Run("FI-47 another connection's callback", func(t *testing.T) {
		r := start(t, "")
		s, b := r.begin(""), newBrowser(t)
		back := b.decides(b.leave(s), "", true)
		if got := b.open(strings.Replace(back, "/callback/"+user, "/callback/agile-now", 1), nil); got.status != http.StatusBadRequest {
			t.Errorf("BI-35 %d", got.status)
		}
		if got := b.open(back, nil); got.status != http.StatusOK || r.requests("agile-now") != 0 {
			t.Errorf("the right callback afterwards: %d", got.status)
		}
	})
	t.Run("FI-47 another issuer", func(t *testing.T) {
		r := start(t, "")
		folder := ownFolder(r)
		r.pull(r.sandbox, "POST", user+"/issuer", `{"iss":"false"}`)
		setMember(t, folder, user, "issuer", r.sandbox+"/creative-force")
		s, b := r.begin(""), newBrowser(t)
		if got := b.open(b.decides(b.leave(s), "", true), nil); got.status != http.StatusBadRequest || r.requests(user) != 0 {
			t.Errorf("BI-36 %d", got.status)
		}
		r.pull(r.sandbox, "POST", user+"/issuer", `{"iss":"true"}`)
		setMember(t, folder, user, "issuer", r.sandbox+"/creative-force")
		r.consent("", "")
	})
	t.Run("BI-30 invalid states", func(t *testing.T) {
		r := start(t, "")
		s, b := r.begin(""), newBrowser(t)
		back, _ := url.Parse(b.decides(b.leave(s), "", true))
		state := back.Query().Get("state")
		for _, bad := range []string{"", "x", state + "x", strings.ToUpper(state), strings.Repeat("a", 4<<10)} {
			query := back.Query()
			query.Set("state", bad)
			got := b.open(r.url+"/callback/"+user+"?"+query.Encode(), nil)
			if got.status != http.StatusBadRequest && got.status != http.StatusGone {
				t.Errorf("state of %d characters: %d", len(bad), got.status)
			}
		}
		for _, bad := range []string{"&code=2", "&error=access_denied", "&state=" + state} {
			if got := b.open(back.String()+bad, nil); got.status != http.StatusBadRequest {
				t.Errorf("BI-32 %s: %d", bad[:5], got.status)
			}
		}
		if got := b.open(back.String(), nil); got.status != http.StatusOK || r.requests(user) != 0 {
			t.Errorf("the right one afterwards: %d", got.status)
		}
	})
	t.Run("BI-37 a posted callback", func(t *testing.T) {
		r := start(t, "")
		s, b := r.begin(""), newBrowser(t)
		back, _ := url.Parse(b.decides(b.leave(s), "", true))
		if got := b.open(r.url+"/callback/"+user, back.Query()); got.status != http.StatusForbidden {
			t.Errorf("%d", got.status)
		}
		for _, method := range []string{http.MethodHead, http.MethodOptions} {
			if got, err := b.try(method, back.String(), ""); err != nil || got.status != http.StatusForbidden {
				t.Errorf("BI-38 %s: %d %v", method, got.status, err)
			}
		}
		if got := b.open(back.String(), nil); got.status != http.StatusOK {
			t.Errorf("BI-38 the state afterwards: %d", got.status)
		}
	})
	t.Run("AZ-25 a form without the page's CSRF token", func(t *testing.T) {
		r := start(t, "")
		s, b := r.begin(""), newBrowser(t)
		stolen := b.open(r.begin("").consentURL, nil).form()
		for name, form := range map[string]url.Values{"none": {}, "another session's": stolen, "made up": {"csrf": {"AAAA"}}} {
			if got := b.open(s.consentURL, form); got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("%s: %d", name, got.status)
			}
		}
	})
}

func TestConsentsThatAreImpossible(t *testing.T) {
	r := start(t, "")
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/connections/creative-force/authorization", http.StatusBadRequest},
		{"DELETE", "/connections/creative-force/authorization", http.StatusBadRequest},
		{"POST", "/connections/absent/authorization", http.StatusNotFound},
		{"POST", root("default") + "/authorization", http.StatusBadRequest},
	} {
		if got := r.ask("local", c.method, c.path, ""); got.status != c.want {
			t.Errorf("BI-22 %s %s: %d %v", c.method, c.path, got.status, got.body)
		}
	}
}

// ownFolder is the run's folder with the sandbox's connections.
func ownFolder(r *running) string {
	_, after, _ := strings.Cut(r.greeting, "connections in ")
	folder, _, _ := strings.Cut(after, " ")
	return folder
}

// setMember sets one member of a connection file.
func setMember(t *testing.T, folder, name, member string, value any) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(read(t, folder, name), &members); err != nil {
		t.Fatal(err)
	}
	members[member] = value
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	write(t, folder, name, string(text))
}

func TestCallersMayConsent(t *testing.T) {
	r := start(t, "")
	setMember(t, ownFolder(r), user, "callers", []map[string]any{
		{"principal": "arn:aws:iam::000000000000:user/local"},
		{"principal": "arn:aws:iam::000000000000:user/local2", "subjects": []string{"grace"}},
	})
	for _, c := range []struct {
		caller, subject string
		want            int
	}{{"local", "", 201}, {"local", "grace", 201}, {"local2", "", 403}, {"local2", "ada", 403}, {"local2", "grace", 201}} {
		got := r.ask(c.caller, "POST", root(c.subject)+"/authorization", "")
		if got.status != c.want {
			t.Errorf("%s starts for subject %q: %d %v", c.caller, c.subject, got.status, got.body)
		}
	}
	for method, body := range map[string]string{"PUT": `{"refresh_token":"anything"}`, "DELETE": ""} {
		if got := r.ask("local2", method, root("")+"/authorization", body); got.status != http.StatusForbidden || r.requests(user) != 0 {
			t.Errorf("%s: %d %v", fmt.Sprint(method, " by local2"), got.status, got.body)
		}
	}
}
