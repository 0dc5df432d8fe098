package awsconfig

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Bounds of one attempt. The services answer in milliseconds from the same
// region; what takes longer than this is better asked again.
const (
	dialTimeout    = time.Second
	tlsTimeout     = time.Second
	headerTimeout  = 2 * time.Second
	attemptTimeout = 3 * time.Second
	// idleLimit is how long an unused connection is trusted.
	idleLimit = 30 * time.Second
)

// httpClient returns a client of its own pool. It takes no proxy from the
// environment and follows no redirect, because a signed request, or an answer
// with secrets, belongs to the endpoint alone.
func (c Config) httpClient() *http.Client {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	lines := newConnector(c.RootCAs)
	transport := &http.Transport{
		DialContext:           lines.dialer.DialContext,
		DialTLSContext:        lines.dialTLS,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleLimit,
		MaxIdleConnsPerHost:   64, // as many as renewals run at once
		DisableCompression:    true,
	}
	return &http.Client{
		Transport:     &thawing{next: transport, now: now},
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// thawing drops idle connections before a request that follows a long silence.
//
// A function's sandbox is frozen between invocations. Its connections are dead
// when it thaws, and the transport's own timer stood still with it, so it would
// write into one of them and wait. The wall clock goes on; should it be set far
// back, the silence is unknown and counts as long.
type thawing struct {
	next *http.Transport
	now  func() time.Time
	used atomic.Int64 // Unix nanoseconds of the latest start or end of a request
}

// RoundTrip implements [http.RoundTripper].
func (t *thawing) RoundTrip(r *http.Request) (*http.Response, error) {
	now := t.now().UnixNano()
	if silence := time.Duration(now - t.used.Swap(now)); silence.Abs() > idleLimit {
		t.next.CloseIdleConnections()
	}
	response, err := t.next.RoundTrip(r)
	t.used.Store(t.now().UnixNano())
	return response, err
}
