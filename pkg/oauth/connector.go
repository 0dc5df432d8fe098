package oauth

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// connector opens connections that report the progress of a request.
type connector struct {
	dialer *net.Dialer
	tls    *tls.Config
	// handshake is the time limit of a TLS handshake.
	handshake time.Duration
}

func newConnector(c Config, private bool) *connector {
	dialer := c.Egress.Dialer(private, dialTimeout)
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
	return track(ctx, conn), nil
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
	return track(ctx, secure), nil
}

// handshakeError distinguishes a failed handshake from later failures.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "tls handshake failed" }

func (e *handshakeError) Unwrap() error { return e.err }

// progress records how far a request and its response came. The errors of
// net/http do not say: to it a truncated header is malformed. The fields are
// atomic because a dial may outlive its request.
type progress struct {
	sent     atomic.Bool // a part of the request may have been sent
	answered atomic.Bool // a part of the response arrived
	ended    atomic.Bool // the connection ended or broke
}

type progressKey struct{}

// attach makes the connection that is dialled under the returned context report
// to p.
func (p *progress) attach(ctx context.Context) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// track returns a connection that reports to the progress in ctx.
func track(ctx context.Context, conn net.Conn) net.Conn {
	p, ok := ctx.Value(progressKey{}).(*progress)
	if !ok {
		return conn
	}
	return &trackedConn{conn, p}
}

type trackedConn struct {
	net.Conn
	progress *progress
}

// Write records the attempt before it is made: net/http closes the connection
// before it gives up a request, so what was sent by then is recorded by then. The
// bytes of a TLS handshake do not pass here.
func (w *trackedConn) Write(p []byte) (int, error) {
	w.progress.sent.Store(true)
	return w.Conn.Write(p)
}

func (w *trackedConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.progress.answered.Store(true)
	}
	if err != nil {
		w.progress.ended.Store(true)
	}
	return n, err
}
