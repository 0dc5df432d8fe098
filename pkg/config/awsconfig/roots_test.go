package awsconfig_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
)

// TestTrust: a server is trusted if the first roots or the fallback verify it. An
// unknown authority, or a certificate for another host, is refused.
func TestTrust(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	ours := x509.NewCertPool()
	ours.AddCert(server.Certificate())
	amazon := awsconfig.AmazonRoots()
	for _, test := range []struct {
		name            string
		first, fallback *x509.CertPool
		trusted         bool
	}{
		{"the first roots know it", ours, amazon, true},
		{"only the rest knows it", amazon, ours, true},
		{"an unknown authority", amazon, x509.NewCertPool(), false},
		{"given roots are all that is trusted", ours, ours, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := awsconfig.Connect(t.Context(), test.first, test.fallback, server.Listener.Addr().String())
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != test.trusted {
				t.Errorf("connect: %v, want trusted: %v", err, test.trusted)
			}
			var unknown x509.UnknownAuthorityError
			if !test.trusted && !errors.As(err, &unknown) {
				t.Errorf("refused with %v, want an unknown authority", err)
			}
		})
	}
	t.Run("a trusted authority's certificate for another host is refused", func(t *testing.T) {
		_, port, err := net.SplitHostPort(server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = awsconfig.Connect(t.Context(), ours, amazon, "localhost:"+port)
		var wrong x509.HostnameError
		if !errors.As(err, &wrong) {
			t.Errorf("connect: %v, want a wrong host", err)
		}
	})
}

// TestAmazonRootsAreWhole: each embedded root is usable.
func TestAmazonRootsAreWhole(t *testing.T) {
	fallback, err := os.ReadFile("amazon.pem")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for {
		var block *pem.Block
		if block, fallback = pem.Decode(fallback); block == nil {
			break
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !root.IsCA {
			t.Fatalf("root %d: %v", len(names)+1, err)
		}
		names = append(names, root.Subject.CommonName)
	}
	want := []string{"Amazon Root CA 1", "Amazon Root CA 2", "Amazon Root CA 3", "Amazon Root CA 4",
		"Starfield Services Root Certificate Authority - G2"}
	if !slices.Equal(names, want) {
		t.Errorf("roots %q, want %q", names, want)
	}
}
