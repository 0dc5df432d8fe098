package awsconfig

import (
	"context"
	"crypto/x509"
	"net"
)

// Connect opens a TLS connection that trusts first, and then rest.
func Connect(ctx context.Context, first, rest *x509.CertPool, address string) (net.Conn, error) {
	c := newConnector(rest)
	c.first = first
	return c.dialTLS(ctx, "tcp", address)
}

// AmazonRoots is how many roots come with the package, by default trusted first.
func AmazonRoots() *x509.CertPool { return newConnector(nil).first }
