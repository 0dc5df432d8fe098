package oauth_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/egress/egresstest"
	"github.com/tokenvend/tokenvend/pkg/oauth"
)

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newServer(t, says(200, plainToken))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, target := range []string{"/elsewhere", other.URL + "/token"} {
			t.Run("OC-20 "+http.StatusText(status)+" "+target[:4], func(t *testing.T) {
				server := newServer(t, says(status, plainToken, "Location", target))
				_, err := oauth.New(config()).Token(t.Context(), request(server.URL+"/token"))
				if e := wantFailure(t, err, "provider_malformed redirect"); e.Trace.Status != status {
					t.Errorf("status %d, want %d", e.Trace.Status, status)
				}
				if n := len(server.received()); n != 1 {
					t.Errorf("server got %d requests, want 1", n)
				}
			})
		}
	}
	if n := len(other.received()); n != 0 {
		t.Errorf("OC-20 the target got %d requests, want none", n)
	}
}

// authority signs certificates for tests.
type authority struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{key, signed(t, template, template, key.Public(), key)}
}

func signed(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a authority) issue(t *testing.T, host string, notAfter time.Time) tls.Certificate {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{host},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert := signed(t, template, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// newTLSServer serves plainToken; its URL has the host login.example.com.
func newTLSServer(t *testing.T, config *tls.Config) (s *server, url string) {
	t.Helper()
	s = &server{}
	s.Server = httptest.NewUnstartedServer(s.record([]http.HandlerFunc{says(200, plainToken)}))
	s.TLS = config
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, named(s.URL)
}

// named replaces the address in a loopback URL by a public name.
func named(url string) string {
	return strings.Replace(url, "127.0.0.1", "login.example.com", 1) + "/token"
}

func resolvesTo(addrs ...string) *net.Resolver {
	return egresstest.Resolver(func(string) []netip.Addr {
		var out []netip.Addr
		for _, a := range addrs {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	})
}

func TestTLS(t *testing.T) {
	root, stranger := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	good := root.issue(t, "login.example.com", later)
	tests := []struct {
		name string
		cert tls.Certificate
		max  uint16
		want string // empty: a token
	}{
		{"OC-21 good", good, tls.VersionTLS13, ""},
		{"OC-21 TLS 1.2", good, tls.VersionTLS12, ""},
		{"OC-21 TLS 1.1", good, tls.VersionTLS11, "provider_unavailable tls"},
		{"FI-15 TLS 1.0", good, tls.VersionTLS10, "provider_unavailable tls"},
		{"OC-21 expired", root.issue(t, "login.example.com", time.Now().Add(-time.Hour)), tls.VersionTLS13, "provider_unavailable tls"},
		{"OC-21 wrong host", root.issue(t, "other.example.com", later), tls.VersionTLS13, "provider_unavailable tls"},
		{"OC-21 unknown authority", stranger.issue(t, "login.example.com", later), tls.VersionTLS13, "provider_unavailable tls"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, url := newTLSServer(t, &tls.Config{
				Certificates: []tls.Certificate{tt.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tt.max,
			})
			cfg := config()
			cfg.RootCAs, cfg.Resolver = root.pool(), resolvesTo("127.0.0.1")
			_, err := oauth.New(cfg).Token(t.Context(), request(url))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := wantFailure(t, err, tt.want); e.Trace.Calls != 1 {
				t.Errorf("OC-25 %d calls; a certificate does not get better", e.Trace.Calls)
			}
			if n := len(server.received()); n != 0 {
				t.Errorf("server got %d requests, want none", n)
			}
		})
	}
}

func TestTLSAgainstPlainText(t *testing.T) {
	server := newServer(t, says(200, plainToken))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_, err := oauth.New(config()).Token(t.Context(), request(strings.Replace(server.URL, "http:", "https:", 1)))
	wantFailure(t, err, "provider_unavailable tls")
}

func TestEgressIsJudgedAtDial(t *testing.T) {
	root := newAuthority(t)
	server, url := newTLSServer(t, &tls.Config{
		Certificates: []tls.Certificate{root.issue(t, "login.example.com", time.Now().Add(time.Hour))},
	})
	tests := []struct {
		name, url, want string
		policy          egress.Policy
		addrs           []string
	}{
		{"BI-44 private address", url, "provider_unavailable egress", egress.Policy{}, []string{"10.0.0.5"}},
		{"BI-44 loopback", url, "provider_unavailable egress", egress.Policy{}, []string{"127.0.0.1"}},
		{"BI-44 every address", url, "provider_unavailable egress", egress.Policy{}, []string{"169.254.169.254", "fd00:ec2::254", "::1"}},
		{"AZ-41 plain name outside Allow", strings.Replace(url, "https:", "http:", 1), "provider_unavailable egress", loopback, []string{"8.8.8.8"}},
		{"FI-14 name that does not exist", url, "provider_unavailable dns", loopback, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			cfg.Egress, cfg.Resolver, cfg.RootCAs = tt.policy, resolvesTo(tt.addrs...), root.pool()
			_, err := oauth.New(cfg).Token(t.Context(), request(tt.url))
			if e := wantFailure(t, err, tt.want); e.Trace.Calls != 1 {
				t.Errorf("%d calls, want 1", e.Trace.Calls)
			}
		})
	}
	if n := len(server.received()); n != 0 {
		t.Errorf("BI-44 server got %d requests, want none", n)
	}
}

// TestTwoTransports: a URL that is public is dialled by the public rules, even if
// Allow has other networks.
func TestTwoTransports(t *testing.T) {
	client := oauth.New(config())
	var dialled []string
	for i, name := range []string{"public", "inside"} {
		dial := func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, name+" "+address)
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		}
		client.Transports()[i].DialContext, client.Transports()[i].DialTLSContext = dial, dial
	}
	for _, url := range []string{
		"https://login.example.com/token", "http://login.example.com/token", "https://idp.internal/", "https://127.0.0.1:8443/",
	} {
		_, err := client.Token(t.Context(), request(url))
		wantFailure(t, err, "provider_unavailable dial")
	}
	want := []string{"public login.example.com:443", "inside login.example.com:80", "inside idp.internal:443", "inside 127.0.0.1:8443"}
	if diff := cmp.Diff(want, dialled); diff != "" {
		t.Errorf("AZ-41 dialled (-want +got):\n%s", diff)
	}
}

