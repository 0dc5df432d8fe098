package oauth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
)

// TestAmbiguousResponses: once a byte may have been sent, a code or a refresh token
// is not sent again, and only a refusal shows that it was not used.
func TestAmbiguousResponses(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name      string
		script    func(net.Conn)
		want      string
		ambiguous bool
	}{
		{"OC-25 closed without a response", writes(""), "provider_unavailable reset", true},
		{"OC-25 reset without a response", resets(""), "provider_unavailable reset", true},
		{"OC-61 cut head", writes(head + "Content-Le"), "provider_unavailable reset", true},
		{"OC-61 cut body", writes(head + "Content-Length: 500\r\n\r\n" + plainToken), "provider_unavailable reset", true},
		{"OC-61 reset in the body", resets(head + "Content-Length: 500\r\n\r\n" + plainToken), "provider_unavailable reset", true},
		{"OC-61 declared shorter", writes(head + "Content-Length: 20\r\n\r\n" + plainToken), "provider_malformed truncated", true},
		{"OC-61 bad chunk", writes(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "provider_malformed http", true},
		{"OC-63 no HTTP", writes("SSH-2.0-OpenSSH_9.6\r\n\r\n"), "provider_malformed http", true},
		{"OC-39 too large", writes(head + "Content-Length: 1048577\r\n\r\n" + plainToken), "provider_malformed too_large", true},
		{"OC-62 silence", hangs(""), "provider_timeout timeout", true},
		{"OC-62 headers, then silence", hangs(head + "Content-Length: 500\r\n\r\n"), "provider_timeout timeout", true},
		{"OC-61 refusal with a cut body", writes("HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n{"), "provider_unavailable reset", false},
		{"OC-62 refusal, then silence", hangs("HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n{"), "provider_timeout timeout", false},
	}
	for _, tt := range tests {
		for _, grant := range oneTimeGrants {
			t.Run(tt.name+" "+grant.name, func(t *testing.T) {
				t.Parallel()
				url, connections := rawServer(t, tt.script, ok(plainToken))
				cfg := config()
				if tt.want == "provider_timeout timeout" {
					cfg.Budget = 300 * time.Millisecond // enough to get as far as the script goes
				}
				_, err := oauth.New(cfg).Token(t.Context(), grant.make(url))
				if e := wantFailure(t, err, tt.want); e.Ambiguous != tt.ambiguous {
					t.Errorf("OC-25 ambiguous %v, want %v", e.Ambiguous, tt.ambiguous)
				}
				if n := connections(); n != 1 {
					t.Errorf("OC-25 %d connections, want 1", n)
				}
			})
		}
	}
}

func TestAmbiguousStatuses(t *testing.T) {
	tests := []struct {
		status    int
		body      string
		ambiguous bool
	}{
		{400, `{"error":"invalid_grant"}`, false}, {401, `<html>`, false}, {429, ``, false}, {403, ``, false},
		{500, ``, false}, {501, ``, false}, {503, ``, false}, {503, `{"error":"temporarily_unavailable"}`, false},
		{502, `<html>`, true}, {504, ``, true}, {502, `{"error":"server_error"}`, true}, {520, ``, true}, {524, ``, true},
		{307, ``, false}, {201, `{}`, true}, {204, ``, true}, {206, plainToken, true}, {999, ``, true},
		{200, `{"error":"invalid_grant"}`, false}, {200, `{"error":"temporarily_unavailable"}`, false},
		{200, `{}`, true}, {200, `<html>`, true}, {200, ``, true},
	}
	for _, tt := range tests {
		for _, grant := range oneTimeGrants {
			t.Run(fmt.Sprintf("OC-25 %d %s %s", tt.status, tt.body, grant.name), func(t *testing.T) {
				server := newServer(t, says(tt.status, tt.body), says(200, plainToken))
				_, err := oauth.New(config()).Token(t.Context(), grant.make(server.URL))
				if e := failureOf(t, err); e.Ambiguous != tt.ambiguous {
					t.Errorf("ambiguous %v, want %v: %v", e.Ambiguous, tt.ambiguous, err)
				}
				if n := len(server.received()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
			})
		}
	}
	t.Run("OC-25 client_credentials uses up nothing", func(t *testing.T) {
		_, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(502, "")).URL))
		if failureOf(t, err).Ambiguous {
			t.Error("ambiguous")
		}
	})
}

// TestUnsentRequests: a credential that was certainly not sent may be sent again,
// and is not used up.
func TestUnsentRequests(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	tests := []struct {
		name  string
		dial  func(context.Context) error
		want  string
		calls int
	}{
		{"OC-25 no connection", func(context.Context) error { return refused }, "provider_unavailable dial", 2},
		{"OC-25 no name for now", func(context.Context) error { return &net.DNSError{IsTemporary: true} }, "provider_unavailable dns", 2},
		{"OC-25 no such name", func(context.Context) error { return &net.DNSError{IsNotFound: true} }, "provider_unavailable dns", 1},
		{"OC-25 no time left", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "provider_timeout timeout", 1},
	}
	for _, tt := range tests {
		for _, grant := range oneTimeGrants {
			t.Run(tt.name+" "+grant.name, func(t *testing.T) {
				cfg := config()
				if tt.want == "provider_timeout timeout" {
					cfg.Budget = 10 * time.Millisecond
				}
				client := oauth.New(cfg)
				for _, transport := range client.Transports() {
					transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, tt.dial(ctx) }
				}
				_, err := client.Token(t.Context(), grant.make("http://127.0.0.1:1/"))
				if e := wantFailure(t, err, tt.want); e.Ambiguous || e.Trace.Calls != tt.calls {
					t.Errorf("ambiguous %v, %d calls; want false, %d", e.Ambiguous, e.Trace.Calls, tt.calls)
				}
			})
		}
	}
}

