package awsconfig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"net"
	"sync/atomic"
)

// amazonRoots are the roots that AWS's own endpoints are certified by (Amazon
// Trust Services, with the Starfield root that cross-signs them).
//
//go:embed amazon.pem
var amazonRoots []byte

// connector opens TLS connections to AWS.
//
// The system's bundle holds some 150 roots, and parsing it is most of what the
// first call of a cold environment costs. So Amazon's own are tried first, and
// the system's only when they do not know who certified the server: another
// partition's endpoint, a private one, a proxy that opens TLS. Trust is not
// widened by that: a server that neither knows is refused.
type connector struct {
	dialer net.Dialer
	// first and rest are who servers' certificates must come from; a nil pool is
	// the system's. rest is not used when it is the same.
	first, rest *x509.CertPool
	// fallen is set once rest was needed: from then on it is tried at once.
	fallen atomic.Bool
}

// newConnector returns a connector. roots, when given, are all that is trusted.
func newConnector(roots *x509.CertPool) *connector {
	c := &connector{dialer: net.Dialer{Timeout: dialTimeout}, first: roots, rest: roots}
	if roots == nil {
		c.first = x509.NewCertPool()
		c.first.AppendCertsFromPEM(amazonRoots)
	}
	return c
}

func (c *connector) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	if c.first == c.rest || c.fallen.Load() {
		return c.connect(ctx, network, address, c.rest)
	}
	conn, err := c.connect(ctx, network, address, c.first)
	var unknown x509.UnknownAuthorityError
	if err == nil || !errors.As(err, &unknown) {
		return conn, err
	}
	conn, err = c.connect(ctx, network, address, c.rest)
	c.fallen.Store(err == nil)
	return conn, err
}

func (c *connector) connect(ctx context.Context, network, address string, roots *x509.CertPool) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	plain, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	conn := tls.Client(plain, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return conn, nil
}
