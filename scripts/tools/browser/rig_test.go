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

// programVariable names the browser. Without it nothing here runs: it is no
// matter of Go alone.
const programVariable = "TOKENVEND_TEST_BROWSER"

const (
	root        = "../../.."
	screenshots = root + "/build/screenshots"
	connection  = "creative-force-user"
)

// The places of our pages and of the sandbox's.
const (
	continueButton = "main #consent button:not([name])"
	firstPerson    = "form.person button"
	allowButton    = `button[value="allow"]`
	denyButton     = `button[value="deny"]`
	confirmation   = "#confirmation-code"
)

// world is a browser and a service to visit with it.
type world struct {
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
		t.Skipf("NOT RUN: nobody looked at the pages. Get a Chromium (Debian: apt-get install chromium) and set %s to its path", programVariable)
	}
	b, end, err := browser.Start(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return b
}

// newWorld runs the service as make run does. At its end nothing of what is
// secret may stand in its log.
func newWorld(t *testing.T) *world {
	b := startBrowser(t)
	program, err := localproc.Build(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := localproc.Start(context.WithoutCancel(t.Context()), program, "")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, browser: b, run: run, secrets: &secrets{kinds: map[string]string{}}}
	t.Cleanup(func() {
		if err := run.Stop(); err != nil {
			t.Error(err)
		}
		if log := run.Log(); !strings.Contains(log, `"action":"callback"`) {
			t.Error("the log tells of no callback")
		} else if kind := w.secrets.in(log); kind != "" {
			t.Errorf("the log holds %s", kind)
		}
	})
	return w
}

// session is a consent that was started.
type session struct{ path, id, consentURL, authorizationURL string }

// start starts a consent on behalf of a subject.
func (w *world) start(t *testing.T, subject string) session {
	t.Helper()
	return w.startAt(t, "/connections/"+connection+"/subjects/"+subject)
}

func (w *world) startAt(t *testing.T, path string) session {
	t.Helper()
	s := session{path: path}
	got := w.ask(t, "local", "POST", s.path+"/authorization", nil)
	s.id, s.consentURL, s.authorizationURL = got.Text("session_id"), got.Text("consent_url"), got.Text("authorization_url")
	if got.Status != 201 || s.id == "" {
		t.Fatalf("start: %v", got)
	}
	w.secrets.add("the session's id", s.id)
	w.secrets.query(s.authorizationURL)
	return s
}

