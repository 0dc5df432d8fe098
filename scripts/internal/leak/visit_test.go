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
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// publicBase is where browsers find the pages.
const publicBase = "https://tokens.example.com/v1"

// request is one that API Gateway passes on.
type request struct {
	method, resource string
	// connection, subject and session are the path's.
	connection, subject, session string
	query                        url.Values
	contentType, body, cookie    string
	// stranger signs as somebody else.
	stranger bool
}

// event is the request as a function receives it.
func (r request) event() map[string]any {
	parameters, path := map[string]string{}, r.resource
	for name, value := range map[string]string{"connection": r.connection, "subject": r.subject, "session": r.session} {
		if strings.Contains(path, "{"+name+"}") {
			parameters[name], path = value, strings.Replace(path, "{"+name+"}", value, 1)
		}
	}
	caller := "AROAEXAMPLE:session"
	if r.stranger {
		caller = "AROASTRANGER:session"
	}
	return map[string]any{
		"resource": r.resource, "path": path, "httpMethod": r.method, "pathParameters": parameters,
		"headers":                         map[string]string{"Content-Type": r.contentType},
		"multiValueHeaders":               map[string][]string{"Cookie": {r.cookie}},
		"multiValueQueryStringParameters": r.query, "body": r.body,
		"requestContext": map[string]any{"requestId": "request", "stage": "v1", "identity": map[string]string{
			"userArn": "arn:aws:iam::111122223333:role/app", "caller": caller, "accountId": "111122223333", "sourceIp": "192.0.2.1"}},
	}
}

// belonging is a secret in an answer that is meant for whoever gets it, and how
// often it stands there.
type belonging struct {
	name  string
	find  func(reply) string
	times int
}

// deliver sends a request, and records the answer without what belongs there.
func (h *house) deliver(f *gateway.Handler, r request, meant ...belonging) reply {
	h.t.Helper()
	event, err := json.Marshal(r.event())
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := f.Invoke(h.t.Context(), event)
	if err != nil {
		h.t.Fatal(err)
	}
	got := replyOf(answer)
	if got.status/100 <= 3 {
		for _, m := range meant {
			text := m.find(got)
			h.sinks.guard(m.name, text)
			if n := bytes.Count(answer, []byte(text)); text == "" || n != m.times {
				h.t.Errorf("AZ-29 %s %s: the %s stands %d times in the answer, want %d", r.method, r.resource, m.name, n, m.times)
			}
			answer = bytes.ReplaceAll(answer, []byte(text), nil)
		}
	}
	fmt.Fprintf(h.sinks.into("responses"), "%s\n", answer)
	return got
}

func replyOf(answer []byte) reply {
	var got struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	_ = json.Unmarshal(answer, &got) // a test sees what is missing
	r := reply{status: got.StatusCode, header: got.Headers, text: got.Body}
	_ = json.Unmarshal([]byte(got.Body), &r.body) // pages have none
	return r
}

