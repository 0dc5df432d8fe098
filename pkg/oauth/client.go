package oauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
)

// TotalTimeout is the time that all attempts of one request may take together,
// unless [Config.Budget] says otherwise. The lease of a refresh must be longer:
// a holder that is still waiting for the provider must not lose it.
const TotalTimeout = 10 * time.Second

// The time limits of the parts of one attempt.
const (
	dialTimeout   = 3 * time.Second
	tlsTimeout    = 3 * time.Second
	headerTimeout = 8 * time.Second
)

// The grant types with a one-time credential. Their request is not repeated once
// a byte of it may have been sent: the code or refresh token may be used although
// the response was lost (RFC 9700 §4.14.2). A second token by client_credentials
// does no harm.
const (
	grantAuthorizationCode = "authorization_code"
	grantRefreshToken      = "refresh_token"
)

// The grant types without one, besides client_credentials.
const (
	grantJWTBearer = "jwt_bearer"
	grantPassword  = "password"
)

// maxPause bounds the pause before a repeated request. The pause is random, so
// that many instances do not retry at the same moment.
const maxPause = 200 * time.Millisecond

// Config configures a [Client]. The zero Config is for public servers.
type Config struct {
	// Egress decides where the client may connect.
	Egress egress.Policy
	// RootCAs verify the certificates of servers; nil means the system's roots.
	RootCAs *x509.CertPool
	// Resolver resolves host names; nil means the system's.
	Resolver *net.Resolver
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is a source of secure randomness; nil means crypto/rand.Reader.
	Rand io.Reader
	// Wait pauses for d or until ctx ends, with the error of ctx; nil means a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Budget is the time for all attempts of one request; zero means [TotalTimeout].
	Budget time.Duration
}

// Client talks to token and revocation endpoints. It is safe for concurrent use.
type Client struct {
	egress egress.Policy
	// public and private differ in the addresses that they may dial.
	public, private *http.Transport

	now    func() time.Time
	rand   io.Reader
	wait   func(ctx context.Context, d time.Duration) error
	budget time.Duration
}

// New returns a Client. It does not connect.
func New(c Config) *Client {
	client := &Client{
		egress:  c.Egress,
		public:  newTransport(c, false),
		private: newTransport(c, true),
		now:     c.Now,
		rand:    c.Rand,
		wait:    c.Wait,
		budget:  c.Budget,
	}
	if client.now == nil {
		client.now = time.Now
	}
	if client.rand == nil {
		client.rand = rand.Reader
	}
	if client.wait == nil {
		client.wait = wait
	}
	if client.budget == 0 {
		client.budget = TotalTimeout
	}
	return client
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Token requests an access token (RFC 6749 §4.1.3, §4.4.2, §5, §6). A request is
// repeated once if the connection broke or the status was 500, 502, 503 or 504
// without Retry-After. A request with a code or a refresh token is repeated only
// if nothing of it was sent. Others are repeated up to three times, a second
// apart, while the server repeats a token that ends. Every error is an *Error.
func (c *Client) Token(ctx context.Context, r Request) (Token, error) {
	var token Token
	attempt := func(ctx context.Context, trace *Trace) *failure {
		requestedAt := c.instant()
		response, failure := c.post(ctx, r.endpoint(), trace)
		if failure != nil {
			return failure
		}
		token, failure = readToken(response, r, span{requestedAt, c.instant()})
		return failure
	}
	retries, pauses := 0, 0
	trace, failure := c.attempts(ctx, cmp.Or(r.Timeout, c.budget), attempt, func(f *failure) (time.Duration, bool) {
		switch {
		case f.Momentary && pauses < maxPauses:
			pauses++
			return endedPause, true
		case f.retryable && f.RetryAfter == 0 && retries == 0:
			retries++
			return c.pause(), f.unsent || !r.isOneTime()
		}
		return 0, false
	})
	if failure != nil {
		if failure.Momentary {
			failure.RetryAfter = max(failure.RetryAfter, endedPause)
		}
		failure.Ambiguous = r.isOneTime() && !failure.unsent && !failure.conclusive
		return Token{}, failure.with(trace)
	}
	token.Trace = trace
	return token, nil
}

// A server that repeats a token until it ends issues the next one within seconds.
const (
	maxPauses  = 3
	endedPause = time.Second
)

// attempts runs attempt, and after a pause again as long as again allows it. All
// share the budget. A pause that does not fit into it ends the attempts.
func (c *Client) attempts(ctx context.Context, budget time.Duration, attempt func(context.Context, *Trace) *failure,
	again func(*failure) (pause time.Duration, ok bool),
) (Trace, *failure) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	began, trace := c.instant(), Trace{}
	failure := attempt(ctx, &trace)
	for failure != nil {
		pause, ok := again(failure)
		if end, bounded := ctx.Deadline(); !ok || bounded && time.Until(end) < pause || c.wait(ctx, pause) != nil {
			break
		}
		failure = attempt(ctx, &trace)
	}
	trace.Latency = max(0, c.instant().Sub(began))
	return trace, failure
}

// pause is a random time to wait before a repeated request. Without randomness it
// is zero: the retry is then not spread, which does no harm.
func (c *Client) pause() time.Duration {
	var draw [2]byte
	if _, err := io.ReadFull(c.rand, draw[:]); err != nil {
		return 0
	}
	return maxPause * time.Duration(binary.BigEndian.Uint16(draw[:])) / (1 << 16)
}

// instant is the wall clock in UTC, without the monotonic reading, which may stop
// while a sandbox is frozen.
func (c *Client) instant() time.Time { return c.now().UTC().Round(0) }