func (w *world) ask(t *testing.T, key, method, path string, body any) localproc.Answer {
	t.Helper()
	caller := w.run.Caller(key)
	caller.Now = w.now
	got, err := caller.Ask(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	w.secrets.add("an access token", got.Text("access_token"))
	return got
}

// declare registers a client for users at the sandbox, and adds to its
// connection file, which the run reads from its folder.
func (w *world) declare(t *testing.T, name string, client, members map[string]any) {
	t.Helper()
	got, err := w.run.Control(t.Context(), "PUT", name, client)
	if err != nil || got.Status/100 != 2 {
		t.Fatalf("register %s: %v %v", name, got, err)
	}
	maps.Copy(got.Body, members)
	text, err := json.Marshal(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	folder := regexp.MustCompile(`connections in (\S+)`).FindStringSubmatch(w.run.Greeting)
	if folder == nil {
		t.Fatal("the greeting names no folder")
	}
	if err := os.WriteFile(filepath.Join(folder[1], name+".json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// complete completes with the code that a page showed.
func (w *world) complete(t *testing.T, key string, s session, code string) localproc.Answer {
	t.Helper()
	return w.ask(t, key, "POST", s.path+"/authorization/complete", map[string]string{"session_id": s.id, "confirmation_code": code})
}

// completes completes, and vends a token.
func (w *world) completes(t *testing.T, s session, code string) {
	t.Helper()
	if got := w.complete(t, "local", s, code); got.Status != 200 || got.Text("state") != "ready" {
		t.Errorf("complete: %v, state %s", got, got.Text("state"))
	}
	if got := w.ask(t, "local", "GET", s.path+"/token", nil); got.Status != 200 || got.Text("access_token") == "" {
		t.Errorf("token: %v", got)
	}
}

// secrets are what no page and no log may hold, each with what it is.
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

// in says which kind of secret stands in a text, or nothing.
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

// visit is one person with one browser.
type visit struct {
	*testing.T
	*browser.Tab
	world *world
	// name is that of the screenshots, which are numbered.
	name string
	n    int
	// elsewhere is an address of others to which the browser may go; empty is none.
	elsewhere string
}

// visit opens a browser that nobody has used before. At the end of the test its
// whole way is judged: nothing was loaded from elsewhere, and the browser found
// no fault.
func (w *world) visit(t *testing.T, name string, l browser.Looks) *visit {
	t.Helper()
	tab, end, err := w.browser.Profile(l)
	if err != nil {
		t.Fatal(err)
	}
	v := &visit{T: t, Tab: tab, world: w, name: name}
	t.Cleanup(func() {
		v.judgeWay()
		end()
	})
	return v
}

func (v *visit) judgeWay() {
	v.Helper()
	if len(v.Requests()) == 0 {
		v.Error("no request was seen")
	}
	for _, r := range v.Requests() {
		v.world.secrets.query(r.URL)
		ours := strings.HasPrefix(r.URL, v.world.run.URL+"/") || strings.HasPrefix(r.URL, v.world.run.Sandbox+"/")
		told := v.elsewhere != "" && strings.HasPrefix(r.URL, v.elsewhere+"?")
		if !ours && !told {
			at, _ := url.Parse(r.URL)
			v.Errorf("AZ-29 a request went to %s", at.Host)
		}
	}
	for _, complaint := range v.Complaints() {
		v.Errorf("AZ-13 the browser complains: %s", complaint)
	}
}

func (v *visit) must(err error) {
	v.Helper()
	if err != nil {
		v.picture("broken")
		v.Fatal(err)
	}
}

// sees judges the page that the person sees now, and keeps a picture of it.
func (v *visit) sees(page string, status int, heading string) {
	v.Helper()
	v.picture(page)
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
	v.givesNothingAway(page)
}

// givesNothingAway looks for secrets in the page, other than the one that the
// last page is for. The sandbox's own pages may hold what they like.
func (v *visit) givesNothingAway(page string) {
	v.Helper()
	for _, r := range v.Requests() {
		v.world.secrets.query(r.URL)
	}
	cookies, err := v.Cookies()
	v.must(err)
	for name, value := range cookies {
		if strings.Contains(name, "tokenvend") {
			v.world.secrets.add("a cookie", value)
		}
	}
	address, err := v.Address()
	v.must(err)
	if !strings.HasPrefix(address, v.world.run.URL) {
		return
	}
	html, err := v.HTML()
	v.must(err)
	if kind := v.world.secrets.in(html); kind != "" {
		v.Errorf("AZ-29 %s holds %s", page, kind)
	}
}

func (v *visit) picture(page string) {
	v.Helper()
	v.n++
	path := filepath.Join(screenshots, fmt.Sprintf("%s-%d-%s.png", v.name, v.n, page))
	if err := v.Screenshot(path); err != nil {
		v.Error(err)
	}
}

var codeShape = regexp.MustCompile(`^[0-9A-Z]{4}-[0-9A-Z]{4}$`)

// code is the confirmation code that the page shows.
func (v *visit) code() string {
	v.Helper()
	code, err := v.Text(confirmation)
	v.must(err)
	if !codeShape.MatchString(code) {
		v.Fatalf("the confirmation code is of another form: %d characters", len(code))
	}
	return code
}

// goes walks from the consent page to the sandbox's question.
func (v *visit) goes(s session) {
	v.Helper()
	v.must(v.Open(s.consentURL))
	v.sees("consent", 200, "Allow access at")
	v.must(v.Follow(continueButton))
	v.sees("sign-in", 200, "Sign in")
	v.must(v.Follow(firstPerson))
	v.sees("permission", 200, "asks for your permission")
}

// allows walks all the way, and returns the confirmation code.
func (v *visit) allows(s session) string {
	v.Helper()
	v.goes(s)
	v.must(v.Follow(allowButton))
	v.sees("code", 200, "Hand over this code")
	code := v.code()
	v.world.secrets.add("a confirmation code", code)
	return code
}
