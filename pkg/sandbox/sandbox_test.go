package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// fixture is a sandbox behind a real HTTP server, with a fixed clock.
type fixture struct {
	*sandbox.Sandbox
	t      *testing.T
	url    string
	folder string

	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
	// waitErr is the result of a wait; nil ends it at once.
	waitErr error
	// onWait is called with each wait; nil is not called.
	onWait func()
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	g := &fixture{t: t, folder: t.TempDir(), now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	g.Sandbox = sandbox.New(sandbox.Config{Folder: g.folder, Now: g.clock, Wait: g.wait, Rand: rand.NewChaCha8([32]byte{1})})
	server := httptest.NewServer(g.Sandbox)
	t.Cleanup(server.Close)
	g.url = server.URL
	g.SetBaseURL(server.URL)
	return g
}

func (g *fixture) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *fixture) advance(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

func (g *fixture) wait(_ context.Context, d time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waited = append(g.waited, d)
	if g.onWait != nil {
		g.onWait()
	}
	return g.waitErr
}

// declared is a connection's file, decoded.
func (g *fixture) declared(connection string) map[string]string {
	g.t.Helper()
	var d map[string]string
	if err := json.Unmarshal(g.Connections()[connection], &d); err != nil {
		g.t.Fatalf("connection file %s: %v", connection, err)
	}
	return d
}

// reply is a complete HTTP response.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("response %q: %v", r.body, err)
	}
	return v
}

// try sends a request over a connection of its own and follows no redirect.
func (g *fixture) try(req *http.Request) (reply, error) {
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}, err
}

func (g *fixture) send(req *http.Request) reply {
	g.t.Helper()
	got, err := g.try(req)
	if err != nil {
		g.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return got
}

// request makes a request; header is alternately name and value.
func (g *fixture) request(method, path, body string, header ...string) *http.Request {
	g.t.Helper()
	req, err := http.NewRequest(method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req
}

// tokenPaths are the documented paths of the token endpoints.
var tokenPaths = map[string]string{
	"creative-force":      "/creative-force/connect/token",
	"creative-force-user": "/creative-force/connect/token",
	"agile-now":           "/agile-now/oAuth/rest/v2/Token",
	"cliquify":            "/cliquify/oauth/access-token",
}

// form is the documented token request of a connection, with changes: alternately
// name and value, "-" removes the parameter.
func (g *fixture) form(connection string, changes ...string) url.Values {
	g.t.Helper()
	d := g.declared(connection)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d["client_id"]}, "client_secret": {d["client_secret"]}}
	if d["provider"] == "creative-force" {
		form.Set("scope", "cfgateway")
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			form.Del(changes[i])
		} else {
			form.Set(changes[i], changes[i+1])
		}
	}
	return form
}

