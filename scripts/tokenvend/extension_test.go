package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

const agentToken = "canary-of-the-agents-token"

// environment is an execution environment with the agent as a layer.
type environment struct {
	t    *testing.T
	host *lambdahost.Host
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newEnvironment(t *testing.T, variables ...string) environment {
	t.Helper()
	folder := t.TempDir()
	e := environment{t: t, log: &lockedBuffer{}}
	extension := filepath.Join(folder, "tokenvend-agent")
	if err := os.Symlink(program, extension); err != nil {
		t.Fatal(err)
	}
	e.host = lambdahost.New(lambdahost.Config{
		Bootstrap: buildFunction(t), Extension: extension, Output: e.log,
		Env: append([]string{"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "TOKENVEND_AGENT_TOKEN=" + agentToken, "TOKENVEND_AGENT_ADDR=" + freeAddress(t)}, variables...),
	})
	t.Cleanup(e.host.Close)
	return e
}

// buildFunction builds the function once.
func buildFunction(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(program), "bootstrap")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := lambdahost.Build(t.Context(), path, "scripts/tokenvend/testdata/function"); err != nil {
		t.Fatal(err)
	}
	return path
}

// freeAddress returns an address that nothing listened on a moment ago: the function
// must know it before the extension listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

type agentAnswer struct {
	Status int
	Text   string
}

func (e environment) invoke() (init, now agentAnswer) {
	e.t.Helper()
	text, err := e.host.Invoke(e.t.Context(), []byte(`{}`))
	if err != nil {
		e.t.Fatalf("%v\n%s", err, e.log)
	}
	var got map[string]agentAnswer
	if err := json.Unmarshal(text, &got); err != nil {
		e.t.Fatal(err)
	}
	return got["init"], got["now"]
}

// counted counts the requests that reach the service.
func counted(t *testing.T, s service) (address string, requests *atomic.Int64) {
	t.Helper()
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	requests = &atomic.Int64{}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { // the Host header, which is signed, stays
		p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + to.Path, requests
}

func TestExtension(t *testing.T) {
	address, requests := counted(t, serve(t))
	e := newEnvironment(t, "TOKENVEND_URL="+address, "TOKENVEND_AGENT_CONNECTIONS=cliquify")
	if err := e.host.Start(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, e.log)
	}
	for range 3 {
		init, now := e.invoke()
		if init.Status != 200 || now.Status != 200 || !strings.Contains(now.Text, `"connection":"cliquify"`) {
			t.Fatalf("init %+v, now %d\n%s", init.Status, now.Status, e.log)
		}
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests to the service, want 1", n)
	}
	e.host.Close() // SHUTDOWN ends the extension
	if out := e.log.String(); strings.Contains(out, "tokenvend-agent:") || strings.Contains(out, agentToken) {
		t.Errorf("AZ-53 printed: %s", out)
	}
}

// TestExtensionNeverFailsInit has what would end the agent as a process of its own.
func TestExtensionNeverFailsInit(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name, variable string
		status         int
		want, logged   string
	}{
		{"a wrong setting", "TOKENVEND_AGENT_ALLOW=cliquify=http://cliquify.example", 500, "agent_misconfigured", "must use https"},
		{"a wrong URL", "TOKENVEND_URL=nowhere", 500, "TOKENVEND_URL", "TOKENVEND_URL"},
		{"no service", "TOKENVEND_URL=http://127.0.0.1:1/v1", 503, "service_unreachable", "service_unreachable"},
		{"a port that is taken", "TOKENVEND_AGENT_ADDR=" + taken.Addr().String(), 0, "", "cannot listen"},
		{"no token", "TOKENVEND_AGENT_TOKEN=short", 500, "at least 16", "at least 16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.status == 0 {
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "another program") })}
				go func() { _ = server.Serve(taken) }()
				defer server.Close()
				c.status, c.want = 200, "another program"
			}
			e := newEnvironment(t, "TOKENVEND_AGENT_CONNECTIONS=cliquify", c.variable)
			if _, now := e.invoke(); now.Status != c.status || !strings.Contains(now.Text, c.want) {
				t.Errorf("%+v", now)
			}
			if !strings.Contains(e.log.String(), "tokenvend-agent: ") || !strings.Contains(e.log.String(), c.logged) {
				t.Errorf("logged %s", e.log)
			}
		})
	}
}
