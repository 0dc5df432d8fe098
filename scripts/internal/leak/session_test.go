package leak_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// publicBase is the public base URL of the pages.
const publicBase = "https://tokens.example.com/v1"

// request is a request to API Gateway.
type request struct {
	method, resource string
	// connection, subject and session are the path's.
	connection, subject, session string
	query                        url.Values
	contentType, body, cookie    string
	// foreign signs as another principal.
	foreign bool
}

// event is the request as API Gateway sends it, from loopback, whose requests to the
// public pages are not limited.
func (r request) event() []byte {
	path := strings.NewReplacer("{connection}", r.connection, "{subject}", r.subject, "{session}", r.session).Replace(r.resource)
	caller := restevent.Identity{ARN: "arn:aws:iam::111122223333:role/app", UniqueID: "AROAEXAMPLE:session", AccountID: "111122223333"}
	if r.foreign {
		caller.UniqueID = "AROAFOREIGN:session"
	}
	header := http.Header{"Content-Type": {r.contentType}}
	if r.cookie != "" {
		header.Set("Cookie", r.cookie)
	}
	return restevent.Request{Method: r.method, Resource: r.resource, Path: path, Query: r.query, Header: header, Body: r.body, Identity: caller, SourceIP: "127.0.0.1"}.Encode()
}

// expected is a secret that belongs in an answer, and how often it occurs there.
type expected struct {
	name  string
	find  func(reply) string
	times int
}

// deliver sends a request, and records the answer without the secrets that
// belong there.
func (e *env) deliver(f *gateway.Handler, r request, meant ...expected) reply {
	e.t.Helper()
	answer, err := f.Invoke(e.t.Context(), r.event())
	if err != nil {
		e.t.Fatal(err)
	}
	got := replyOf(answer)
	if got.status/100 <= 3 {
		for _, m := range meant {
			text := m.find(got)
			e.sinks.guard(m.name, text)
			if n := bytes.Count(answer, []byte(text)); text == "" || n != m.times {
				e.t.Errorf("AZ-29 %s %s: the %s occurs %d times in the answer, want %d", r.method, r.resource, m.name, n, m.times)
			}
			answer = bytes.ReplaceAll(answer, []byte(text), nil)
		}
	}
	fmt.Fprintf(e.sinks.into("responses"), "%s\n", answer)
	return got
}

func replyOf(answer []byte) reply {
	var got struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	_ = json.Unmarshal(answer, &got) // tests notice what is missing
	r := reply{status: got.StatusCode, header: got.Headers, text: got.Body}
	_ = json.Unmarshal([]byte(got.Body), &r.body) // pages are not JSON
	return r
}

// The secrets that answers are for.
var (
	tokenInBody    = expected{"access token", func(r reply) string { text, _ := r.body["access_token"].(string); return text }, 1}
	sessionInBody  = expected{"session id", func(r reply) string { text, _ := r.body["session_id"].(string); return text }, 2}
	stateInBody    = expected{"state", func(r reply) string { text, _ := r.body["authorization_url"].(string); return stateSecret(text) }, 1}
	csrfInPage     = expected{"form token", func(r reply) string { return found(csrfInput, r.text) }, 1}
	stateInHeader  = expected{"state", func(r reply) string { return stateSecret(r.header["Location"]) }, 1}
	cookieInHeader = expected{"cookie", func(r reply) string { return found(cookieValue, r.header["Set-Cookie"]) }, 1}
	codeInPage     = expected{"confirmation code", func(r reply) string { return found(shownCode, r.text) }, 1}
)

var (
	csrfInput   = regexp.MustCompile(`<input type="hidden" name="csrf" value="([^"]+)">`)
	cookieValue = regexp.MustCompile(`^__Host-tokenvend-consent=([^;]+);`)
	shownCode   = regexp.MustCompile(`id="confirmation-code"[^>]*>([^<]+)<`)
)

func found(pattern *regexp.Regexp, text string) string {
	match := pattern.FindStringSubmatch(text)
	if match == nil {
		return ""
	}
	return html.UnescapeString(match[1])
}

// stateSecret is the secret part of an address's state: the other part names the
// session's record, and grants nothing.
func stateSecret(address string) string {
	at, err := url.Parse(address)
	if err != nil {
		return ""
	}
	_, word, _ := strings.Cut(at.Query().Get("state"), ".")
	return word
}

