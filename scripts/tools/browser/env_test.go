package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/localproc"
	"github.com/tokenvend/tokenvend/scripts/tools/browser"
)

// programVariable names the browser. Without it these tests are skipped.
const programVariable = "TOKENVEND_TEST_BROWSER"

const (
	root        = "../../.."
	screenshots = root + "/build/screenshots"
	connection  = "creative-force-user"
)

// The selectors of the service's pages and of the sandbox's.
const (
	continueButton = "main #consent button:not([name])"
	firstPerson    = "form.person button"
	allowButton    = `button[value="allow"]`
	denyButton     = `button[value="deny"]`
	confirmation   = "#confirmation-code"
)

// env is a browser and a service.
type env struct {
	*testing.T
	browser *browser.Browser
	run     *localproc.Run
	now     func() time.Time
	secrets *secrets
}

func startBrowser(t *testing.T) *browser.Browser {
	t.Helper()
	program := os.Getenv(programVariable)
	if program == "" {
		t.Skipf("NOT RUN: no browser. Install Chromium (Debian: apt-get install chromium) and set %s to its path", programVariable)
	}
	b, end, err := browser.Start(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return b
}

// newEnv runs the service as make run does. At the end of the test its log must hold
// no secret.
func newEnv(t *testing.T) *env {
	b := startBrowser(t)
	program, err := localproc.Build(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := localproc.Start(context.WithoutCancel(t.Context()), program, "")
	if err != nil {
		t.Fatal(err)
	}
	e := &env{T: t, browser: b, run: run, secrets: &secrets{kinds: map[string]string{}}}
	t.Cleanup(func() {
		if err := run.Stop(); err != nil {
			t.Error(err)
		}
		if log := run.Log(); !strings.Contains(log, `"action":"callback"`) {
			t.Error("the log has no callback")
		} else if kind := e.secrets.in(log); kind != "" {
			t.Errorf("the log holds %s", kind)
		}
	})
	return e
}

// session is a consent that was started.
type session struct{ path, id, consentURL, authorizationURL string }

// start starts a consent on behalf of a subject.
func (e *env) start(t *testing.T, subject string) session {
	t.Helper()
	return e.startAt(t, "/connections/"+connection+"/subjects/"+subject)
}

func (e *env) startAt(t *testing.T, path string) session {
	t.Helper()
	s := session{path: path}
	got := e.ask(t, "local", "POST", s.path+"/authorization", nil)
	s.id, s.consentURL, s.authorizationURL = got.Text("session_id"), got.Text("consent_url"), got.Text("authorization_url")
	if got.Status != 201 || s.id == "" {
		t.Fatalf("start: %v", got)
	}
	e.secrets.add("the session's id", s.id)
	e.secrets.query(s.authorizationURL)
	return s
}

func (e *env) ask(t *testing.T, key, method, path string, body any) localproc.Answer {
	t.Helper()
	caller := e.run.Caller(key)
	caller.Now = e.now
	got, err := caller.Ask(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	e.secrets.add("an access token", got.Text("access_token"))
	return got
}

// declare registers a client for users at the sandbox, and writes its connection
// file with additional members.
func (e *env) declare(t *testing.T, name string, client, members map[string]any) {
	t.Helper()
	got, err := e.run.Control(t.Context(), "PUT", name, client)
	if err != nil || got.Status/100 != 2 {
		t.Fatalf("register %s: %v %v", name, got, err)
	}
	maps.Copy(got.Body, members)
	text, err := json.Marshal(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	folder := regexp.MustCompile(`connections in (\S+)`).FindStringSubmatch(e.run.Greeting)
	if folder == nil {
		t.Fatal("the greeting names no folder")
	}
	if err := os.WriteFile(filepath.Join(folder[1], name+".json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// complete completes a consent with the code of the last page.
func (e *env) complete(t *testing.T, key string, s session, code string) localproc.Answer {
	t.Helper()
	return e.ask(t, key, "POST", s.path+"/authorization/complete", map[string]string{"session_id": s.id, "confirmation_code": code})
}

// expectCompletion completes a consent, and vends a token.
func (e *env) expectCompletion(t *testing.T, s session, code string) {
	t.Helper()
	if got := e.complete(t, "local", s, code); got.Status != 200 || got.Text("state") != "ready" {
		t.Errorf("complete: %v, state %s", got, got.Text("state"))
	}
	if got := e.ask(t, "local", "GET", s.path+"/token", nil); got.Status != 200 || got.Text("access_token") == "" {
		t.Errorf("token: %v", got)
	}
}

// secrets are what no page and no log may hold, by kind.
type secrets struct {
	mu    sync.Mutex
	kinds map[string]string
}

func (s *secrets) add(kind, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value != "" {
		s.kinds[value] = kind
	}
}

// query adds the code and the state of an address.
func (s *secrets) query(address string) {
	if u, err := url.Parse(address); err == nil {
		s.add("a code", u.Query().Get("code"))
		s.add("a state", u.Query().Get("state"))
	}
}

// in is the kind of a secret that a text holds; empty for none.
func (s *secrets) in(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for value, kind := range s.kinds {
		if strings.Contains(text, value) {
			return kind
		}
	}
	return ""
}

// person is one user with one browser profile.
type person struct {
	*testing.T
	*browser.Tab
	env *env
	// name is the screenshots'; n numbers them.
	name string
	n    int
	// elsewhere is another host's address that the browser may open; empty for none.
	elsewhere string
	// consoleAt is the address of the console, if it was opened.
	consoleAt string
}

// open opens a new profile. At the end of the test all its requests are checked: none
// went to another host, and the browser reported nothing.
func (e *env) open(t *testing.T, name string, l browser.Looks) *person {
	t.Helper()
	tab, end, err := e.browser.Profile(l)
	if err != nil {
		t.Fatal(err)
	}
	v := &person{T: t, Tab: tab, env: e, name: name}
	t.Cleanup(func() {
		v.checkRequests()
		end()
	})
	return v
}

func (v *person) checkRequests() {
	v.Helper()
	if len(v.Requests()) == 0 {
		v.Error("no request was seen")
	}
	for _, r := range v.Requests() {
		v.env.secrets.query(r.URL)
		own := strings.HasPrefix(r.URL, v.env.run.URL+"/") || strings.HasPrefix(r.URL, v.env.run.Sandbox+"/")
		allowed := v.elsewhere != "" && strings.HasPrefix(r.URL, v.elsewhere+"?")
		console := v.consoleAt != "" && strings.HasPrefix(r.URL, v.consoleAt)
		if !own && !allowed && !console {
			at, _ := url.Parse(r.URL)
			v.Errorf("AZ-29 a request went to %s", at.Host)
		}
	}
	for _, complaint := range v.Complaints() {
		v.Errorf("AZ-13 the browser complains: %s", complaint)
	}
}

func (v *person) must(err error) {
	v.Helper()
	if err != nil {
		v.screenshot("failed")
		v.Fatal(err)
	}
}

// expectPage checks the page, and takes a screenshot.
func (v *person) expectPage(page string, status int, heading string) {
	v.Helper()
	v.screenshot(page)
	text, err := v.Text("h1")
	v.must(err)
	if v.Status() != status || !strings.Contains(text, heading) {
		v.Fatalf("%s: status %d, heading %q; want %d, %q", page, v.Status(), text, status, heading)
	}
	faults, err := v.Faults()
	v.must(err)
	for _, fault := range faults {
		v.Errorf("%s: %s", page, fault)
	}
	v.expectNoSecrets(page)
}

// expectNoSecrets looks for secrets in a page of the service.
func (v *person) expectNoSecrets(page string) {
	v.Helper()
	for _, r := range v.Requests() {
		v.env.secrets.query(r.URL)
	}
	cookies, err := v.Cookies()
	v.must(err)
	for name, value := range cookies {
		if strings.Contains(name, "tokenvend") {
			v.env.secrets.add("a cookie", value)
		}
	}
	address, err := v.Address()
	v.must(err)
	if !strings.HasPrefix(address, v.env.run.URL) {
		return
	}
	html, err := v.HTML()
	v.must(err)
	if kind := v.env.secrets.in(html); kind != "" {
		v.Errorf("AZ-29 %s holds %s", page, kind)
	}
}

func (v *person) screenshot(page string) {
	v.Helper()
	v.n++
	path := filepath.Join(screenshots, fmt.Sprintf("%s-%d-%s.png", v.name, v.n, page))
	if err := v.Screenshot(path); err != nil {
		v.Error(err)
	}
}

var codeShape = regexp.MustCompile(`^[0-9A-Z]{4}-[0-9A-Z]{4}$`)

// code is the confirmation code that the page shows.
func (v *person) code() string {
	v.Helper()
	code, err := v.Text(confirmation)
	v.must(err)
	if !codeShape.MatchString(code) {
		v.Fatalf("the confirmation code has an unexpected form: %d characters", len(code))
	}
	return code
}

// openPermission goes from the consent page to the sandbox's permission page.
func (v *person) openPermission(s session) {
	v.Helper()
	v.must(v.Open(s.consentURL))
	v.expectPage("consent", 200, "Allow access at")
	v.must(v.Follow(continueButton))
	v.expectPage("sign-in", 200, "Sign in")
	v.must(v.Follow(firstPerson))
	v.expectPage("permission", 200, "asks for your permission")
}

// allow gives consent, and returns the confirmation code.
func (v *person) allow(s session) string {
	v.Helper()
	v.openPermission(s)
	v.must(v.Follow(allowButton))
	v.expectPage("code", 200, "Hand over this code")
	code := v.code()
	v.env.secrets.add("a confirmation code", code)
	return code
}