func TestHandshakeCut(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted sync.WaitGroup
	accepted.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	})
	defer accepted.Wait()
	defer listener.Close()
	_, err = oauth.New(config()).Token(t.Context(), request("https://"+listener.Addr().String()))
	if e := wantFailure(t, err, "provider_unavailable reset"); e.Trace.Calls != 2 {
		t.Errorf("OC-25 %d calls; a connection that breaks is tried again", e.Trace.Calls)
	}
}

func TestNameServerSilent(t *testing.T) {
	cfg := config()
	cfg.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "udp", Err: os.ErrDeadlineExceeded}
	}}
	_, err := oauth.New(cfg).Token(t.Context(), request("https://login.example.com/token"))
	wantFailure(t, err, "provider_unavailable dns")
}

func TestConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	_, err = oauth.New(config()).Token(t.Context(), request("http://"+listener.Addr().String()))
	if e := wantFailure(t, err, "provider_unavailable dial"); e.Trace.Calls != 2 || e.Trace.Status != 0 {
		t.Errorf("FI-14 OC-25 trace %+v, want two calls and no status", e.Trace)
	}
}

func TestBrokenResponses(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name   string
		script func(net.Conn)
		want   string
		again  bool
	}{
		{"OC-25 closed without a response", writes(""), "provider_unavailable reset", true},
		{"OC-25 reset without a response", resets(""), "provider_unavailable reset", true},
		{"OC-61 cut status line", writes("HTTP/1.1 2"), "provider_unavailable reset", true},
		{"OC-61 cut header", writes(head + "Content-Le"), "provider_unavailable reset", true},
		{"OC-61 declared longer", writes(head + "Content-Length: 500\r\n\r\n" + plainToken), "provider_unavailable reset", true},
		{"OC-61 reset in the body", resets(head + "Content-Length: 500\r\n\r\n" + plainToken), "provider_unavailable reset", true},
		{"OC-61 declared shorter", writes(head + "Content-Length: 20\r\n\r\n" + plainToken), "provider_malformed truncated", true},
		{"OC-61 cut without a length", writes(head + "\r\n" + plainToken[:40]), "provider_malformed truncated", true},
		{"OC-61 bad chunk", writes(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "provider_malformed http", true},
		{"OC-61 cut chunk", writes(head + "Transfer-Encoding: chunked\r\n\r\n50\r\n{"), "provider_unavailable reset", true},
		{"OC-61 two lengths", writes(head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), "provider_malformed http", false},
		{"OC-63 no HTTP", writes("SSH-2.0-OpenSSH_9.6\r\n\r\n"), "provider_malformed http", false},
		{"OC-63 1000 header lines", writes(head + strings.Repeat("X: y\r\n", 1000) + "\r\n" + plainToken), "provider_malformed headers", false},
		{"OC-63 257 header lines", writes(head + strings.Repeat("X: y\r\n", 257) + "\r\n" + plainToken), "provider_malformed headers", false},
		{"OC-63 header of 1 MiB", writes(head + "X: " + strings.Repeat("y", 1<<20) + "\r\n\r\n" + plainToken), "provider_malformed http", false},
		{"OC-63 informational responses", writes(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100_000)), "provider_malformed http", false},
		{"OC-50 switching protocols", writes("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "provider_malformed status", false},
		{"OC-39 declared 1 MiB and a byte", writes(head + "Content-Length: 1048577\r\n\r\n" + plainToken), "provider_malformed too_large", false},
		{"OC-39 streamed without end", endless(head + "\r\n" + plainToken), "provider_malformed too_large", false},
		{"OC-39 prefix is not parsed", writes(head + "\r\n" + plainToken + strings.Repeat(" ", 1<<20)), "provider_malformed too_large", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, connections := rawServer(t, tt.script)
			_, err := oauth.New(config()).Token(t.Context(), request(url))
			wantFailure(t, err, tt.want)
			want := 1
			if tt.again {
				want = 2
			}
			if n := connections(); n != want {
				t.Errorf("%d connections, want %d", n, want)
			}
			if !tt.again {
				return
			}
			url, _ = rawServer(t, tt.script, ok(plainToken))
			if _, err := oauth.New(config()).Token(t.Context(), request(url)); err != nil {
				t.Errorf("FI-18 second request: %v", err)
			}
			r := request(url)
			r.GrantType = "refresh_token"
			url, connections = rawServer(t, tt.script, ok(plainToken))
			r.TokenURL = url
			_, err = oauth.New(config()).Token(t.Context(), r)
			wantFailure(t, err, tt.want)
			if n := connections(); n != 1 {
				t.Errorf("OC-25 another grant: %d connections, want 1", n)
			}
		})
	}
}

