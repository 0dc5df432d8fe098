package oauth

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// connector opens connections that report how far they came.
type connector struct {
	dialer *net.Dialer
	tls    *tls.Config
	// handshake is the time limit of a TLS handshake.
	handshake time.Duration
}

func newConnector(c Config, inside bool) *connector {
	dialer := c.Egress.Dialer(inside, dialTimeout)
	dialer.Resolver = c.Resolver
	return &connector{dialer, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            c.RootCAs,
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
	}, tlsTimeout}
}

func (c *connector) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return watch(ctx, conn), nil
}

func (c *connector) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := c.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address)
	secure := tls.Client(conn, config)
	limited, cancel := context.WithTimeout(ctx, c.handshake)
	defer cancel()
	if err := secure.HandshakeContext(limited); err != nil {
		conn.Close()
		return nil, &handshakeError{err}
	}
	return watch(ctx, secure), nil
}

// handshakeError tells a failed handshake from everything that fails later.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "tls handshake failed" }

func (e *handshakeError) Unwrap() error { return e.err }

// progress is how far a request and its answer came. The errors of net/http do
// not say: to it a head that was cut short is malformed. A dial may outlive its
// request, hence the atomics.
type progress struct {
	sent     atomic.Bool // the request began to leave
	answered atomic.Bool // the server sent something
	ended    atomic.Bool // and then the connection ended, or broke
}

type progressKey struct{}

// watchedBy makes the connection dialled for a request under ctx report to p.
func (p *progress) watchedBy(ctx context.Context) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// watch returns a connection that reports to the progress in ctx.
func watch(ctx context.Context, conn net.Conn) net.Conn {
	p, ok := ctx.Value(progressKey{}).(*progress)
	if !ok {
		return conn
	}
	return &watched{conn, p}
}

type watched struct {
	net.Conn
	progress *progress
}

// Write notes the attempt before it is made: net/http closes a connection before
// it gives a request up, so that whatever left by then is known by then. Under
// TLS the handshake does not pass here.
func (w *watched) Write(p []byte) (int, error) {
	w.progress.sent.Store(true)
	return w.Conn.Write(p)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.progress.answered.Store(true)
	}
	if err != nil {
		w.progress.ended.Store(true)
	}
	return n, err
}
