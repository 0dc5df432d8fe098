// Package tokenvend gets access tokens from a tokenvend service. It signs requests
// with AWS Signature Version 4, keeps each token until the service says that asking
// again is useful, and replaces a token that a resource server refuses.
//
// Use [Client.Transport] where possible: only a transport sees the 401 that a
// revoked token causes. [Client.Token] and [Client.TokenSource] return a token that
// may be revoked a moment later; report that with [Client.Reject].
//
// The rules that this package follows are the same in every language;
// pkg/client/testdata/contract.json holds them as test vectors.
package tokenvend

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
	"github.com/tokenvend/tokenvend/pkg/flight"
)

// Config configures a [Client]. Only URL is required.
type Config struct {
	// URL is the service's URL with its stage, such as
	// https://abc123.execute-api.eu-west-1.amazonaws.com/v1.
	URL string
	// Region is the service's region where the host name of URL does not contain it.
	// Empty means the region of the AWS configuration.
	Region string
	// Credentials sign the requests and are resolved at each of them. Nil means the
	// default chain of the AWS SDK; at a loopback URL it is the key of the local run,
	// unless AWS_ACCESS_KEY_ID or AWS_PROFILE is set.
	Credentials aws.CredentialsProvider
	// HTTP sends requests to the service. It follows no redirects. Nil means a client
	// with a timeout of 35 s, which is longer than API Gateway's own.
	HTTP *http.Client
	// Rejected reports whether a resource server refused the token. It must not read
	// the body. Nil means that the status is 401.
	Rejected func(*http.Response) bool
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Random returns a number in [0, 1), which spreads refreshes; nil means
	// math/rand/v2.
	Random func() float64
}

// Client caches the tokens of one service. It is safe for concurrent use; a process
// needs one.
type Client struct {
	url      string
	region   string // empty: that of the AWS configuration
	chain    chain
	http     *http.Client
	rejected func(*http.Response) bool
	clock    func() time.Time
	random   func() float64
	inline   bool // refresh on the caller's goroutine: a frozen process runs no other

	flights flight.Group[call, *Token]
	mu      sync.RWMutex
	entries map[key]*entry
}

// key is what a token is cached by.
type key struct{ connection, subject, scope string }

// call is what concurrent callers share: a request for a token, or the report of a
// rejected one.
type call struct {
	key
	rejected string
}

// maxCall is the age at which a call to the service is no longer joined, because the
// process may have been frozen during it.
const maxCall = time.Minute

// New returns a client. It sends no request and reads no credentials.
func New(c Config) (*Client, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil || !secure(base) {
		return nil, errors.New("tokenvend: Config.URL must be an https URL with the stage, such as https://abc123.execute-api.eu-west-1.amazonaws.com/v1")
	}
	client := &Client{
		url:      strings.TrimRight(c.URL, "/"),
		region:   cmp.Or(apihost.Region(base.Hostname()), c.Region),
		chain:    chain{given: c.Credentials, loopback: apihost.IsLoopback(base.Hostname())},
		http:     withoutRedirects(c.HTTP),
		rejected: c.Rejected,
		clock:    c.Now,
		random:   c.Random,
		inline:   os.Getenv("AWS_LAMBDA_FUNCTION_NAME") != "",
		entries:  make(map[key]*entry),
	}
	if client.rejected == nil {
		client.rejected = func(r *http.Response) bool { return r.StatusCode == http.StatusUnauthorized }
	}
	if client.clock == nil {
		client.clock = time.Now
	}
	if client.random == nil {
		client.random = rand.Float64
	}
	client.flights.MaxAge, client.flights.Now = maxCall, client.now
	return client, nil
}

// now drops the monotonic reading, which stands still while a process is frozen.
func (c *Client) now() time.Time { return c.clock().Round(0) }

// Option narrows what a call asks for. The zero value changes nothing.
type Option struct {
	subject, scope string
	minTTL         time.Duration
}

// WithSubject asks for the token of one subject of a delegated connection.
func WithSubject(subject string) Option { return Option{subject: subject} }

// WithScope asks for a scope other than the connection's own.
func WithScope(scope string) Option { return Option{scope: scope} }

// WithMinTTL asks for a token that lasts for at least d, where the provider can give
// one.
func WithMinTTL(d time.Duration) Option { return Option{minTTL: d} }

func newQuery(connection string, options []Option) query {
	q := query{key: key{connection: connection}}
	for _, o := range options {
		q.subject, q.scope, q.minTTL = cmp.Or(o.subject, q.subject), cmp.Or(o.scope, q.scope), cmp.Or(o.minTTL, q.minTTL)
	}
	if q.subject == defaultSubject {
		q.subject = ""
	}
	return q
}

// defaultSubject is the subject of the path without one, which is its only path.
const defaultSubject = "default"

// query is what one call asks for.
type query struct {
	key
	minTTL time.Duration
}

// Token returns a valid token of a connection, from memory where possible. Errors are
// an [*AuthorizationRequiredError] or an [*Error].
func (c *Client) Token(ctx context.Context, connection string, options ...Option) (*Token, error) {
	q := newQuery(connection, options)
	e := c.entry(q.key)
	token, fresh := e.lookup(c.now(), q.minTTL)
	switch {
	case fresh:
		return token, nil
	case token == nil || !token.lasts(c.now(), q.minTTL):
		return c.wait(ctx, e, q)
	case !c.inline:
		if !c.flights.Busy(call{key: q.key}) {
			go func() { _, _ = c.refresh(context.WithoutCancel(ctx), e, q) }()
		}
		return token, nil
	case c.flights.Busy(call{key: q.key}):
		return token, nil
	}
	return c.wait(ctx, e, q)
}

