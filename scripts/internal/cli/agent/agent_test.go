package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/pkg/client/tokenvendtest"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/cli/agent"
)

const secret = "canary-of-the-agents-token"

// fixture is an agent between a fake service and an upstream.
type fixture struct {
	t        *testing.T
	service  *tokenvendtest.Service
	upstream *upstream
	url      string
}

func newFixture(t *testing.T, change func(*agent.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, service: tokenvendtest.New(t)}
	f.upstream = newUpstream(t, f.service)
	c := agent.Config{Client: f.service.Client(), Secret: redact.New(secret), Upstreams: map[string]agent.Upstream{"crm": f.upstream.under("/api")}}
	if change != nil {
		change(&c)
	}
	server := httptest.NewServer(agent.New(c))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// upstream is a resource server for crm's tokens. It answers what it got.
type upstream struct {
	*httptest.Server
	got    *http.Request
	answer func(w http.ResponseWriter, body string)
}

func newUpstream(t *testing.T, service *tokenvendtest.Service) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(service.Resource("crm", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.got = r
		if u.answer != nil {
			u.answer(w, string(body))
			return
		}
		_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(body))
	})))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) under(prefix string) agent.Upstream {
	parsed, err := agent.ParseUpstream(u.URL + prefix)
	if err != nil {
		panic(err)
	}
	return parsed
}

// answer is a response of the agent.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// send sends a request with the agent's token, unless change removes it. The target is
// sent as it is written.
func (f *fixture) send(method, target, body string, change func(*http.Request)) answer {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.URL.Opaque = target
	r.Header.Set(agent.SecretHeader, secret)
	if change != nil {
		change(r)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body)
	if strings.Contains(a.text, secret) {
		f.t.Errorf("the agent's token is in the response: %s", a.text)
	}
	return a
}

func (f *fixture) refuses(a answer, status int, code, detail string) {
	f.t.Helper()
	if text, _ := a.body["detail"].(string); a.status != status || a.body["error"] != code || !strings.Contains(text, detail) ||
		a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Cache-Control") != "no-store" {
		f.t.Errorf("%d %v %s, want %d %s and %q", a.status, a.header, a.text, status, code, detail)
	}
}

func TestRefusesCallers(t *testing.T) {
	f := newFixture(t, nil)
	for _, c := range []struct {
		name, want string
		change     func(*http.Request)
	}{
		{"a web page", "web pages", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
		{"a page without an origin", "web pages", func(r *http.Request) { r.Header.Set("Origin", "null") }},
		{"a name that resolves to loopback", "Host", func(r *http.Request) { r.Host = "evil.example" }},
		{"another address of the machine", "Host", func(r *http.Request) { r.Host = "10.0.0.1:7070" }},
		{"no token", agent.SecretHeader, func(r *http.Request) { r.Header.Del(agent.SecretHeader) }},
		{"a wrong token", agent.SecretHeader, func(r *http.Request) { r.Header.Set(agent.SecretHeader, secret+"x") }},
		{"the beginning of the token", agent.SecretHeader, func(r *http.Request) { r.Header.Set(agent.SecretHeader, secret[:20]) }},
		{"two tokens", agent.SecretHeader, func(r *http.Request) { r.Header.Add(agent.SecretHeader, "other") }},
	} {
		for _, path := range []string{"/connections/crm/token", "/to/crm/", "/elsewhere"} {
			t.Run(c.name+path, func(t *testing.T) {
				f.t = t
				f.refuses(f.send("GET", path, "", c.change), http.StatusForbidden, "access_denied", c.want)
			})
		}
	}
	if f.service.Requests("crm") != 0 {
		t.Error("the service was asked")
	}
}

func TestToken(t *testing.T) {
	f := newFixture(t, nil)
	first := f.send("GET", "/connections/crm/token", "", nil)
	if first.status != 200 || first.body["access_token"] != "token_1" || first.body["expires_in"] == nil || first.body["connection"] != "crm" || first.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", first.status, first.header, first.text)
	}
	id := first.body["token_id"].(string)
	if second := f.send("POST", "/connections/crm/token", `{"min_ttl":60}`, nil); second.body["token_id"] != id {
		t.Errorf("not from memory: %s", second.text)
	}
	f.send("GET", "/connections/crm/subjects/ann/token?min_ttl=60", "", nil)
	if n := f.service.Requests("crm"); n != 2 {
		t.Errorf("%d requests to the service, want one for each subject", n)
	}
	reported := f.send("POST", "/connections/crm/token", `{"rejected_token_id":"`+id+`"}`, nil)
	if reported.body["access_token"] != "token_2" {
		t.Errorf("the rejected token is not replaced: %s", reported.text)
	}
	late := f.send("POST", "/connections/crm/token", `{"rejected_token_id":"`+id+`"}`, nil)
	if late.body["access_token"] != "token_2" || f.service.Requests("crm") != 3 {
		t.Errorf("a late report is not answered from memory: %s", late.text)
	}
}