// session is a pending consent, as its initiator and its browser know it.
type session struct {
	connection, subject, id string
	// authorizationURL is for manual completion.
	authorizationURL string
	csrf, cookie     string
	// back is where the provider redirected the browser; code is the confirmation code.
	back *url.URL
	code string
}

// under returns the resource for the session's subject.
func (s *session) under(resource string) string {
	if s.subject != "" {
		return "/connections/{connection}/subjects/{subject}/" + resource
	}
	return "/connections/{connection}/" + resource
}

// signed sends a signed request with a JSON body.
func (e *env) signed(s *session, method, resource, body string, meant ...expected) reply {
	e.t.Helper()
	return e.deliver(e.connections, request{method: method, resource: s.under(resource), connection: s.connection, subject: s.subject,
		contentType: "application/json", body: body}, meant...)
}

func (e *env) begin(connection, subject string) *session {
	e.t.Helper()
	s := &session{connection: connection, subject: subject}
	got := e.signed(s, "POST", "authorization", "", sessionInBody, stateInBody)
	if got.status != http.StatusCreated {
		e.t.Fatalf("start of %s: %d %v", connection, got.status, got.body["detail"])
	}
	s.id, s.authorizationURL = sessionInBody.find(got), fmt.Sprint(got.body["authorization_url"])
	return s
}

// leave shows the consent page and continues; it returns the redirect's target.
func (e *env) leave(s *session) string {
	e.t.Helper()
	shown := e.deliver(e.public, request{method: "GET", resource: "/consent/{session}", session: s.id}, csrfInPage)
	s.csrf = csrfInPage.find(shown)
	sent := e.proceed(s, url.Values{"csrf": {s.csrf}})
	if sent.status != http.StatusSeeOther {
		e.t.Fatalf("continuing: %d", sent.status)
	}
	s.cookie = cookieInHeader.find(sent)
	return sent.header["Location"]
}

func (e *env) proceed(s *session, form url.Values) reply {
	e.t.Helper()
	return e.deliver(e.public, request{method: "POST", resource: "/consent/{session}", session: s.id,
		contentType: "application/x-www-form-urlencoded", body: form.Encode()}, stateInHeader, cookieInHeader)
}

// decide makes the user's decision at the provider.
func (e *env) decide(s *session, address string, allow bool) {
	e.t.Helper()
	at, err := browserclient.Consent(e.t.Context(), &http.Client{}, address, "", allow)
	if err != nil {
		e.t.Fatal(err)
	}
	if s.back, err = url.Parse(at); err != nil {
		e.t.Fatal(err)
	}
	e.sinks.guard("authorization code", s.back.Query().Get("code"))
}

// receive calls the callback with a query.
func (e *env) receive(connection string, query url.Values, cookie string) reply {
	e.t.Helper()
	meant := []expected{codeInPage}
	if query.Has("error") {
		meant = nil
	}
	return e.deliver(e.public, request{method: "GET", resource: "/callback/{connection}", connection: connection, query: query,
		cookie: "__Host-tokenvend-consent=" + cookie}, meant...)
}

// received is a session after its callback.
func (e *env) received(connection, subject string) *session {
	e.t.Helper()
	s := e.begin(connection, subject)
	e.decide(s, e.leave(s), true)
	s.code = codeInPage.find(e.receive(connection, s.back.Query(), s.cookie))
	if s.code == "" {
		e.t.Fatalf("no confirmation code for %s", connection)
	}
	return s
}

// complete sends a completion with that body.
func (e *env) complete(s *session, body map[string]string) reply {
	e.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	return e.signed(s, "POST", "authorization/complete", string(text))
}

func (s *session) confirmation() map[string]string {
	return map[string]string{"session_id": s.id, "confirmation_code": s.code}
}

// consent runs a whole consent.
func (e *env) consent(connection, subject string) *session {
	e.t.Helper()
	s := e.received(connection, subject)
	if got := e.complete(s, s.confirmation()); got.status != http.StatusOK {
		e.t.Fatalf("complete of %s: %d %v", connection, got.status, got.body["detail"])
	}
	return s
}