func endless(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(conn, strings.Repeat(" ", 32<<10)); err != nil {
				return
			}
		}
	}
}

// drips writes a text, then a byte each millisecond.
func drips(text string) func(net.Conn) {
	return func(conn net.Conn) {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		_, err := io.WriteString(conn, text)
		for err == nil {
			<-ticker.C
			_, err = io.WriteString(conn, " ")
		}
	}
}

func TestLargestResponse(t *testing.T) {
	url, _ := rawServer(t, ok(plainToken+strings.Repeat(" ", 1<<20-len(plainToken))))
	if _, err := oauth.New(config()).Token(t.Context(), request(url)); err != nil {
		t.Errorf("OC-39 1 MiB: %v", err)
	}
	url, _ = rawServer(t, writes("HTTP/1.1 200 OK\r\n"+strings.Repeat("X: y\r\n", 256)+"\r\n"+plainToken))
	if _, err := oauth.New(config()).Token(t.Context(), request(url)); err != nil {
		t.Errorf("OC-63 256 header lines: %v", err)
	}
}

func TestBudget(t *testing.T) {
	tests := []struct {
		name   string
		script func(net.Conn)
	}{
		{"OC-62 silence", hangs("")},
		{"OC-62 headers, then silence", hangs("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")},
		{"FI-17 a byte at a time", drips("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := rawServer(t, tt.script)
			cfg := config()
			cfg.Budget = 50 * time.Millisecond
			_, err := oauth.New(cfg).Token(t.Context(), request(url))
			if e := wantFailure(t, err, "provider_timeout timeout"); e.Trace.Calls != 1 {
				t.Errorf("OC-25 %d calls; a timeout is not repeated", e.Trace.Calls)
			}
		})
	}
}

