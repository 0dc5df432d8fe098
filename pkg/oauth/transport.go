package oauth

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
)

const (
	// maxHeaderBytes and maxHeaderLines bound the header of a response.
	maxHeaderBytes = 64 << 10
	maxHeaderLines = 256
)

// newTransport returns a transport without proxy and cookies, for HTTP/1.1 and
// TLS 1.2 or later. It is used without http.Client, so that no redirect is
// followed and no error quotes a URL.
//
// A connection serves one request. A sandbox that was frozen never uses a dead
// one, net/http never repeats a POST, and net/http never logs what a server sends
// on an idle connection, which may echo the secret. TLS sessions are resumed, so
// that a new connection is cheap.
func newTransport(c Config, private bool) *http.Transport {
	connector := newConnector(c, private)
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	return &http.Transport{
		DialContext:            connector.dial,
		DialTLSContext:         connector.dialTLS,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              http1,
		DisableKeepAlives:      true,
		DisableCompression:     true, // readBody decodes it
	}
}

// send makes one round trip. The body of the response must be closed. A timeout that
// is not zero replaces the transport's for the header of the response.
func (c *Client) send(req *http.Request, private bool, timeout time.Duration) (*http.Response, *failure) {
	transport := c.public
	if private {
		transport = c.private
	}
	if timeout > 0 { // no connection outlives its request, so a copy costs little
		transport = transport.Clone()
		transport.ResponseHeaderTimeout = timeout
	}
	var p progress
	resp, err := transport.RoundTrip(req.WithContext(p.attach(req.Context())))
	if err != nil {
		failure := p.classify(req.Context(), err)
		failure.unsent = !p.sent.Load()
		return nil, failure
	}
	return resp, nil
}

// classify maps the error of a round trip to a failure. The error itself is
// dropped: it may contain what the server sent.
func (p *progress) classify(ctx context.Context, err error) *failure {
	var dns *net.DNSError
	var handshake *handshakeError
	var dial *net.OpError
	switch {
	case errors.Is(err, egress.ErrRefused):
		return fail(Unavailable, ReasonEgress)
	case ctx.Err() != nil:
		return contextFailure(ctx)
	case errors.As(err, &dns):
		return &failure{Error: Error{Kind: Unavailable, Reason: ReasonDNS}, retryable: dns.IsTemporary && !dns.IsTimeout}
	case errors.As(err, &handshake) && !isBroken(err):
		return fail(Unavailable, ReasonTLS)
	case errors.As(err, &dial) && dial.Op == "dial":
		return &failure{Error: Error{Kind: Unavailable, Reason: ReasonDial}, retryable: !dial.Timeout()}
	case isTimeout(err):
		return fail(Timeout, ReasonTimeout)
	case p.answered.Load() && !p.ended.Load():
		return malformed(ReasonHTTP)
	}
	return failRetryable(Unavailable, ReasonReset)
}

// classifyBody maps an error while reading a body to a failure. A truncated or
// damaged body is worth another attempt, like a connection that breaks earlier.
func classifyBody(ctx context.Context, err error) *failure {
	switch {
	case ctx.Err() != nil:
		return contextFailure(ctx)
	case isTimeout(err):
		return fail(Timeout, ReasonTimeout)
	case isBroken(err):
		return failRetryable(Unavailable, ReasonReset)
	}
	return failRetryable(Malformed, ReasonHTTP)
}

// contextFailure distinguishes cancellation by the caller from a deadline.
func contextFailure(ctx context.Context) *failure {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fail(Timeout, ReasonCanceled)
	}
	return fail(Timeout, ReasonTimeout)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isBroken reports whether the other side ended or broke the connection.
func isBroken(err error) bool {
	for _, broken := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}