func TestTokenRefuses(t *testing.T) {
	f := newFixture(t, func(c *agent.Config) { c.Connections = []string{"crm", "erp.eu"} })
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		code, want                 string
	}{
		{"a connection that is not allowed", "GET", "/connections/billing/token", "", 403, "access_denied", "--connection billing"},
		{"an invalid name", "GET", "/connections/CRM/token", "", 400, "invalid_request", "name"},
		{"an encoded name", "GET", "/connections/%63rm/token", "", 400, "invalid_request", "name"},
		{"an invalid subject", "GET", "/connections/crm/subjects/A/token", "", 400, "invalid_request", "subject"},
		{"traversal", "GET", "/connections/crm/../billing/token", "", 404, "connection_not_found", "/token only"},
		{"encoded traversal", "GET", "/connections/crm%2F..%2Fbilling/token", "", 400, "invalid_request", "name"},
		{"a list", "GET", "/connections/crm", "", 404, "connection_not_found", "/token only"},
		{"another path", "GET", "/", "", 404, "connection_not_found", "only"},
		{"another method", "DELETE", "/connections/crm/token", "", 405, "method_not_allowed", "GET, POST"},
		{"an unknown parameter", "GET", "/connections/crm/token?ttl=1", "", 400, "invalid_request", "min_ttl, scope"},
		{"a repeated parameter", "GET", "/connections/crm/token?scope=a&scope=b", "", 400, "invalid_request", "once"},
		{"a parameter that is no number", "GET", "/connections/crm/token?min_ttl=1h", "", 400, "invalid_request", "seconds"},
		{"a negative number", "POST", "/connections/crm/token", `{"min_ttl":-1}`, 400, "invalid_request", "seconds"},
		{"text for a number", "POST", "/connections/crm/token", `{"min_ttl":"1"}`, 400, "invalid_request", "type"},
		{"an unknown member", "POST", "/connections/crm/token", `{"rejected":"1"}`, 400, "invalid_request", "rejected_token_id"},
		{"a repeated member", "POST", "/connections/crm/token", `{"min_ttl":1,"min_ttl":2}`, 400, "invalid_request", "JSON"},
		{"an array", "POST", "/connections/crm/token", `[]`, 400, "invalid_request", "object"},
		{"a long body", "POST", "/connections/crm/token", `{"scope":"` + strings.Repeat("a", 10<<10) + `"}`, 400, "invalid_request", "10240"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.t = t
			f.refuses(f.send(c.method, c.target, c.body, nil), c.status, c.code, c.want)
		})
	}
}

func TestServiceErrors(t *testing.T) {
	f := newFixture(t, nil)
	f.service.Fail("crm", &tokenvendtest.Failure{Status: 409, Code: "authorization_required", RetryAfter: 20 * time.Second})
	for _, target := range []string{"/connections/crm/token", "/to/crm/x"} {
		a := f.send("GET", target, "", nil)
		f.refuses(a, 409, "authorization_required", "the test asked")
		if a.header.Get("Retry-After") == "" || a.body["connection"] != "crm" || a.body["instance"] != "test" {
			t.Errorf("%v %s", a.header, a.text)
		}
	}
	t.Run("no credentials", func(t *testing.T) {
		none := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("sign in") })
		client, err := tokenvend.New(tokenvend.Config{URL: "http://127.0.0.1:1/v1", Region: "us-east-1", Credentials: none})
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, func(c *agent.Config) { c.Client = client })
		f.refuses(f.send("GET", "/connections/crm/token", "", nil), 500, "no_credentials", "sign in")
	})
}

