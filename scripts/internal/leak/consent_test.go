package leak_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// TestConsentFlows runs consents and their grants through every success and
// failure, and searches all output for their secrets.
func TestConsentFlows(t *testing.T) {
	e := newEnv(t, hooks{})
	printed := e.sinks.capture(t)
	for _, name := range users {
		if err := e.sandbox.SetLifetime(name, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		e.lifecycle(name)
	}
	for _, name := range users {
		e.completeManually(name)
		e.denial(name)
		e.wrongBrowsers(name)
		e.wrongForms(name)
		e.wrongCompletions(name)
		e.expiries(name)
		e.imports(name)
		e.exchangesUnder(name)
		e.refreshesUnder(name)
		e.disconnectsUnder(name)
	}
	e.items()
	printed()
	report(t, e)

	t.Run("AZ-54 every kind of secret was handled", func(t *testing.T) {
		guarded := e.sinks.guarded()
		for _, name := range []string{"access token", "refresh token", "id token", "authorization code", "code verifier", "state", "session id",
			"form token", "cookie", "confirmation code", "client secret", "sealing key"} {
			if guarded[name] < 2 {
				t.Errorf("%d of %q were handled: the search proves nothing about it", guarded[name], name)
			}
		}
	})
	t.Run("AZ-54 every outcome occurred", func(t *testing.T) {
		text := e.sinks.text("log")
		for _, action := range []string{"authorize", "complete", "import", "disconnect", "consent_page", "consent_continue", "callback", "vend", "renew"} {
			if !strings.Contains(text, `"action":"`+action+`","outcome":"ok"`) {
				t.Errorf("no %s went well", action)
			}
		}
		for _, outcome := range []string{"invalid_request", "access_denied", "authorization_required", "session_expired",
			"provider_rejected", "provider_malformed", "provider_unavailable"} {
			if !strings.Contains(text, `"outcome":"`+outcome+`"`) {
				t.Errorf("no %s: a flow did not go as intended", outcome)
			}
		}
	})
	t.Run("OC-20 nothing followed a redirect", func(t *testing.T) {
		if n := e.attacked.Load(); n > 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// lifecycle is consent, use, renewal, rejection and end, for both kinds of subject.
func (e *env) lifecycle(name string) {
	e.t.Helper()
	for _, subject := range []string{"", "ada"} {
		s := e.consent(name, subject)
		first := e.tokenOf(s, "GET", "")
		if first.status != http.StatusOK {
			e.t.Fatalf("%s: %d %v", name, first.status, first.body["detail"])
		}
		e.ticks(6)
		second := e.tokenOf(s, "GET", "")
		e.pass(time.Minute)
		e.tokenOf(s, "POST", fmt.Sprintf(`{"rejected_token_id":%q}`, second.body["token_id"]))
		e.tokenOf(s, "DELETE", "")
		if third := e.tokenOf(s, "GET", ""); third.status != http.StatusOK || third.body["token_id"] == first.body["token_id"] {
			e.t.Errorf("%s was not refreshed: %d %v", name, third.status, third.body["detail"])
		}
		e.consent(name, subject) // replaces the grant
		e.changed(name)
		e.status(name)
		e.list()
		if got := e.signed(s, "DELETE", "authorization", ""); got.status != http.StatusNoContent {
			e.t.Errorf("%s does not disconnect: %d %v", name, got.status, got.body["detail"])
		}
		e.pass(time.Minute)
		e.tokenOf(s, "GET", "")
		e.tick()
	}
}

// ticks runs the renewer once a minute.
func (e *env) ticks(minutes int) {
	for range minutes {
		e.pass(time.Minute)
		e.tick()
	}
}

// tokenOf is a request for the session's token.
func (e *env) tokenOf(s *session, method, body string) reply {
	e.t.Helper()
	r := request{method: method, resource: s.under("token"), connection: s.connection, subject: s.subject, contentType: "application/json", body: body}
	if method == http.MethodDelete {
		return e.deliver(e.vend, r)
	}
	return e.deliver(e.vend, r, tokenInBody)
}

// completeManually copies the authorization response, correctly and in every wrong
// way.
func (e *env) completeManually(name string) {
	e.t.Helper()
	for _, whole := range []bool{true, false} {
		s := e.begin(name, "")
		e.decide(s, s.authorizationURL, true)
		code, state := s.back.Query().Get("code"), s.back.Query().Get("state")
		e.receive(name, s.back.Query(), "") // the page for manual completion
		for _, body := range []map[string]string{
			{"redirect_url": "https://elsewhere.example/callback?" + s.back.RawQuery},
			{"redirect_url": s.back.RawQuery}, {"redirect_url": s.back.String() + "&code=" + code},
			{"redirect_url": s.back.String(), "code": code, "state": state},
			{"code": code}, {"code": code, "state": code}, {"code": state, "state": code}, {"code": code + "\r\n", "state": state},
			{"code": code, "state": state, "session_id": strings.Repeat("a", 32)}, {"code": code, "state": state, "session_id": code},
			{"session_id": state, "confirmation_code": code}, {code: state},
		} {
			if got := e.complete(s, body); got.status/100 != 4 {
				e.t.Errorf("completed by hand with %v: %d", slices.Sorted(maps.Keys(body)), got.status)
			}
		}
		right := map[string]string{"redirect_url": s.back.String()}
		if !whole {
			right = map[string]string{"code": code, "state": state}
		}
		for _, want := range []int{http.StatusOK, http.StatusGone} {
			if got := e.complete(s, right); got.status != want {
				e.t.Errorf("by hand: %d %v, want %d", got.status, got.body["detail"], want)
			}
		}
	}
}

func (e *env) denial(name string) {
	e.t.Helper()
	s := e.begin(name, "")
	e.decide(s, e.leave(s), false)
	query := s.back.Query()
	query.Set("error_description", canary("words of the provider"))
	e.sinks.guard("authorization code", canary("words of the provider"))
	if got := e.receive(name, query, s.cookie); got.status != http.StatusOK {
		e.t.Errorf("OC-02 a denial: %d", got.status)
	}
	if got := e.complete(s, map[string]string{"session_id": s.id, "confirmation_code": "2222-2222"}); got.status != http.StatusBadGateway {
		e.t.Errorf("OC-02 completed after a denial: %d %v", got.status, got.body["detail"])
	}
	s = e.begin(name, "")
	e.decide(s, s.authorizationURL, false)
	e.complete(s, map[string]string{"redirect_url": s.back.String()})
}

// wrongBrowsers call the callback with another session's values, or malformed ones.
func (e *env) wrongBrowsers(name string) {
	e.t.Helper()
	s := e.begin(name, "")
	e.decide(s, e.leave(s), true)
	code, state := s.back.Query().Get("code"), s.back.Query().Get("state")
	with := func(change url.Values) url.Values {
		query := s.back.Query()
		maps.Copy(query, change)
		return query
	}
	for _, query := range []url.Values{
		with(url.Values{"code": {code, code}}), with(url.Values{"error": {code}}), with(url.Values{"code": {code + "\x00"}}),
		with(url.Values{"code": {strings.Repeat(code, 100)}}), with(url.Values{"state": {}}), with(url.Values{"state": {code}}),
		with(url.Values{"state": {strings.Split(state, ".")[0]}}), with(url.Values{"state": {state + "x"}}), with(url.Values{"code": {}, "error": {"<b>" + state}}),
		with(url.Values{"iss": {"https://" + code + ".example"}}), with(url.Values{"iss": {code, state}}), {code: {state}},
	} {
		got := e.receive(name, query, s.cookie)
		if query.Get("iss") != "" && got.status == http.StatusOK {
			return // without a configured issuer iss is ignored; the session has its response
		}
		if got.status/100 != 4 {
			e.t.Errorf("BI-32 the callback takes %v: %d", slices.Sorted(maps.Keys(query)), got.status)
		}
	}
	for _, cookie := range []string{"", s.cookie + "x", state, s.cookie + "; __Host-tokenvend-consent=" + s.cookie} {
		if got := e.receive(name, s.back.Query(), cookie); got.status != http.StatusBadRequest {
			e.t.Errorf("BI-31 another browser: %d", got.status)
		}
	}
	e.receive("basic", s.back.Query(), s.cookie)
	e.deliver(e.public, request{method: "POST", resource: "/callback/{connection}", connection: name,
		contentType: "application/x-www-form-urlencoded", body: s.back.RawQuery, cookie: s.cookie})
	for _, path := range []string{s.id + "x", s.id[1:], state, code} {
		e.deliver(e.public, request{method: "GET", resource: "/consent/{session}", session: path})
	}
	e.deliver(e.public, request{method: "GET", resource: "/consent/{session}", session: s.id, query: url.Values{code: {state}}})
	for range 2 {
		e.receive(name, s.back.Query(), s.cookie) // once correctly, and once more
	}
}

// wrongForms are posts that the consent page did not make.
func (e *env) wrongForms(name string) {
	e.t.Helper()
	s := e.begin(name, "")
	e.leave(s)
	for _, form := range []url.Values{
		nil, {"csrf": {s.csrf + "x"}}, {"csrf": {s.csrf, s.csrf}}, {"csrf": {s.csrf}, "session": {s.id}}, {"csrf": {s.id}}, {s.csrf: {s.id}},
		{"csrf": {strings.Repeat(s.csrf, 200)}},
	} {
		if got := e.proceed(s, form); got.status/100 != 4 {
			e.t.Errorf("AZ-25 the form %v: %d", slices.Sorted(maps.Keys(form)), got.status)
		}
	}
	other := e.begin(name, "")
	if got := e.proceed(other, url.Values{"csrf": {s.csrf}}); got.status != http.StatusBadRequest {
		e.t.Errorf("AZ-25 another session's form: %d", got.status)
	}
	for range 6 {
		e.leave(s) // more browsers than a session remembers
	}
}

func (e *env) wrongCompletions(name string) {
	e.t.Helper()
	s := e.received(name, "")
	body, err := json.Marshal(s.confirmation())
	if err != nil {
		e.t.Fatal(err)
	}
	foreign := request{method: "POST", resource: s.under("authorization/complete"), connection: name, contentType: "application/json",
		body: string(body), foreign: true}
	if got := e.deliver(e.connections, foreign); got.status != http.StatusForbidden {
		e.t.Errorf("BI-23 another principal: %d", got.status)
	}
	foreign.resource, foreign.subject, foreign.foreign = "/connections/{connection}/subjects/{subject}/authorization/complete", "grace", false
	e.deliver(e.connections, foreign)
	foreign.contentType = "text/plain"
	e.deliver(e.connections, foreign)
	e.signed(s, "POST", "authorization/complete", string(body)[:len(body)-2])
	e.signed(s, "POST", "authorization/complete", `{"session_id":["`+s.id+`"],"confirmation_code":"`+s.code+`"}`)
	e.complete(s, map[string]string{"session_id": s.code, "confirmation_code": s.id})
	e.complete(s, map[string]string{s.id: s.code})
	swapped := strings.NewReplacer("2", "3", "3", "4", "4", "5").Replace(s.code[1:]) + "2"
	for _, want := range []int{http.StatusForbidden, http.StatusForbidden, http.StatusGone} {
		e.sinks.guard("confirmation code", swapped)
		if got := e.complete(s, map[string]string{"session_id": s.id, "confirmation_code": swapped}); got.status != want {
			e.t.Errorf("BI-24 a wrong code: %d %v, want %d", got.status, got.body["detail"], want)
		}
	}
	e.complete(s, s.confirmation())
}

func (e *env) expiries(name string) {
	e.t.Helper()
	s := e.begin(name, "")
	e.decide(s, e.leave(s), true)
	e.pass(11 * time.Minute)
	if got := e.receive(name, s.back.Query(), s.cookie); got.status != http.StatusGone {
		e.t.Errorf("FI-44 back after 11 minutes: %d", got.status)
	}
	e.deliver(e.public, request{method: "GET", resource: "/consent/{session}", session: s.id})
	s = e.received(name, "")
	e.pass(31 * time.Minute)
	if got := e.complete(s, s.confirmation()); got.status != http.StatusGone {
		e.t.Errorf("AZ-20 completed after 31 minutes: %d", got.status)
	}
}

// imports imports refresh tokens that are invalid, malformed, and valid.
func (e *env) imports(name string) {
	e.t.Helper()
	s := &session{connection: name}
	put := func(body string) int {
		return e.signed(s, "PUT", "authorization", body).status
	}
	token := canary("refresh token imported into " + name)
	e.sinks.guard("refresh token", token)
	for _, body := range []string{
		`{"refresh_token":"` + token + `"}`, `{"refresh_token":"` + token + `\n"}`, `{"refresh_token":["` + token + `"]}`, `{"` + token + `":"x"}`,
		`{"refresh_token":"` + token + `","refresh_token":"` + token + `"}`, `{"refresh_token":"` + token, `"` + token + `"`,
		`{"refresh_token":"` + token + `","scope":"` + token + `"}`, `{"refresh_token":"` + token + `","expires_at":"` + token + `"}`,
		`{"refresh_token":"` + strings.Repeat(token, 300) + `"}`,
	} {
		if got := put(body); got/100 == 2 || got == http.StatusInternalServerError {
			e.t.Errorf("an import of what is none: %d", got)
		}
	}
	for _, fault := range exchangeFaults(e, name) {
		fault.On = "refresh_token"
		e.script(name, fault)
		put(`{"refresh_token":"` + token + `"}`)
		e.script(name)
	}
	e.status(name)
}

// exchangeFaults are answers to a code or refresh token that repeat it.
func exchangeFaults(e *env, name string) []sandbox.Fault {
	token := canary("token for a user of " + name)
	e.sinks.guard("access token", token)
	e.sinks.guard("refresh token", token+"-refresh")
	words := `"` + echoForm + ` and ` + echoJSON + ` are not right, ` + token + `-refresh is"`
	var all []sandbox.Fault
	for _, answer := range []struct {
		status int
		body   string
	}{
		{400, `{"error":"invalid_grant","error_description":` + words + `,"error_uri":` + words + `}`},
		{400, `{"error":"invalid_client","error_description":` + words + `}`},
		{400, `{"error":"invalid_request","error_description":` + words + `}`},
		{400, `{"error":` + words + `}`},
		{401, words}, {429, words}, {500, words}, {503, `{"error":"temporarily_unavailable","error_description":` + words + `}`},
		{200, words}, {200, `{"error":"invalid_grant","error_description":` + words + `}`},
		{200, `{"access_token":"` + token + `","token_type":"mac","refresh_token":"` + token + `-refresh"}`},
		{200, `{"access_token":"` + token + `","token_type":"Bearer","expires_in":` + words + `,"refresh_token":"` + token + `-refresh"}`},
		{200, `{"access_token":"` + token + `","token_type":"Bearer","expires_in":60,"refresh_token":["` + token + `-refresh"]}`},
		{200, `{"access_token":"` + token + `","token_type":"Bearer","expires_in":60,"refresh_token":"` + token + `-refresh\u0000"}`},
		{200, `{"access_token":"` + token + `","refresh_token":"` + token + `-refresh`},
		{200, `{"access_token":"` + token + `","token_type":"Bearer","expires_in":60,"scope":[` + words + `]}`},
		{302, words},
	} {
		all = append(all, sandbox.Fault{Status: answer.status, Body: answer.body})
	}
	all = append(all, sandbox.Fault{Reset: true}, sandbox.Fault{Truncate: true}, sandbox.Fault{Processed: true, Reset: true},
		sandbox.Fault{Redirect: e.attacker + "/?token=" + token})
	if name == users[0] {
		return all
	}
	// The others get every fourth fault, each a different one.
	at := slices.Index(users, name)
	var some []sandbox.Fault
	for i := at; i < len(all); i += 4 {
		some = append(some, all[i])
	}
	return some
}

// exchangesUnder completes while the provider misbehaves.
func (e *env) exchangesUnder(name string) {
	e.t.Helper()
	for _, fault := range exchangeFaults(e, name) {
		s := e.received(name, "")
		fault.On = "authorization_code"
		e.script(name, fault)
		e.complete(s, s.confirmation())
		e.complete(s, s.confirmation())
		e.script(name)
		e.status(name)
	}
}

// refreshesUnder refreshes while the provider misbehaves, for callers and for the
// renewer.
func (e *env) refreshesUnder(name string) {
	e.t.Helper()
	for i, fault := range exchangeFaults(e, name) {
		s := e.consent(name, "")
		fault.On = "refresh_token"
		e.script(name, fault)
		if i == 0 && name == users[0] {
			e.tokenOf(s, "GET", "")
			e.ticks(4)
		}
		e.tokenOf(s, "DELETE", "")
		e.pass(time.Minute)
		for range 2 {
			e.tokenOf(s, "GET", "")
			e.status(name)
		}
		e.script(name)
		e.pass(20 * time.Minute)
		e.tokenOf(s, "GET", "")
	}
}

// disconnectsUnder ends grants at servers that refuse, fail, and repeat the request.
func (e *env) disconnectsUnder(name string) {
	e.t.Helper()
	for _, fault := range []sandbox.Fault{
		{Status: 400, Body: `{"error":"invalid_request","error_description":"` + echoForm + ` ` + echoJSON + `"}`},
		{Status: 503, Body: echoForm, RetryAfter: "1"}, {Reset: true}, {Redirect: e.attacker},
	} {
		s := e.consent(name, "")
		fault.On = sandbox.OnRevocation
		e.script(name, fault)
		e.signed(s, "DELETE", "authorization", "")
		e.script(name)
		if got := e.signed(s, "DELETE", "authorization", ""); got.status != http.StatusNoContent {
			e.t.Errorf("OC-14 disconnect after a failure: %d %v", got.status, got.body["detail"])
		}
	}
}
