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

// amazonRoots are the root certificates of AWS's endpoints (Amazon Trust Services,
// with the Starfield root that cross-signs them).
//
//go:embed amazon.pem
var amazonRoots []byte

// connector opens TLS connections to AWS.
//
// The system's bundle has some 150 roots, and parsing it is most of the cost of
// the first call after a cold start. Amazon's roots are therefore tried first, and
// the system's only if the server's authority is unknown: an endpoint of another
// partition, a private one, a proxy that terminates TLS. No server is trusted that
// neither set of roots verifies.
type connector struct {
	dialer net.Dialer
	// first and fallback verify the certificates of servers; a nil pool is the
	// system's roots. fallback is not used when it is equal to first.
	first, fallback *x509.CertPool
	// useFallback is set once fallback was needed; then first is no longer tried.
	useFallback atomic.Bool
}

// newConnector returns a connector. If roots is set, nothing else is trusted.
func newConnector(roots *x509.CertPool) *connector {
	c := &connector{dialer: net.Dialer{Timeout: dialTimeout}, first: roots, fallback: roots}
	if roots == nil {
		c.first = x509.NewCertPool()
		c.first.AppendCertsFromPEM(amazonRoots)
	}
	return c
}

func (c *connector) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	if c.first == c.fallback || c.useFallback.Load() {
		return c.connect(ctx, network, address, c.fallback)
	}
	conn, err := c.connect(ctx, network, address, c.first)
	var unknown x509.UnknownAuthorityError
	if err == nil || !errors.As(err, &unknown) {
		return conn, err
	}
	conn, err = c.connect(ctx, network, address, c.fallback)
	c.useFallback.Store(err == nil)
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