func TestForward(t *testing.T) {
	f := newFixture(t, nil)
	a := f.send("PUT", "/to/crm/contacts/a%2Fb?q=1&r=%2e%2e", "hello", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer of-the-workload")
		r.Header.Set("Cookie", "a=b")
		r.Header.Set("X-Tokenvend-Subject", "ann")
		r.Header.Set("X-Other", "kept")
		r.Header.Set("X-Forwarded-For", "10.0.0.1")
	})
	if a.status != 200 || a.text != "PUT /api/contacts/a%2Fb?q=1&r=%2e%2e hello" {
		t.Fatalf("%d %s", a.status, a.text)
	}
	got := f.upstream.got
	if got.Header.Get("Authorization") != "Bearer token_1" || got.Header.Get("X-Other") != "kept" || "http://"+got.Host != f.upstream.URL {
		t.Errorf("host %s, headers %v", got.Host, got.Header)
	}
	for _, name := range []string{"Cookie", agent.SecretHeader, "X-Tokenvend-Subject", "X-Forwarded-For"} {
		if got.Header.Get(name) != "" {
			t.Errorf("%s is forwarded: %v", name, got.Header)
		}
	}
}

func TestForwardReplacesRejectedToken(t *testing.T) {
	for name, size := range map[string]int{"a short body": 10, "the longest that is kept": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.send("GET", "/to/crm", "", nil)
			f.service.Revoke("crm")
			body := strings.Repeat("x", size)
			if a := f.send("POST", "/to/crm/", body, nil); a.text != "POST /api/ "+body || f.upstream.got.Header.Get("Authorization") != "Bearer token_2" {
				t.Errorf("%d, %d bytes", a.status, len(a.text))
			}
		})
	}
	t.Run("a long body is not sent again", func(t *testing.T) {
		f := newFixture(t, nil)
		f.send("GET", "/to/crm", "", nil)
		f.service.Revoke("crm")
		if a := f.send("POST", "/to/crm", strings.Repeat("x", 64<<10+1), nil); a.status != http.StatusUnauthorized {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a := f.send("GET", "/to/crm", "", nil); a.status != http.StatusOK {
			t.Errorf("the next request: %d", a.status)
		}
	})
}

