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

// authority signs certificates that the processes are told to trust.
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

// handshake is a server whose TLS is as it should not be, and what comes of it.
type handshake struct {
	name    string
	edit    func(*x509.Certificate)
	by      authority
	version uint16
	outcome string
}

// badTLS has each handshake fail before a byte of the request is sent, and one
// that is in order succeed, so that the others cannot fail for another reason.
func badTLS(ctx context.Context, s *stage) error {
	trusted, err := newAuthority()
	if err != nil {
		return err
	}
	stranger, err := newAuthority()
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
	p := s.Process(fleet.Vend, 80, "SSL_CERT_FILE="+bundle)
	const refused = "503 provider_unavailable"
	for _, h := range []handshake{
		{"in-order", func(*x509.Certificate) {}, trusted, tls.VersionTLS13, "200"},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, trusted, tls.VersionTLS13, refused},
		{"another-host", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, trusted, tls.VersionTLS13, refused},
		{"unknown-authority", func(*x509.Certificate) {}, stranger, tls.VersionTLS13, refused},
		{"tls-1-1", func(*x509.Certificate) {}, trusted, tls.VersionTLS11, refused},
	} {
		if err := s.shake(ctx, p, h); err != nil {
			return err
		}
	}
	s.expect(strings.Contains(s.log.tail(), "tls"), "OC-21: no log line says that TLS was the reason")
	return nil
}

func (s *stage) shake(ctx context.Context, p *fleet.Process, h handshake) error {
	certificate, err := h.by.issue(h.edit)
	if err != nil {
		return err
	}
	var requests atomic.Int64
	server := httptest.NewUnstartedServer(s.Token(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		grant(w)
	})))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS10, MaxVersion: h.version}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	if err := s.declareAt(ctx, h.name, server.URL); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, p, fleet.TokenOf(h.name)), h.outcome)
	s.expect(h.outcome == "200" || requests.Load() == 0, "OC-21: %s: the request was sent", h.name)
	return nil
}
