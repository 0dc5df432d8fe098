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

// TestConsentFlows drives users' consents and what becomes of them through
// everything that can go well or wrong, and looks for every secret of theirs in
// everything that came out.
func TestConsentFlows(t *testing.T) {
	h := newHouse(t, hooks{})
	printed := h.sinks.capture(t)
	for _, name := range users {
		if err := h.sandbox.SetLifetime(name, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		h.grantsLife(name)
	}
	for _, name := range users {
		h.byHand(name)
		h.denial(name)
		h.wrongBrowsers(name)
		h.wrongForms(name)
		h.wrongCompletions(name)
		h.expiries(name)
		h.imports(name)
		h.exchangesUnder(name)
		h.refreshesUnder(name)
		h.disconnectsUnder(name)
	}
	h.items()
	printed()
	report(t, h)

	t.Run("AZ-54 every kind of secret was at stake", func(t *testing.T) {
		guarded := h.sinks.guarded()
		for _, name := range []string{"access token", "refresh token", "id token", "authorization code", "code verifier", "state", "session id",
			"form token", "cookie", "confirmation code", "client secret", "sealing key"} {
			if guarded[name] < 2 {
				t.Errorf("%d of %q were handled: the search proves nothing about it", guarded[name], name)
			}
		}
	})
	t.Run("AZ-54 every outcome occurred", func(t *testing.T) {
		text := h.sinks.text("log")
		for _, action := range []string{"authorize", "complete", "import", "disconnect", "consent_page", "consent_continue", "callback", "vend", "renew"} {
			if !strings.Contains(text, `"action":"`+action+`","outcome":"ok"`) {
				t.Errorf("no %s went well", action)
			}
		}
		for _, outcome := range []string{"invalid_request", "access_denied", "authorization_required", "session_expired",
			"provider_rejected", "provider_malformed", "provider_unavailable"} {
			if !strings.Contains(text, `"outcome":"`+outcome+`"`) {
				t.Errorf("no %s: some flow did not go as meant", outcome)
			}
		}
	})
	t.Run("OC-20 nothing followed a redirect", func(t *testing.T) {
		if n := h.attacked.Load(); n > 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// grantsLife is consent, use, renewal, rejection and end, for both kinds of
// subject.
func (h *house) grantsLife(name string) {
	h.t.Helper()
	for _, subject := range []string{"", "ada"} {
		s := h.consent(name, subject)
		first := h.tokenOf(s, "GET", "")
		if first.status != http.StatusOK {
			h.t.Fatalf("%s: %d %v", name, first.status, first.body["detail"])
		}
		h.turns(6)
		second := h.tokenOf(s, "GET", "")
		h.pass(time.Minute)
		h.tokenOf(s, "POST", fmt.Sprintf(`{"rejected_token_id":%q}`, second.body["token_id"]))
		h.tokenOf(s, "DELETE", "")
		if third := h.tokenOf(s, "GET", ""); third.status != http.StatusOK || third.body["token_id"] == first.body["token_id"] {
			h.t.Errorf("%s was not refreshed: %d %v", name, third.status, third.body["detail"])
		}
		h.consent(name, subject) // replaces the grant
		h.changed(name)
		h.status(name)
		h.list()
		if got := h.signed(s, "DELETE", "authorization", ""); got.status != http.StatusNoContent {
			h.t.Errorf("%s does not disconnect: %d %v", name, got.status, got.body["detail"])
		}
		h.pass(time.Minute)
		h.tokenOf(s, "GET", "")
		h.tick()
	}
}

// turns lets the wheel turn.
func (h *house) turns(minutes int) {
	for range minutes {
		h.pass(time.Minute)
		h.tick()
	}
}

// tokenOf is a request for the session's token.
func (h *house) tokenOf(s *session, method, body string) reply {
	h.t.Helper()
	r := request{method: method, resource: s.under("token"), connection: s.connection, subject: s.subject, contentType: "application/json", body: body}
	if method == http.MethodDelete {
		return h.deliver(h.vend, r)
	}
	return h.deliver(h.vend, r, belonging{"access token", func(r reply) string { text, _ := r.body["access_token"].(string); return text }, 1})
}

// byHand carries the answer over, rightly and in every wrong way.
func (h *house) byHand(name string) {
	h.t.Helper()
	for _, whole := range []bool{true, false} {
		s := h.begin(name, "")
		h.decide(s, s.authorizationURL, true)
		code, state := s.back.Query().Get("code"), s.back.Query().Get("state")
		h.receive(name, s.back.Query(), "") // a page that says what to do
		for _, body := range []map[string]string{
			{"redirect_url": "https://elsewhere.example/callback?" + s.back.RawQuery},
			{"redirect_url": s.back.RawQuery}, {"redirect_url": s.back.String() + "&code=" + code},
			{"redirect_url": s.back.String(), "code": code, "state": state},
			{"code": code}, {"code": code, "state": code}, {"code": state, "state": code}, {"code": code + "\r\n", "state": state},
			{"code": code, "state": state, "session_id": strings.Repeat("a", 32)}, {"code": code, "state": state, "session_id": code},
			{"session_id": state, "confirmation_code": code}, {code: state},
		} {
			if got := h.complete(s, body); got.status/100 != 4 {
				h.t.Errorf("§2.2 completed by hand with %v: %d", slices.Sorted(maps.Keys(body)), got.status)
			}
		}
		right := map[string]string{"redirect_url": s.back.String()}
		if !whole {
			right = map[string]string{"code": code, "state": state}
		}
		for _, want := range []int{http.StatusOK, http.StatusGone} {
			if got := h.complete(s, right); got.status != want {
				h.t.Errorf("§2.2 by hand: %d %v, want %d", got.status, got.body["detail"], want)
			}
		}
	}
}

func (h *house) denial(name string) {
	h.t.Helper()
	s := h.begin(name, "")
	h.decide(s, h.leave(s), false)
	query := s.back.Query()
	query.Set("error_description", canary("words of the provider"))
	h.sinks.guard("authorization code", canary("words of the provider"))
	if got := h.receive(name, query, s.cookie); got.status != http.StatusOK {
		h.t.Errorf("OC-02 a denial: %d", got.status)
	}
	if got := h.complete(s, map[string]string{"session_id": s.id, "confirmation_code": "2222-2222"}); got.status != http.StatusBadGateway {
		h.t.Errorf("OC-02 completed after a denial: %d %v", got.status, got.body["detail"])
	}
	s = h.begin(name, "")
	h.decide(s, s.authorizationURL, false)
	h.complete(s, map[string]string{"redirect_url": s.back.String()})
}

// wrongBrowsers come back with what is not theirs, or with something else.
func (h *house) wrongBrowsers(name string) {
	h.t.Helper()
	s := h.begin(name, "")
	h.decide(s, h.leave(s), true)
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
		got := h.receive(name, query, s.cookie)
		if query.Get("iss") != "" && got.status == http.StatusOK {
			return // a server without an issuer may say what it likes; the session has its answer
		}
		if got.status/100 != 4 {
			h.t.Errorf("BI-32 the callback takes %v: %d", slices.Sorted(maps.Keys(query)), got.status)
		}
	}
	for _, cookie := range []string{"", s.cookie + "x", state, s.cookie + "; __Host-tokenvend-consent=" + s.cookie} {
		if got := h.receive(name, s.back.Query(), cookie); got.status != http.StatusBadRequest {
			h.t.Errorf("BI-31 another browser: %d", got.status)
		}
	}
	h.receive("basic", s.back.Query(), s.cookie)
	h.deliver(h.public, request{method: "POST", resource: "/callback/{connection}", connection: name,
		contentType: "application/x-www-form-urlencoded", body: s.back.RawQuery, cookie: s.cookie})
	for _, path := range []string{s.id + "x", s.id[1:], state, code} {
		h.deliver(h.public, request{method: "GET", resource: "/consent/{session}", session: path})
	}
	h.deliver(h.public, request{method: "GET", resource: "/consent/{session}", session: s.id, query: url.Values{code: {state}}})
	for range 2 {
		h.receive(name, s.back.Query(), s.cookie) // once as it should be, and again
	}
}

// wrongForms are what the consent page did not send.
func (h *house) wrongForms(name string) {
	h.t.Helper()
	s := h.begin(name, "")
	h.leave(s)
	for _, form := range []url.Values{
		nil, {"csrf": {s.csrf + "x"}}, {"csrf": {s.csrf, s.csrf}}, {"csrf": {s.csrf}, "session": {s.id}}, {"csrf": {s.id}}, {s.csrf: {s.id}},
		{"csrf": {strings.Repeat(s.csrf, 200)}},
	} {
		if got := h.proceed(s, form); got.status/100 != 4 {
			h.t.Errorf("AZ-25 the form %v: %d", slices.Sorted(maps.Keys(form)), got.status)
		}
	}
	other := h.begin(name, "")
	if got := h.proceed(other, url.Values{"csrf": {s.csrf}}); got.status != http.StatusBadRequest {
		h.t.Errorf("AZ-25 another session's form: %d", got.status)
	}
	for range 6 {
		h.leave(s) // more browsers than are remembered
	}
}

func (h *house) wrongCompletions(name string) {
	h.t.Helper()
	s := h.received(name, "")
	body, err := json.Marshal(s.confirmation())
	if err != nil {
		h.t.Fatal(err)
	}
	stranger := request{method: "POST", resource: s.under("authorization/complete"), connection: name, contentType: "application/json",
		body: string(body), stranger: true}
	if got := h.deliver(h.connections, stranger); got.status != http.StatusForbidden {
		h.t.Errorf("BI-23 another principal: %d", got.status)
	}
	stranger.resource, stranger.subject, stranger.stranger = "/connections/{connection}/subjects/{subject}/authorization/complete", "grace", false
	h.deliver(h.connections, stranger)
	stranger.contentType = "text/plain"
	h.deliver(h.connections, stranger)
	h.signed(s, "POST", "authorization/complete", string(body)[:len(body)-2])
	h.signed(s, "POST", "authorization/complete", `{"session_id":["`+s.id+`"],"confirmation_code":"`+s.code+`"}`)
	h.complete(s, map[string]string{"session_id": s.code, "confirmation_code": s.id})
	h.complete(s, map[string]string{s.id: s.code})
	swapped := strings.NewReplacer("2", "3", "3", "4", "4", "5").Replace(s.code[1:]) + "2"
	for _, want := range []int{http.StatusForbidden, http.StatusForbidden, http.StatusGone} {
		h.sinks.guard("confirmation code", swapped)
		if got := h.complete(s, map[string]string{"session_id": s.id, "confirmation_code": swapped}); got.status != want {
			h.t.Errorf("BI-24 a wrong code: %d %v, want %d", got.status, got.body["detail"], want)
		}
	}
	h.complete(s, s.confirmation())
}

func (h *house) expiries(name string) {
	h.t.Helper()
	s := h.begin(name, "")
	h.decide(s, h.leave(s), true)
	h.pass(11 * time.Minute)
	if got := h.receive(name, s.back.Query(), s.cookie); got.status != http.StatusGone {
		h.t.Errorf("FI-44 back after 11 minutes: %d", got.status)
	}
	h.deliver(h.public, request{method: "GET", resource: "/consent/{session}", session: s.id})
	s = h.received(name, "")
	h.pass(31 * time.Minute)
	if got := h.complete(s, s.confirmation()); got.status != http.StatusGone {
		h.t.Errorf("AZ-20 completed after 31 minutes: %d", got.status)
	}
}

// imports brings grants that are dead, damaged, and alive.
func (h *house) imports(name string) {
	h.t.Helper()
	s := &session{connection: name}
	put := func(body string) int {
		return h.signed(s, "PUT", "authorization", body).status
	}
	token := canary("refresh token imported into " + name)
	h.sinks.guard("refresh token", token)
	for _, body := range []string{
		`{"refresh_token":"` + token + `"}`, `{"refresh_token":"` + token + `\n"}`, `{"refresh_token":["` + token + `"]}`, `{"` + token + `":"x"}`,
		`{"refresh_token":"` + token + `","refresh_token":"` + token + `"}`, `{"refresh_token":"` + token, `"` + token + `"`,
		`{"refresh_token":"` + token + `","scope":"` + token + `"}`, `{"refresh_token":"` + token + `","expires_at":"` + token + `"}`,
		`{"refresh_token":"` + strings.Repeat(token, 300) + `"}`,
	} {
		if got := put(body); got/100 == 2 || got == http.StatusInternalServerError {
			h.t.Errorf("§2.2 an import of what is none: %d", got)
		}
	}
	for _, fault := range exchangeFaults(h, name) {
		fault.On = "refresh_token"
		h.script(name, fault)
		put(`{"refresh_token":"` + token + `"}`)
		h.script(name)
	}
	h.status(name)
}

// exchangeFaults are answers to a code or refresh token, at their most talkative.
func exchangeFaults(h *house, name string) []sandbox.Fault {
	token := canary("token for a user of " + name)
	h.sinks.guard("access token", token)
	h.sinks.guard("refresh token", token+"-refresh")
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
		sandbox.Fault{Redirect: h.attacker + "/?token=" + token})
	if name == users[0] {
		return all
	}
	// The others meet every fourth, each another.
	at := slices.Index(users, name)
	var some []sandbox.Fault
	for i := at; i < len(all); i += 4 {
		some = append(some, all[i])
	}
	return some
}

// exchangesUnder completes while the provider misbehaves.
func (h *house) exchangesUnder(name string) {
	h.t.Helper()
	for _, fault := range exchangeFaults(h, name) {
		s := h.received(name, "")
		fault.On = "authorization_code"
		h.script(name, fault)
		h.complete(s, s.confirmation())
		h.complete(s, s.confirmation())
		h.script(name)
		h.status(name)
	}
}

// refreshesUnder spends refresh tokens while the provider misbehaves, for
// callers and for the renewer.
func (h *house) refreshesUnder(name string) {
	h.t.Helper()
	for i, fault := range exchangeFaults(h, name) {
		s := h.consent(name, "")
		fault.On = "refresh_token"
		h.script(name, fault)
		if i == 0 && name == users[0] {
			h.tokenOf(s, "GET", "")
			h.turns(4)
		}
		h.tokenOf(s, "DELETE", "")
		h.pass(time.Minute)
		for range 2 {
			h.tokenOf(s, "GET", "")
			h.status(name)
		}
		h.script(name)
		h.pass(20 * time.Minute)
		h.tokenOf(s, "GET", "")
	}
}

// disconnectsUnder ends grants at servers that refuse, fail, and repeat what
// they were sent.
func (h *house) disconnectsUnder(name string) {
	h.t.Helper()
	for _, fault := range []sandbox.Fault{
		{Status: 400, Body: `{"error":"invalid_request","error_description":"` + echoForm + ` ` + echoJSON + `"}`},
		{Status: 503, Body: echoForm, RetryAfter: "1"}, {Reset: true}, {Redirect: h.attacker},
	} {
		s := h.consent(name, "")
		fault.On = sandbox.OnRevocation
		h.script(name, fault)
		h.signed(s, "DELETE", "authorization", "")
		h.script(name)
		if got := h.signed(s, "DELETE", "authorization", ""); got.status != http.StatusNoContent {
			h.t.Errorf("OC-14 disconnect after a failure: %d %v", got.status, got.body["detail"])
		}
	}
}
