package localrun_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// user is the sandbox's connection for a user who consents.
const user = "creative-force-user"

// browser is a user's browser: it keeps cookies and does not follow redirects.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is a response to a browser.
type page struct {
	status int
	text   string
	header http.Header
}

// open requests a page; with a form, it posts the form.
func (b browser) open(address string, form url.Values) page {
	b.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	got, err := b.try(method, address, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

// try is open for goroutines, and for every method.
func (b browser) try(method, address, body string) (page, error) {
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		return page{}, err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := b.client.Do(request)
	if err != nil {
		return page{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return page{answer.StatusCode, string(text), answer.Header}, err
}

var (
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	shownCode   = regexp.MustCompile(`id="confirmation-code"[^>]*>([^<]*)<`)
)

// form is the form of the consent page.
func (p page) form() url.Values {
	form := url.Values{}
	for _, input := range hiddenInput.FindAllStringSubmatch(p.text, -1) {
		form.Set(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	return form
}

// code is the confirmation code on the page; empty if there is none.
func (p page) code() string {
	shown := shownCode.FindStringSubmatch(p.text)
	if shown == nil {
		return ""
	}
	return shown[1]
}

// leave continues on the consent page, and returns the redirect.
func (b browser) leave(s session) string {
	b.t.Helper()
	shown := b.open(s.consentURL, nil)
	if shown.status != http.StatusOK {
		b.t.Fatalf("consent page: %d", shown.status)
	}
	sent := b.open(s.consentURL, shown.form())
	if sent.status != http.StatusSeeOther {
		b.t.Fatalf("AZ-27 continuing: %d", sent.status)
	}
	return sent.header.Get("Location")
}

// decides signs in at the provider and allows or denies. It returns the redirect.
func (b browser) decides(authorizationURL, email string, allow bool) string {
	b.t.Helper()
	back, err := browserclient.Consent(b.t.Context(), &http.Client{}, authorizationURL, email, allow)
	if err != nil {
		b.t.Fatal(err)
	}
	return back
}

// session is a consent that was started.
type session struct{ path, id, consentURL, authorizationURL string }

// root is the path of a connection's or, with a name, a subject's resources.
func root(subject string) string {
	if subject == "" {
		return "/connections/" + user
	}
	return "/connections/" + user + "/subjects/" + subject
}

// begin starts a consent as local.
func (r *running) begin(subject string) session {
	r.t.Helper()
	got := r.ask("local", "POST", root(subject)+"/authorization", "")
	if got.status != http.StatusCreated {
		r.t.Fatalf("start: %d %v", got.status, got.body)
	}
	return session{root(subject) + "/authorization", got.text("session_id"), got.text("consent_url"), got.text("authorization_url")}
}

// complete ends a consent with a confirmation code.
func (r *running) complete(caller string, s session, code string) answer {
	r.t.Helper()
	return r.ask(caller, "POST", s.path+"/complete", `{"session_id":"`+s.id+`","confirmation_code":"`+code+`"}`)
}

// received returns a browser to the callback, and returns the confirmation code.
func (r *running) received(s session, email string) string {
	r.t.Helper()
	b := newBrowser(r.t)
	shown := b.open(b.decides(b.leave(s), email, true), nil)
	if shown.status != http.StatusOK || shown.code() == "" {
		r.t.Fatalf("callback page: %d", shown.status)
	}
	return shown.code()
}

// consent performs a whole consent.
func (r *running) consent(subject, email string) answer {
	r.t.Helper()
	s := r.begin(subject)
	got := r.complete("local", s, r.received(s, email))
	if got.status != http.StatusOK || got.text("state") != "ready" {
		r.t.Fatalf("complete: %d %v", got.status, got.body)
	}
	return got
}

// refreshes are the sandbox's counters of refresh tokens.
type refreshes struct{ requests, granted, refused, superseded, reused int }

func (r *running) refreshes() refreshes {
	r.t.Helper()
	counters, _ := r.pull(r.sandbox, "GET", user, "").body["token_requests"].(map[string]any)
	of, _ := counters["refresh"].(map[string]any) // absent while there is nothing to count
	n := func(name string) int { value, _ := of[name].(float64); return int(value) }
	return refreshes{n("requests"), n("granted"), n("refused"), n("superseded"), n("reused")}
}

// grants is the number of valid grants in the sandbox.
func (r *running) grants() int {
	r.t.Helper()
	grants, _ := r.pull(r.sandbox, "GET", user, "").body["grants"].([]any)
	return len(grants)
}

// subjects are those that the connection's status lists, by name.
func (r *running) subjects() map[string]map[string]any {
	r.t.Helper()
	got := r.ask("local", "GET", "/connections/"+user, "")
	list, _ := got.body["subjects"].([]any)
	found := map[string]map[string]any{}
	for _, one := range list {
		if of, isObject := one.(map[string]any); isObject {
			name, _ := of["subject"].(string)
			found[name] = of
		}
	}
	return found
}

// warned reports whether an audit line of the action has the warning.
func (r *running) warned(action, warning string) bool {
	for _, line := range r.log.all("audit") {
		words, _ := line["warnings"].([]any)
		for _, word := range words {
			if line["action"] == action && word == warning {
				return true
			}
		}
	}
	return false
}

// queryOf is the query of an address.
func queryOf(t *testing.T, address string) url.Values {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return at.Query()
}

// clone returns a form with members added.
func clone(form url.Values, added map[string]string) url.Values {
	all := url.Values{}
	for name, values := range form {
		all[name] = values
	}
	for name, value := range added {
		all.Set(name, value)
	}
	return all
}