// TestForwardStreams reads the beginning of a response before the upstream ends it, and
// sends a request whose end comes after the beginning of its response.
func TestForwardStreams(t *testing.T) {
	f := newFixture(t, nil)
	f.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		for buffer := make([]byte, 5); ; {
			n, err := io.ReadFull(r.Body, buffer)
			_, _ = w.Write(buffer[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/to/crm/echo", reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(agent.SecretHeader, secret)
	go func() { _, _ = io.WriteString(writer, "first") }()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for _, want := range []string{"first", "later"} {
		got := make([]byte, 5)
		if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
		if want == "first" {
			go func() { _, _ = io.WriteString(writer, "later"); _ = writer.Close() }()
		}
	}
}

func TestForwardRefuses(t *testing.T) {
	f := newFixture(t, func(c *agent.Config) { c.Connections = []string{"crm", "erp"} })
	for _, c := range []struct{ name, target, want string }{
		{"a connection without an upstream", "/to/erp/x", "--allow erp"},
		{"a connection that is not allowed", "/to/billing/x", "--connection billing"},
		{"traversal", "/to/crm/../../admin", "prefix"},
		{"traversal to the prefix's parent", "/to/crm/..", "prefix"},
		{"traversal after a folder", "/to/crm/a/../../b", "prefix"},
		{"encoded dots", "/to/crm/%2e%2e/admin", "prefix"},
		{"half-encoded dots", "/to/crm/.%2E/admin", "prefix"},
		{"encoded slashes", "/to/crm/a%2f..%2f..%2fadmin", "prefix"},
		{"dots encoded twice", "/to/crm/%252e%252e/admin", "prefix"},
		{"slashes encoded twice", "/to/crm/..%252fadmin", "prefix"},
		{"backslashes", `/to/crm/..%5cadmin`, "prefix"},
		{"raw backslashes", `/to/crm/..\admin`, "prefix"},
		{"a parameter after dots", "/to/crm/..;/admin", "prefix"},
		{"an encoded parameter after dots", "/to/crm/..%3bx/admin", "prefix"},
		{"a null byte", "/to/crm/a%00", "prefix"},
		{"encoded without end", "/to/crm/%25252525252e", "prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.t = t
			f.refuses(f.send("GET", c.target, "", nil), http.StatusForbidden, "access_denied", c.want)
		})
	}
	if f.upstream.got != nil {
		t.Errorf("the upstream got %s", f.upstream.got.RequestURI)
	}
	f.t = t
	a := f.send("GET", "/to/crm/x", "", func(r *http.Request) { r.Header.Set("X-Tokenvend-Subject", "../x") })
	f.refuses(a, http.StatusBadRequest, "invalid_request", "subject")
}

func TestForwardCleans(t *testing.T) {
	f := newFixture(t, nil)
	for target, want := range map[string]string{
		"/to/crm": "/api", "/to/crm/": "/api/", "/to/crm?a=b": "/api?a=b", "/to/crm/a/../b": "/api/b", "/to/crm/a/./b/": "/api/a/b/", "/to/crm//evil.example/x": "/api/evil.example/x",
		"/to/crm/a/..": "/api/", "/to/crm/a%20b%2Fc;d": "/api/a%20b%2Fc;d", "/to/crm/...": "/api/...", "/to/crm/100%25": "/api/100%25",
	} {
		if a := f.send("GET", target, "", nil); a.text != "GET "+want+" " {
			t.Errorf("%s: %d %s, want %s", target, a.status, a.text, want)
		}
	}
}

func TestRedirects(t *testing.T) {
	f := newFixture(t, nil)
	for _, c := range []struct {
		name, location string
		status         int
		want           string
	}{
		{"below the prefix", "/api/new?a=b#c", 302, "/to/crm/new?a=b#c"},
		{"relative", "new", 307, "/to/crm/new"},
		{"an address below the prefix", "{upstream}/api/new", 301, "/to/crm/new"},
		{"above the prefix", "/login", 302, "{upstream}/login"},
		{"a prefix of another name", "/api2/x", 302, "{upstream}/api2/x"},
		{"not modified", "", 304, ""},
		{"another host", "https://evil.example/api", 302, ""},
		{"another host without scheme", "//evil.example/api", 302, ""},
		{"another port", "http://127.0.0.1:1/api", 302, ""},
		{"no address", "http://%zz", 302, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.t = t
			there := func(text string) string { return strings.ReplaceAll(text, "{upstream}", f.upstream.URL) }
			f.upstream.answer = func(w http.ResponseWriter, _ string) {
				if c.location != "" {
					w.Header().Set("Location", there(c.location))
				}
				w.WriteHeader(c.status)
			}
			a := f.send("GET", "/to/crm/old", "", nil)
			if c.want == "" && c.location != "" {
				f.refuses(a, http.StatusBadGateway, "redirect_refused", "not allowed")
			} else if a.status != c.status || a.header.Get("Location") != there(c.want) {
				t.Errorf("%d, Location %q", a.status, a.header.Get("Location"))
			}
		})
	}
}

func TestUpstreamIsDown(t *testing.T) {
	f := newFixture(t, nil)
	f.upstream.Close()
	f.refuses(f.send("GET", "/to/crm/x", "", nil), http.StatusBadGateway, "upstream_unreachable", "no response")
}

func TestParseUpstream(t *testing.T) {
	for _, text := range []string{"", "crm.example", "http://crm.example", "ftp://127.0.0.1", "https://user@crm.example", "https://crm.example?a=b", "https://crm.example/#a", "https://crm.example/../x", "https:///x"} {
		if _, err := agent.ParseUpstream(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for _, text := range []string{"https://crm.example", "https://crm.example:8443/api/v2/", "http://localhost:8080", "http://[::1]:1/a"} {
		if _, err := agent.ParseUpstream(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzForwardedPath sends any path: what arrives stays below the prefix, however often
// the upstream decodes it.
func FuzzForwardedPath(f *testing.F) {
	for _, seed := range []string{"/a", "/../b", "/%2e%2e/b", "/a%2f..%2f..", "/..;/x", "//x", "/a/./", "/%252e%252e"} {
		f.Add(seed)
	}
	upstream, err := agent.ParseUpstream("https://crm.example/api/v2")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		to, err := agent.Join(upstream, "/"+strings.TrimPrefix(path, "/"))
		if err != nil {
			return
		}
		text := to.EscapedPath()
		for range 6 {
			parts := strings.FieldsFunc(text, func(r rune) bool { return r == '/' || r == '\\' })
			if to.Host != "crm.example" || !strings.HasPrefix(text, "/api/v2") || len(parts) < 2 {
				t.Fatalf("%q leads to %s", path, to)
			}
			for _, part := range parts {
				if name, _, _ := strings.Cut(part, ";"); name == ".." || name == "." {
					t.Fatalf("%q leads to %s", path, to)
				}
			}
			if next, err := url.PathUnescape(text); err == nil {
				text = next
			}
		}
	})
}
