package awsconfig

import (
	"net/http"
	"sync/atomic"
	"time"
)

// The time limits of one attempt. The services respond in milliseconds in the same
// region; after this time another attempt is faster.
const (
	dialTimeout    = time.Second
	tlsTimeout     = time.Second
	headerTimeout  = 2 * time.Second
	attemptTimeout = 3 * time.Second
	// idleLimit is how long an idle connection may be reused.
	idleLimit = 30 * time.Second
)

// httpClient returns a client with a connection pool of its own. It uses no proxy
// from the environment and follows no redirect: signed requests and responses with
// secrets are for the endpoint only.
func (c Config) httpClient() *http.Client {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	connector := newConnector(c.RootCAs)
	transport := &http.Transport{
		DialContext:           connector.dialer.DialContext,
		DialTLSContext:        connector.dialTLS,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleLimit,
		MaxIdleConnsPerHost:   64, // as many as concurrent renewals
		DisableCompression:    true,
	}
	return &http.Client{
		Transport:     &freezeAware{next: transport, now: now},
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// freezeAware closes idle connections before a request that follows a long pause.
//
// The sandbox of a function is frozen between invocations. Its connections may be
// dead afterwards, and the timer of the transport was frozen too, so the transport
// would write to a dead connection and wait. The wall clock continues. If it was
// set back, the length of the pause is unknown and counts as long.
type freezeAware struct {
	next     *http.Transport
	now      func() time.Time
	lastUsed atomic.Int64 // Unix nanoseconds of the latest start or end of a request
}

// RoundTrip implements [http.RoundTripper].
func (t *freezeAware) RoundTrip(r *http.Request) (*http.Response, error) {
	now := t.now().UnixNano()
	if pause := time.Duration(now - t.lastUsed.Swap(now)); pause.Abs() > idleLimit {
		t.next.CloseIdleConnections()
	}
	response, err := t.next.RoundTrip(r)
	t.lastUsed.Store(t.now().UnixNano())
	return response, err
}
