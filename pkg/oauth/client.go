package oauth

import (
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

// The grant types that carry something which works once only: their request is
// not repeated once a byte of it may have left, because a code or a refresh
// token may be spent although the answer was lost (RFC 9700 §4.14.2). A second
// token by client_credentials does no harm.
const (
	grantAuthorizationCode = "authorization_code"
	grantRefreshToken      = "refresh_token"
)

// maxPause bounds the pause before a repeated request; the pause is drawn
// evenly from zero to it, so that a fleet does not come back in step.
const maxPause = 200 * time.Millisecond

// Config is what a Client is made of. The zero Config is a client for public
// servers.
type Config struct {
	// Egress is where the client may connect to.
	Egress egress.Policy
	// RootCAs are trusted to sign servers' certificates; nil means the system's.
	RootCAs *x509.CertPool
	// Resolver resolves host names; nil means the system's.
	Resolver *net.Resolver
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is a source of secure randomness; nil means crypto/rand.Reader.
	Rand io.Reader
	// Wait pauses for d or until ctx ends, with the error of ctx; nil means a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Budget is the time that all attempts of one request may take; zero means [TotalTimeout].
	Budget time.Duration
}

// Client talks to token and revocation endpoints. It is safe for concurrent use.
type Client struct {
	egress egress.Policy
	// public and inside differ in the addresses that they may dial.
	public, inside *http.Transport

	now    func() time.Time
	rand   io.Reader
	wait   func(ctx context.Context, d time.Duration) error
	budget time.Duration
}

// New makes a Client. It does not connect.
func New(c Config) *Client {
	client := &Client{
		egress: c.Egress,
		public: newTransport(c, false),
		inside: newTransport(c, true),
		now:    c.Now,
		rand:   c.Rand,
		wait:   c.Wait,
		budget: c.Budget,
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

// Token asks for an access token (RFC 6749 §4.1.3, §4.4.2, §5, §6). A request is
// repeated once when the connection broke or the server answered 500, 502, 503
// or 504 without Retry-After; one that carries a code or a refresh token only
// when nothing of it had left. Every error is an *Error.
func (c *Client) Token(ctx context.Context, r Request) (Token, error) {
	var token Token
	attempt := func(ctx context.Context, trace *Trace) *failure {
		requestedAt := c.instant()
		answer, failure := c.post(ctx, endpoint{r.TokenURL, r.Authentication, r.form()}, trace)
		if failure != nil {
			return failure
		}
		token, failure = readToken(answer, r, span{requestedAt, c.instant()})
		return failure
	}
	trace, failure := c.attempts(ctx, attempt, func(f *failure) (time.Duration, bool) {
		return c.pause(), f.again && f.RetryAfter == 0 && (f.unsent || !r.spends())
	})
	if failure != nil {
		failure.Ambiguous = r.spends() && !failure.unsent && !failure.conclusive
		return Token{}, failure.with(trace)
	}
	token.Trace = trace
	return token, nil
}

// attempts runs attempt once, and a second time if again says so, after the
// pause it names. All of it happens inside one budget.
func (c *Client) attempts(ctx context.Context, attempt func(context.Context, *Trace) *failure,
	again func(*failure) (pause time.Duration, ok bool),
) (Trace, *failure) {
	ctx, cancel := context.WithTimeout(ctx, c.budget)
	defer cancel()
	began, trace := c.instant(), Trace{}
	failure := attempt(ctx, &trace)
	if failure != nil {
		pause, ok := again(failure)
		if ok && c.wait(ctx, pause) == nil {
			failure = attempt(ctx, &trace)
		}
	}
	trace.Latency = max(0, c.instant().Sub(began))
	return trace, failure
}

// pause draws the time to wait before a repeated request. Without randomness
// there is no pause, which only costs the spreading.
func (c *Client) pause() time.Duration {
	var draw [2]byte
	if _, err := io.ReadFull(c.rand, draw[:]); err != nil {
		return 0
	}
	return maxPause * time.Duration(binary.BigEndian.Uint16(draw[:])) / (1 << 16)
}

// instant is the wall clock in UTC. The monotonic reading is dropped because
// it may stand still while a sandbox is frozen.
func (c *Client) instant() time.Time { return c.now().UTC().Round(0) }
