package awsconfig

import (
	"context"
	"crypto/x509"
	"net"
)

// Connect opens a TLS connection that trusts first, then fallback.
func Connect(ctx context.Context, first, fallback *x509.CertPool, address string) (net.Conn, error) {
	c := newConnector(fallback)
	c.first = first
	return c.dialTLS(ctx, "tcp", address)
}

// AmazonRoots are the roots that are trusted first by default.
func AmazonRoots() *x509.CertPool { return newConnector(nil).first }
