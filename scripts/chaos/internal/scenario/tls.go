package scenario

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// authority signs certificates that processes trust through SSL_CERT_FILE.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority() (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("key of an authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fleet"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return authority{}, fmt.Errorf("certificate of an authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return authority{certificate, key}, err
}

// issue signs a certificate of 127.0.0.1, changed by edit.
func (a authority) issue(edit func(*x509.Certificate)) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key of a server: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "provider"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	edit(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// bundle writes the authority to a file, for SSL_CERT_FILE.
func (a authority) bundle(folder string) (string, error) {
	path := filepath.Join(folder, "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	return path, os.WriteFile(path, text, 0o600)
}

// handshake is a server with faulty TLS, and the outcome that it must have.
type handshake struct {
	name    string
	edit    func(*x509.Certificate)
	by      authority
	version uint16
	outcome string
}

// badTLS expects each faulty handshake to fail before a byte of the request is sent.
// A handshake in order must succeed, so the others fail for their own fault only.
func badTLS(ctx context.Context, e *env) error {
	trusted, err := newAuthority()
	if err != nil {
		return err
	}
	unknown, err := newAuthority()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "chaos-tls-")
	if err != nil {
		return fmt.Errorf("folder of certificates: %w", err)
	}
	defer os.RemoveAll(folder)
	bundle, err := trusted.bundle(folder)
	if err != nil {
		return err
	}
	p := e.Process(fleet.Vend, 80, "SSL_CERT_FILE="+bundle)
	const refused = "503 provider_unavailable"
	for _, h := range []handshake{
		{"in-order", func(*x509.Certificate) {}, trusted, tls.VersionTLS13, "200"},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, trusted, tls.VersionTLS13, refused},
		{"another-host", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, trusted, tls.VersionTLS13, refused},
		{"unknown-authority", func(*x509.Certificate) {}, unknown, tls.VersionTLS13, refused},
		{"tls-1-1", func(*x509.Certificate) {}, trusted, tls.VersionTLS11, refused},
	} {
		if err := e.shake(ctx, p, h); err != nil {
			return err
		}
	}
	e.expect(strings.Contains(e.log.tail(), "tls"), "OC-21: no log line names TLS as the reason")
	return nil
}

func (e *env) shake(ctx context.Context, p *fleet.Process, h handshake) error {
	certificate, err := h.by.issue(h.edit)
	if err != nil {
		return err
	}
	var requests atomic.Int64
	server := httptest.NewUnstartedServer(e.Token(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		grant(w)
	})))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS10, MaxVersion: h.version} //nolint:gosec // an outdated server is the test
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	if err := e.declareAt(ctx, h.name, server.URL); err != nil {
		return err
	}
	e.expectOutcome(e.ask(ctx, p, fleet.TokenOf(h.name)), h.outcome)
	e.expect(h.outcome == "200" || requests.Load() == 0, "OC-21: %s: the request was sent", h.name)
	return nil
}