func TestBudgetCoversBothAttempts(t *testing.T) {
	url, _ := rawServer(t, writes(""), hangs(""))
	cfg := config()
	cfg.Budget = 300 * time.Millisecond
	_, err := oauth.New(cfg).Token(t.Context(), request(url))
	if e := wantFailure(t, err, "provider_timeout timeout"); e.Trace.Calls != 2 {
		t.Errorf("OC-22 %d calls, want 2", e.Trace.Calls)
	}
}

func TestCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := rawServer(t, func(conn net.Conn) { cancel(); hangs("")(conn) })
	_, err := oauth.New(config()).Token(ctx, request(url))
	wantFailure(t, err, "provider_timeout canceled")
}

func TestPhaseTimeouts(t *testing.T) {
	t.Run("OC-22 response headers", func(t *testing.T) {
		client := oauth.New(config())
		for _, transport := range client.Transports() {
			transport.ResponseHeaderTimeout = 20 * time.Millisecond
		}
		url, _ := rawServer(t, hangs(""))
		_, err := client.Token(t.Context(), request(url))
		if e := wantFailure(t, err, "provider_timeout timeout"); e.Trace.Calls != 1 {
			t.Errorf("OC-25 %d calls, want 1", e.Trace.Calls)
		}
	})
	t.Run("OC-22 TLS handshake", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // accepts nothing: the kernel connects, and no byte follows
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err = oauth.DialTLS(ctx, config(), listener.Addr().String(), 20*time.Millisecond)
		wantFailure(t, err, "provider_unavailable tls")
	})
	t.Run("OC-22 dial", func(t *testing.T) {
		client := oauth.New(config())
		for _, transport := range client.Transports() {
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
			}
		}
		_, err := client.Token(t.Context(), request("http://127.0.0.1:1/"))
		if e := wantFailure(t, err, "provider_unavailable dial"); e.Trace.Calls != 1 {
			t.Errorf("OC-25 %d calls; a timeout is not repeated", e.Trace.Calls)
		}
	})
}

func TestTransportSettings(t *testing.T) {
	for _, transport := range oauth.New(oauth.Config{}).Transports() {
		if transport.Proxy != nil || transport.MaxResponseHeaderBytes != 64<<10 || !transport.DisableKeepAlives ||
			transport.ResponseHeaderTimeout != 8*time.Second || transport.Protocols.HTTP2() {
			t.Errorf("OC-22 OC-23 transport %+v", transport)
		}
	}
	dial, handshake, config := oauth.Connections(oauth.Config{})
	if dial != 3*time.Second || handshake != 3*time.Second || config.MinVersion != tls.VersionTLS12 || config.InsecureSkipVerify {
		t.Errorf("OC-21 OC-22 dial %v, handshake %v, TLS %x", dial, handshake, config.MinVersion)
	}
}

// TestOneRequestPerConnection: no connection is left that could break while the
// sandbox is frozen, and no data after a response is read.
func TestOneRequestPerConnection(t *testing.T) {
	var logged atomic.Int64
	before := log.Writer()
	log.SetOutput(writerFunc(func(p []byte) (int, error) { logged.Add(1); return len(p), nil }))
	defer log.SetOutput(before)
	url, connections := rawServer(t, writes("HTTP/1.1 200 OK\r\nContent-Length: 66\r\n\r\n"+plainToken+"HTTP/1.1 200 OK\r\nX: "+secretCanary+"\r\n\r\n"))
	client := oauth.New(config())
	for range 3 {
		if _, err := client.Token(t.Context(), request(url)); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections(); n != 3 {
		t.Errorf("OC-23 %d connections for 3 requests", n)
	}
	if n := logged.Load(); n != 0 {
		t.Errorf("INV-5 net/http logged %d lines", n)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
