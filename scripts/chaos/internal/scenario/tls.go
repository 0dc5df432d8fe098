package scenario

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/certificate"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// handshake is a server with faulty TLS, and the outcome that it must have.
type handshake struct {
	name    string
	edit    func(*x509.Certificate)
	by      certificate.Authority
	version uint16
	outcome string
}

// badTLS expects each faulty handshake to fail before a byte of the request is sent.
// A handshake in order must succeed, so the others fail for their own fault only.
func badTLS(ctx context.Context, e *env) {
	trusted, err := certificate.NewAuthority()
	e.must(err)
	unknown, err := certificate.NewAuthority()
	e.must(err)
	folder, err := os.MkdirTemp("", "chaos-tls-")
	e.must(err)
	defer os.RemoveAll(folder)
	bundle := filepath.Join(folder, "authority.pem")
	e.must(trusted.Write(bundle))
	p := e.Process(fleet.Vend, 80, "SSL_CERT_FILE="+bundle)
	const refused = "503 provider_unavailable"
	for _, h := range []handshake{
		{"in-order", nil, trusted, tls.VersionTLS13, "200"},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, trusted, tls.VersionTLS13, refused},
		{"another-host", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, trusted, tls.VersionTLS13, refused},
		{"unknown-authority", nil, unknown, tls.VersionTLS13, refused},
		{"tls-1-1", nil, trusted, tls.VersionTLS11, refused},
	} {
		e.shake(ctx, p, h)
	}
	e.expect(strings.Contains(e.log.tail(), "tls"), "OC-21: no log line names TLS as the reason")
}

func (e *env) shake(ctx context.Context, p *fleet.Process, h handshake) {
	issued, err := h.by.Issue(h.edit)
	e.must(err)
	var requests atomic.Int64
	server := httptest.NewUnstartedServer(e.Token(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		grant(w)
	})))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{issued}, MinVersion: tls.VersionTLS10, MaxVersion: h.version} //nolint:gosec // an outdated server is the test
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	e.declareAt(h.name, server.URL)
	e.expectOutcome(e.ask(ctx, p, fleet.TokenOf(h.name)), h.outcome)
	e.expect(h.outcome == "200" || requests.Load() == 0, "OC-21: %s: the request was sent", h.name)
}
