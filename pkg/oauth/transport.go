package oauth

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/tokenvend/tokenvend/pkg/egress"
)

const (
	// maxHeaderBytes and maxHeaderLines bound the head of an answer.
	maxHeaderBytes = 64 << 10
	maxHeaderLines = 256
)

// newTransport makes a transport of our own: no proxy from the environment, no
// cookies, HTTP/1.1, TLS 1.2 or better. It is used without http.Client, so that
// nothing can follow a redirect or wrap an error around a URL.
//
// A connection serves one request. A frozen sandbox thus never wakes up with a
// dead one, net/http never repeats a POST on its own account, and net/http
// never logs what a server sends on an idle connection, which may echo our
// secret. TLS sessions are resumed, so that a new connection costs little.
func newTransport(c Config, inside bool) *http.Transport {
	lines := newConnector(c, inside)
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	return &http.Transport{
		DialContext:            lines.dial,
		DialTLSContext:         lines.dialTLS,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              http1,
		DisableKeepAlives:      true,
		DisableCompression:     true, // decoded by hand, see readBody
	}
}

// send makes one round trip. The answer's body must be closed.
func (c *Client) send(req *http.Request, inside bool) (*http.Response, *failure) {
	transport := c.public
	if inside {
		transport = c.inside
	}
	var seen progress
	resp, err := transport.RoundTrip(req.WithContext(seen.watchedBy(req.Context())))
	if err != nil {
		failure := seen.classify(req.Context(), err)
		failure.unsent = !seen.sent.Load()
		return nil, failure
	}
	return resp, nil
}

// classify tells what the error of a round trip means. The error itself is
// dropped: it may hold what the server sent.
func (p *progress) classify(ctx context.Context, err error) *failure {
	var dns *net.DNSError
	var handshake *handshakeError
	var dial *net.OpError
	switch {
	case errors.Is(err, egress.ErrRefused):
		return fail(Unavailable, ReasonEgress)
	case ctx.Err() != nil:
		return outOfTime(ctx)
	case errors.As(err, &dns):
		return &failure{Error: Error{Kind: Unavailable, Reason: ReasonDNS}, again: dns.IsTemporary && !dns.IsTimeout}
	case errors.As(err, &handshake) && !isCut(err):
		return fail(Unavailable, ReasonTLS)
	case errors.As(err, &dial) && dial.Op == "dial":
		return &failure{Error: Error{Kind: Unavailable, Reason: ReasonDial}, again: !dial.Timeout()}
	case isTimeout(err):
		return fail(Timeout, ReasonTimeout)
	case p.answered.Load() && !p.ended.Load():
		return malformed(ReasonHTTP)
	}
	return failAgain(Unavailable, ReasonReset)
}

// classifyBody tells what an error while reading a body means. A cut or
// garbled body is worth a second try, like a connection that breaks earlier.
func classifyBody(ctx context.Context, err error) *failure {
	switch {
	case ctx.Err() != nil:
		return outOfTime(ctx)
	case isTimeout(err):
		return fail(Timeout, ReasonTimeout)
	case isCut(err):
		return failAgain(Unavailable, ReasonReset)
	}
	return failAgain(Malformed, ReasonHTTP)
}

// outOfTime tells a caller that gave up from a deadline, ours or the caller's.
func outOfTime(ctx context.Context) *failure {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fail(Timeout, ReasonCanceled)
	}
	return fail(Timeout, ReasonTimeout)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isCut reports whether the other side ended or broke the connection.
func isCut(err error) bool {
	for _, cut := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return false
}
