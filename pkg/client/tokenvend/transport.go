package tokenvend

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Transport adds the token of a connection to the requests that it sends through base;
// nil means [http.DefaultTransport]. When the resource server refuses the token, the
// transport gets another and sends the request again, once, if its body can be read
// again ([http.Request.GetBody]).
//
// The token goes to the origin of the first request only: a redirect elsewhere goes
// without it. A request over http to another machine is an error.
func (c *Client) Transport(connection string, base http.RoundTripper, options ...Option) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{client: c, base: base, connection: connection, options: options}
}

type transport struct {
	client     *Client
	base       http.RoundTripper
	connection string
	options    []Option
}

// RoundTrip sends the request with the token.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if start := first(r); start == nil || origin(start.URL) != origin(r.URL) {
		return withRequest(r)(t.base.RoundTrip(r))
	}
	if !secure(r.URL) {
		closeBody(r)
		return nil, fmt.Errorf("tokenvend: the token of %s is not sent over %s to %s", t.connection, r.URL.Scheme, r.URL.Host)
	}
	token, err := t.client.Token(r.Context(), t.connection, t.options...)
	if err != nil {
		closeBody(r)
		return nil, err
	}
	response, err := t.send(r, r.Body, token)
	if err != nil || !t.client.rejected(response) {
		t.accepted(response)
		return response, err
	}
	return t.replace(r, response, token)
}

// replace handles a refused token. The response is returned untouched unless the request
// is sent again.
func (t *transport) replace(r *http.Request, response *http.Response, refused *Token) (*http.Response, error) {
	e := t.client.entry(newQuery(t.connection, t.options).key)
	now := t.client.now()
	next := e.other(now, refused.ID)
	reported := next == nil
	if reported {
		if e.reportsStopped(now) {
			return response, nil
		}
		var err error
		if next, err = t.client.Reject(r.Context(), refused, t.options...); err != nil {
			return response, nil //nolint:nilerr // the resource server's own answer says what is wrong
		}
	}
	if next.ID == refused.ID { // the service holds it valid
		e.stopReports(now.Add(reportAgain))
		return response, nil
	}
	body, ok := rewind(r)
	if !ok {
		return response, nil
	}
	_, _ = io.CopyN(io.Discard, response.Body, 2<<10) // for the connection's next use
	_ = response.Body.Close()
	response, err := t.send(r, body, next)
	switch {
	case err != nil:
	case !t.client.rejected(response):
		t.accepted(response)
	case reported:
		e.stopReports(t.client.now().Add(reportAgain))
	}
	return response, err
}

// accepted allows reports again after a request that succeeded.
func (t *transport) accepted(response *http.Response) {
	if response != nil && response.StatusCode < http.StatusBadRequest {
		t.client.entry(newQuery(t.connection, t.options).key).stopReports(time.Time{})
	}
}

// send sends a copy of the request, which a RoundTripper must not change.
func (t *transport) send(r *http.Request, body io.ReadCloser, token *Token) (*http.Response, error) {
	clone := r.Clone(r.Context())
	clone.Body = body
	if clone.Header == nil {
		clone.Header = make(http.Header)
	}
	token.SetHeader(clone)
	return withRequest(r)(t.base.RoundTrip(clone))
}

// withRequest makes r, which has no token, the request of its response, so that a redirect
// leads back to the first request.
func withRequest(r *http.Request) func(*http.Response, error) (*http.Response, error) {
	return func(response *http.Response, err error) (*http.Response, error) {
		if response != nil {
			response.Request = r
		}
		return response, err
	}
}

// first follows redirects back to the request that the application made; nil when that
// is not known.
func first(r *http.Request) *http.Request {
	for r != nil && r.Response != nil {
		r = r.Response.Request
	}
	return r
}

// origin is scheme, host and port (RFC 6454).
func origin(u *url.URL) string {
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), port)
}

func rewind(r *http.Request) (io.ReadCloser, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	return body, err == nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
