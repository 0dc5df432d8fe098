package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

// withheld are headers of the workload that are not forwarded: the agent's own, and
// credentials that are not for the upstream.
var withheld = []string{SecretHeader, subjectHeader, "Authorization", "Proxy-Authorization", "Cookie"}

// The codes of errors that only a forwarded request has.
const (
	codeUpstream problem.Code = "upstream_unreachable"
	codeRedirect problem.Code = "redirect_refused"
)

// errRedirect wraps the refusal of a redirect.
type errRedirect struct{ error }

// forward sends a request to the upstream of the connection, with its token.
func (a *Agent) forward(w http.ResponseWriter, r *http.Request, rest string) {
	name, path, slash := strings.Cut(rest, "/")
	if slash {
		path = "/" + path
	}
	if refused := a.admit(name); refused != nil {
		refused.Write(w)
		return
	}
	upstream, ok := a.Upstreams[name]
	if !ok {
		localhttp.Denied("no upstream is allowed for " + name + "; start the agent with --allow " + name + "=https://HOST/PREFIX").Write(w)
		return
	}
	to, err := upstream.join(path, r.URL.RawQuery)
	if err != nil {
		localhttp.Denied(err.Error()).Write(w)
		return
	}
	option, refused := subject(r.Header.Get(subjectHeader))
	if refused != nil {
		refused.Write(w)
		return
	}
	if r, err = repeatable(r); err != nil {
		invalid("the body is incomplete").Write(w)
		return
	}
	proxy := httputil.ReverseProxy{
		Transport: a.Client.Transport(name, a.Base, option),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL, p.Out.Host = to, ""
			for _, header := range withheld {
				p.Out.Header.Del(header)
			}
		},
		ModifyResponse: func(response *http.Response) error { return relocate(upstream, name, response) },
		ErrorHandler:   func(w http.ResponseWriter, r *http.Request, err error) { fail(r.Context(), w, name, err) },
		FlushInterval:  -1, // bodies stream
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is so anyway
	proxy.ServeHTTP(w, r)
}

// maxRepeatable is the largest body that is kept to be sent again with another token,
// in bytes. Larger ones and those of unknown size stream.
const maxRepeatable = 64 << 10

// repeatable returns a request whose body can be sent again, if the body is short.
func repeatable(r *http.Request) (*http.Request, error) {
	if r.ContentLength <= 0 || r.ContentLength > maxRepeatable {
		return r, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return r, err
	}
	r = r.Clone(r.Context())
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	return r, nil
}

// relocate judges a redirect. The agent never follows one.
func relocate(upstream Upstream, name string, response *http.Response) error {
	location := response.Header.Get("Location")
	if response.StatusCode/100 != 3 || location == "" {
		return nil
	}
	changed, err := upstream.relocate(name, response.Request.URL, location)
	if err != nil {
		return errRedirect{err}
	}
	response.Header.Set("Location", changed)
	return nil
}

// fail answers a request that has no response of the upstream. The upstream's URL is not
// repeated.
func fail(ctx context.Context, w http.ResponseWriter, name string, err error) {
	switch {
	case ctx.Err() != nil: // the workload is gone
	case errors.As(err, new(*tokenvend.Error)):
		tokenProblem(name, err).Write(w)
	case errors.As(err, new(errRedirect)):
		(&localhttp.Problem{Status: http.StatusBadGateway, Code: codeRedirect, Detail: err.Error(), Connection: name}).Write(w)
	default:
		(&localhttp.Problem{Status: http.StatusBadGateway, Code: codeUpstream, Detail: "no response from the upstream: " + err.Error(), Retryable: true, Connection: name}).Write(w)
	}
}