func (g *fixture) formRequest(path string, form url.Values, header ...string) *http.Request {
	g.t.Helper()
	return g.request("POST", path, form.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

// ask sends a connection's documented token request, with changes.
func (g *fixture) ask(connection string, changes ...string) reply {
	g.t.Helper()
	return g.send(g.formRequest(tokenPaths[connection], g.form(connection, changes...)))
}

// mint requests a token and returns it.
func (g *fixture) mint(connection string) string {
	g.t.Helper()
	got := g.ask(connection)
	if got.status != http.StatusOK {
		g.t.Fatalf("token of %s: %d %s", connection, got.status, got.body)
	}
	v := got.json(g.t)
	if nested, ok := v["token"].(map[string]any); ok {
		v = nested
	}
	return v["access_token"].(string)
}

// access presents a token to a server's resource.
func (g *fixture) access(provider, token string) reply {
	g.t.Helper()
	return g.send(g.request("GET", "/"+provider+"/resource", "", "Authorization", "Bearer "+token))
}

func (g *fixture) lives(provider, token string) bool {
	g.t.Helper()
	return g.access(provider, token).status == http.StatusOK
}

func wantStatus(t *testing.T, got reply, want int) {
	t.Helper()
	if got.status != want {
		t.Fatalf("status %d, want %d; body %s", got.status, want, got.body)
	}
}

func wantJSON(t *testing.T, got reply, want map[string]any) {
	t.Helper()
	if diff := cmp.Diff(want, got.json(t)); diff != "" {
		t.Fatalf("body (-want +got):\n%s", diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPathsAreComparedByteForByte(t *testing.T) {
	g := newFixture(t)
	for _, path := range []string{
		"/agile-now/oauth/rest/v2/token", "/agile-now/oAuth/rest/v2/token", "/agile-now/oAuth/rest/v2/Token/",
		"/agile-now//oAuth/rest/v2/Token", "/agile-now/oAuth/rest/v2/%54oken", "/agile-now/./oAuth/rest/v2/Token",
		"/Cliquify/oauth/access-token", "/creative-force/connect/Token", "/oauth2/Token", "/nothing", "/controls",
	} {
		t.Run(path, func(t *testing.T) {
			req := g.formRequest("/", g.form("agile-now"))
			req.URL.Path, _ = url.PathUnescape(path)
			req.URL.RawPath = path
			wantStatus(t, g.send(req), http.StatusNotFound)
		})
	}
}

func TestHelpListsEveryControlEndpoint(t *testing.T) {
	g := newFixture(t)
	got := g.send(g.request("GET", "/", ""))
	wantStatus(t, got, http.StatusOK)
	if got.body != sandbox.Help(g.url) {
		t.Error("GET / differs from Help")
	}
	for _, want := range []string{
		"text/plain", g.url + "/control\n", "/rotate", "/user", "/revoke", "/lifetime", "/fault", "/counters",
		g.url + "/agile-now/oAuth/rest/v2/Token",
	} {
		if !strings.Contains(got.header.Get("Content-Type")+got.body, want) {
			t.Errorf("help lacks %q", want)
		}
	}
	if strings.Contains(got.body, "BASE") {
		t.Error("help holds an unfilled placeholder")
	}
	wantStatus(t, g.send(g.request("POST", "/", "")), http.StatusMethodNotAllowed)
}

func TestNewMakesNewClientsEachTime(t *testing.T) {
	a, b := sandbox.New(sandbox.Config{}).Connections(), sandbox.New(sandbox.Config{}).Connections()
	for _, name := range []string{"creative-force", "creative-force-user", "agile-now", "cliquify"} {
		if len(a[name]) == 0 || bytes.Equal(a[name], b[name]) {
			t.Errorf("%s is missing or repeats itself", name)
		}
	}
	if len(a) != 4 {
		t.Errorf("%d connections, want 4", len(a))
	}
}

func TestFailingRandomnessPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New went on without randomness")
		}
	}()
	sandbox.New(sandbox.Config{Rand: failingReader{}})
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestConcurrentClients(t *testing.T) {
	g := newFixture(t)
	const each = 40
	var all sync.WaitGroup
	for range each {
		for _, name := range []string{"creative-force", "agile-now", "cliquify"} {
			ask := g.formRequest(tokenPaths[name], g.form(name))
			all.Go(func() { _, _ = g.try(ask) })
			show := g.request("GET", "/control/"+name, "")
			all.Go(func() { _, _ = g.try(show) })
		}
		all.Go(func() { _ = g.Rotate("cliquify", sandbox.Rotation{Grace: time.Hour, Update: true}) })
		all.Go(func() { _ = g.Fault("agile-now", sandbox.Fault{Count: 2, Latency: time.Second}) })
		all.Go(func() { _, _ = g.Revoke("creative-force", redact.New("")) })
	}
	all.Wait()
	for _, name := range []string{"creative-force", "agile-now"} {
		got, err := g.Counters(name)
		must(t, err)
		if diff := cmp.Diff(sandbox.Counters{Total: each, Outcomes: map[string]int{"issued": each}}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	file, err := os.ReadFile(filepath.Join(g.folder, "cliquify.json"))
	must(t, err)
	var left map[string]string
	must(t, json.Unmarshal(file, &left))
	if left["client_secret"] != g.declared("cliquify")["client_secret"] {
		t.Error("the file was left with a secret that is not the last one")
	}
}