// failingOnce is a client whose first connection fails with err.
func failingOnce(cfg oauth.Config, err error) *oauth.Client {
	client := oauth.New(cfg)
	var dials atomic.Int32
	for _, transport := range client.Transports() {
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				return nil, err
			}
			return dial(ctx, network, address)
		}
	}
	return client
}

func TestSecondRequestAfterAnUnsentOne(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	for _, grant := range oneTimeGrants {
		t.Run("OC-25 answered "+grant.name, func(t *testing.T) {
			server := newServer(t, says(200, plainToken))
			token, err := failingOnce(config(), refused).Token(t.Context(), grant.make(server.URL))
			if err != nil || token.Trace.Calls != 2 || len(server.received()) != 1 {
				t.Errorf("Token = %+v, %v after %d requests", token.Trace, err, len(server.received()))
			}
		})
		t.Run("OC-25 lost "+grant.name, func(t *testing.T) {
			url, connections := rawServer(t, resets(""))
			_, err := failingOnce(config(), refused).Token(t.Context(), grant.make(url))
			if e := wantFailure(t, err, "provider_unavailable reset"); !e.Ambiguous || connections() != 1 {
				t.Errorf("ambiguous %v after %d connections; want true after 1", e.Ambiguous, connections())
			}
		})
	}
	t.Run("OC-25 no time for a pause", func(t *testing.T) {
		cfg := config()
		cfg.Wait = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
		_, err := failingOnce(cfg, refused).Token(t.Context(), refreshRequest("http://127.0.0.1:1/"))
		if e := wantFailure(t, err, "provider_unavailable dial"); e.Ambiguous || e.Trace.Calls != 1 {
			t.Errorf("ambiguous %v, %d calls", e.Ambiguous, e.Trace.Calls)
		}
	})
}

// TestTLSIsNotSending: the bytes of a handshake carry nothing of the request.
func TestTLSIsNotSending(t *testing.T) {
	ca := newAuthority(t)
	client := func() *oauth.Client {
		cfg := config()
		cfg.RootCAs, cfg.Resolver = ca.pool(), resolvesTo("127.0.0.1")
		return oauth.New(cfg)
	}
	t.Run("OC-21 wrong certificate", func(t *testing.T) {
		server, url := newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "other.example.com", time.Now().Add(time.Hour))}})
		_, err := client().Token(t.Context(), refreshRequest(url))
		if e := wantFailure(t, err, "provider_unavailable tls"); e.Ambiguous || e.Trace.Calls != 1 || len(server.received()) != 0 {
			t.Errorf("ambiguous %v, %d calls, %d requests", e.Ambiguous, e.Trace.Calls, len(server.received()))
		}
	})
	t.Run("OC-25 handshake cut", func(t *testing.T) {
		url, connections := cutting(t)
		_, err := client().Token(t.Context(), refreshRequest(url))
		if e := wantFailure(t, err, "provider_unavailable reset"); e.Ambiguous || e.Trace.Calls != 2 || connections.Load() != 2 {
			t.Errorf("ambiguous %v, %d calls, %d connections; want false, 2, 2", e.Ambiguous, e.Trace.Calls, connections.Load())
		}
	})
	t.Run("OC-25 cut after the handshake", func(t *testing.T) {
		server, url := newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "login.example.com", time.Now().Add(time.Hour))}})
		server.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		_, err := client().Token(t.Context(), refreshRequest(url))
		if e := wantFailure(t, err, "provider_unavailable reset"); !e.Ambiguous || e.Trace.Calls != 1 {
			t.Errorf("ambiguous %v, %d calls; want true, 1", e.Ambiguous, e.Trace.Calls)
		}
	})
}

// cutting accepts connections, reads the first bytes and closes.
func cutting(t *testing.T) (url string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_, _ = io.ReadFull(conn, make([]byte, 5))
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return named("https://" + listener.Addr().String()), connections
}

func TestRequestThatCannotBeBuiltUsesNothing(t *testing.T) {
	for _, grant := range oneTimeGrants {
		r := grant.make("https://10.0.0.5/")
		_, err := oauth.New(config()).Token(t.Context(), r)
		if e := wantFailure(t, err, "connection_misconfigured url"); e.Ambiguous {
			t.Errorf("OC-25 %s: ambiguous though nothing was sent", grant.name)
		}
		r = grant.make("http://127.0.0.1:1/")
		r.Method = "mtls"
		_, err = oauth.New(config()).Token(t.Context(), r)
		if e := wantFailure(t, err, "connection_misconfigured client_auth"); e.Ambiguous {
			t.Errorf("OC-25 %s: ambiguous though nothing was sent", grant.name)
		}
	}
}

func TestCallerCancelsDuringAGrant(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := rawServer(t, func(conn net.Conn) { cancel(); hangs("")(conn) })
	_, err := oauth.New(config()).Token(ctx, refreshRequest(url))
	if e := wantFailure(t, err, "provider_timeout canceled"); !e.Ambiguous {
		t.Error("OC-25 the server has the refresh token, and it is not ambiguous")
	}
	_, err = oauth.New(config()).Token(ctx, refreshRequest(url))
	if e := wantFailure(t, err, "provider_timeout canceled"); e.Ambiguous {
		t.Error("OC-25 ambiguous although the caller had cancelled before")
	}
}