// The secrets that our answers are for.
var (
	sessionInBody  = belonging{"session id", func(r reply) string { text, _ := r.body["session_id"].(string); return text }, 2}
	stateInBody    = belonging{"state", func(r reply) string { text, _ := r.body["authorization_url"].(string); return stateWord(text) }, 1}
	csrfInPage     = belonging{"form token", func(r reply) string { return found(csrfInput, r.text) }, 1}
	stateInHeader  = belonging{"state", func(r reply) string { return stateWord(r.header["Location"]) }, 1}
	cookieInHeader = belonging{"cookie", func(r reply) string { return found(cookieValue, r.header["Set-Cookie"]) }, 1}
	codeInPage     = belonging{"confirmation code", func(r reply) string { return found(shownCode, r.text) }, 1}
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

// stateWord is the secret part of an address's state: the other names the
// session's record, and opens nothing.
func stateWord(address string) string {
	at, err := url.Parse(address)
	if err != nil {
		return ""
	}
	_, word, _ := strings.Cut(at.Query().Get("state"), ".")
	return word
}

// session is a consent under way, as its initiator and its browser know it.
type session struct {
	connection, subject, id string
	// authorizationURL is the one for consent by hand.
	authorizationURL string
	csrf, cookie     string
	// back is where the provider sent the browser; code the confirmation code.
	back *url.URL
	code string
}

// under is the resource for the session's subject.
func (s *session) under(resource string) string {
	if s.subject != "" {
		return "/connections/{connection}/subjects/{subject}/" + resource
	}
	return "/connections/{connection}/" + resource
}

// signed sends a signed request with a JSON body.
func (h *house) signed(s *session, method, resource, body string, meant ...belonging) reply {
	h.t.Helper()
	return h.deliver(h.connections, request{method: method, resource: s.under(resource), connection: s.connection, subject: s.subject,
		contentType: "application/json", body: body}, meant...)
}

func (h *house) begin(connection, subject string) *session {
	h.t.Helper()
	s := &session{connection: connection, subject: subject}
	got := h.signed(s, "POST", "authorization", "", sessionInBody, stateInBody)
	if got.status != http.StatusCreated {
		h.t.Fatalf("start of %s: %d %v", connection, got.status, got.body["detail"])
	}
	s.id, s.authorizationURL = sessionInBody.find(got), fmt.Sprint(got.body["authorization_url"])
	return s
}

// leave shows the page and continues; it returns where the browser is sent.
func (h *house) leave(s *session) string {
	h.t.Helper()
	shown := h.deliver(h.public, request{method: "GET", resource: "/consent/{session}", session: s.id}, csrfInPage)
	s.csrf = csrfInPage.find(shown)
	sent := h.proceed(s, url.Values{"csrf": {s.csrf}})
	if sent.status != http.StatusSeeOther {
		h.t.Fatalf("continuing: %d", sent.status)
	}
	s.cookie = cookieInHeader.find(sent)
	return sent.header["Location"]
}

func (h *house) proceed(s *session, form url.Values) reply {
	h.t.Helper()
	return h.deliver(h.public, request{method: "POST", resource: "/consent/{session}", session: s.id,
		contentType: "application/x-www-form-urlencoded", body: form.Encode()}, stateInHeader, cookieInHeader)
}

// decide has the user decide at the provider.
func (h *house) decide(s *session, address string, allow bool) {
	h.t.Helper()
	at, err := browserclient.Consent(h.t.Context(), &http.Client{}, address, "", allow)
	if err != nil {
		h.t.Fatal(err)
	}
	if s.back, err = url.Parse(at); err != nil {
		h.t.Fatal(err)
	}
	h.sinks.guard("authorization code", s.back.Query().Get("code"))
}

// receive brings a browser back with a query.
func (h *house) receive(connection string, query url.Values, cookie string) reply {
	h.t.Helper()
	meant := []belonging{codeInPage}
	if query.Has("error") {
		meant = nil
	}
	return h.deliver(h.public, request{method: "GET", resource: "/callback/{connection}", connection: connection, query: query,
		cookie: "__Host-tokenvend-consent=" + cookie}, meant...)
}

// received is a session whose browser is back.
func (h *house) received(connection, subject string) *session {
	h.t.Helper()
	s := h.begin(connection, subject)
	h.decide(s, h.leave(s), true)
	s.code = codeInPage.find(h.receive(connection, s.back.Query(), s.cookie))
	if s.code == "" {
		h.t.Fatalf("no confirmation code for %s", connection)
	}
	return s
}

// complete tries to; body holds what is sent.
func (h *house) complete(s *session, body map[string]string) reply {
	h.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.signed(s, "POST", "authorization/complete", string(text))
}

func (s *session) confirmation() map[string]string {
	return map[string]string{"session_id": s.id, "confirmation_code": s.code}
}

// consent is all of it.
func (h *house) consent(connection, subject string) *session {
	h.t.Helper()
	s := h.received(connection, subject)
	if got := h.complete(s, s.confirmation()); got.status != http.StatusOK {
		h.t.Fatalf("complete of %s: %d %v", connection, got.status, got.body["detail"])
	}
	return s
}