// Warm gets the tokens of connections at once, for example while a Lambda function
// initializes. The errors are joined.
func (c *Client) Warm(ctx context.Context, connections ...string) error {
	failures := make([]error, len(connections))
	var all sync.WaitGroup
	for i, connection := range connections {
		all.Go(func() { _, failures[i] = c.Token(ctx, connection) })
	}
	all.Wait()
	return errors.Join(failures...)
}

// Reject reports that a resource server refused a token, and returns the one to try
// next: the cached one if it is another, otherwise the service's. Concurrent calls for
// one token share one report. Of the options only [WithMinTTL] counts.
func (c *Client) Reject(ctx context.Context, refused *Token, options ...Option) (*Token, error) {
	q := query{key: refused.key, minTTL: newQuery("", options).minTTL}
	e := c.entry(q.key)
	if other := e.other(c.now(), refused.ID); other != nil {
		return other, nil
	}
	return c.retry(ctx, func() (*Token, error) { return c.report(ctx, e, q, refused) })
}

func (c *Client) entry(k key) *entry {
	c.mu.RLock()
	e := c.entries[k]
	c.mu.RUnlock()
	if e != nil {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e = c.entries[k]; e == nil {
		e = new(entry)
		c.entries[k] = e
	}
	return e
}

// The waits between requests of one call.
const (
	maxRetries   = 2
	maxWait      = 10 * time.Second // all waits of a call together
	defaultPause = time.Second      // without Retry-After
)

// wait returns a token of the service, or the usable one if that fails or takes long.
func (c *Client) wait(ctx context.Context, e *entry, q query) (*Token, error) {
	if usable, _ := e.lookup(c.now(), 0); usable != nil {
		limited, cancel := context.WithTimeout(ctx, maxWait)
		defer cancel()
		if token, err := c.refresh(limited, e, q); err == nil {
			return token, nil
		} // the usable token has ended meanwhile
	}
	return c.retry(ctx, func() (*Token, error) { return c.refresh(ctx, e, q) })
}

// retry repeats a shared request as far as its errors and the caller's deadline allow.
func (c *Client) retry(ctx context.Context, request func() (*Token, error)) (*Token, error) {
	var waited time.Duration
	for try := 0; ; try++ {
		token, err := request()
		var failure *Error
		if err == nil || !errors.As(err, &failure) || !failure.Retryable || try == maxRetries {
			return token, err
		}
		pause := cmp.Or(failure.RetryAfter, defaultPause)
		deadline, limited := ctx.Deadline()
		if waited += pause; waited > maxWait || limited && time.Until(deadline) <= pause {
			return nil, err
		}
		if sleep(ctx, pause) != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refresh sends one request that all callers of the key share. With a usable token in
// hand a failure is not an error.
func (c *Client) refresh(ctx context.Context, e *entry, q query) (*Token, error) {
	work := func(ctx context.Context) (*Token, error) {
		if token, fresh := e.lookup(c.now(), q.minTTL); fresh {
			return token, nil // an earlier call has just got it
		}
		if err := e.remembered(c.now()); err != nil {
			return nil, err
		}
		return c.fetch(ctx, e, q, "")
	}
	_, led, err := c.share(ctx, call{key: q.key}, work)
	if err == nil && !led && q.minTTL > 0 { // the call that was joined may have asked for less
		_, _, err = c.share(ctx, call{key: q.key}, work)
	}
	if usable, _ := e.lookup(c.now(), 0); usable != nil {
		return usable, nil
	}
	return nil, cmp.Or(err, expired(q))
}

func expired(q query) error {
	return &Error{Code: CodeExpired, Retryable: true, Connection: q.connection, Detail: "the token had ended when it arrived"}
}

// report tells the service that it should replace a token.
func (c *Client) report(ctx context.Context, e *entry, q query, refused *Token) (*Token, error) {
	_, _, err := c.share(ctx, call{q.key, refused.ID}, func(ctx context.Context) (*Token, error) {
		if other := e.other(c.now(), refused.ID); other != nil {
			return other, nil
		}
		return c.fetch(ctx, e, q, refused.ID)
	})
	if err != nil {
		e.endUnlimited(refused.ID)
		return nil, err
	}
	if usable, _ := e.lookup(c.now(), 0); usable != nil {
		return usable, nil
	}
	return nil, expired(q)
}

// share lets callers of one call wait for one request. The request outlives the caller
// that starts it, because the others need its result.
func (c *Client) share(ctx context.Context, k call, work flight.Work[*Token]) (*Token, bool, error) {
	token, led, err := c.flights.Go(ctx, k, nil, func(ctx context.Context) (*Token, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxCall)
		defer cancel()
		return work(ctx)
	})
	if errors.Is(err, flight.ErrNoResult) {
		err = &Error{Code: CodeUnreachable, Connection: k.connection, Detail: "the call ended before the service answered", cause: err}
	}
	return token, led, err
}

// fetch sends one request and keeps what comes of it.
func (c *Client) fetch(ctx context.Context, e *entry, q query, rejected string) (*Token, error) {
	a, err := c.exchange(ctx, q, rejected)
	if err != nil {
		if rejected == "" {
			e.fail(c.now(), err)
		}
		return nil, err.typed()
	}
	return e.put(c.now(), a, q.minTTL, c.random()), nil
}
