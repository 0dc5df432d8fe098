package oauth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	secretCanary = "s3cr3t-CANARY+/zQ9"
	plainToken   = `{"access_token":"token_1","token_type":"Bearer","expires_in":3600}`
)

// now is the wall clock of every test that does not need another.
var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

var loopback = egress.Policy{Allow: []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
}}

// config is a configuration with a fixed clock and pauses that take no time. It
// allows loopback.
func config() oauth.Config {
	return oauth.Config{
		Egress: loopback,
		Now:    func() time.Time { return now },
		Wait:   func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func request(tokenURL string) oauth.Request {
	return oauth.Request{
		TokenURL: tokenURL,
		Authentication: oauth.Authentication{
			Method: provider.ClientSecretPost, ClientID: "client-1", ClientSecret: redact.New(secretCanary),
		},
		GrantType: "client_credentials",
	}
}

// server answers each request with the next handler, repeating the last one, and
// records the requests.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

type received struct {
	method, uri, body string
	header            http.Header
}

func newServer(t *testing.T, handlers ...http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(s.record(handlers))
	t.Cleanup(s.Close)
	return s
}

func (s *server) record(handlers []http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		n := min(len(s.requests), len(handlers)-1)
		s.requests = append(s.requests, received{r.Method, r.RequestURI, string(body), r.Header})
		s.mu.Unlock()
		handlers[n](w, r)
	})
}

func (s *server) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// says answers with a status, headers in pairs, and a body.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// rawServer is a TCP server: on each connection it reads one request and runs the
// next script, repeating the last one.
func rawServer(t *testing.T, scripts ...func(net.Conn)) (url string, connections func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var count int
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			script := scripts[min(count, len(scripts)-1)]
			count++
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				if hear(conn) == nil {
					script(conn)
				}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return "http://" + listener.Addr().String() + "/token", func() int {
		mu.Lock()
		defer mu.Unlock()
		return count
	}
}

func hear(conn net.Conn) error {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}

func writes(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

// resets writes a text and breaks the connection.
func resets(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// hangs writes a text and then nothing until the client closes.
func hangs(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	}
}

func ok(body string) func(net.Conn) {
	return writes(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// failureOf returns the *oauth.Error in err and ends the test when there is none.
func failureOf(t *testing.T, err error) *oauth.Error {
	t.Helper()
	var e *oauth.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *oauth.Error", err)
	}
	return e
}

// wantFailure checks kind and reason, written "provider_malformed json".
func wantFailure(t *testing.T, err error, want string) *oauth.Error {
	t.Helper()
	e := failureOf(t, err)
	if got := string(e.Kind) + " " + e.Reason; got != want {
		t.Errorf("failure %q, want %q", got, want)
	}
	return e
}
