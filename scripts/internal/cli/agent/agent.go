// Package agent is a server beside a workload in any language: it hands out tokens in
// the form of the service's own API, and forwards requests to allowed upstreams with a
// token added. It signs, caches, and replaces rejected tokens, so the workload does not.
//
// Other programs and web pages reach a server on loopback too. So every request must
// have the agent's secret in a header and a loopback Host, and must not come from a web
// page. What is not allowed is 403 access_denied, in the form of the service's errors.
package agent

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

// The agent's own headers. They are not forwarded.
const (
	SecretHeader  = "X-Tokenvend-Token"
	subjectHeader = "X-Tokenvend-Subject"
)

// Config configures an [Agent]. Client and Secret are required.
type Config struct {
	Client *tokenvend.Client
	// Secret is what every request must have in [SecretHeader].
	Secret redact.Secret
	// Connections are the names that may be used; empty means all that IAM allows.
	Connections []string
	// Upstreams are where requests with a connection's token may go, by its name.
	Upstreams map[string]Upstream
	// Base sends the forwarded requests; nil means a copy of http.DefaultTransport.
	Base http.RoundTripper
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Agent is the server's handler. It is safe for concurrent use.
type Agent struct{ Config }

// New returns an agent.
func New(c Config) *Agent {
	if c.Base == nil {
		c.Base = http.DefaultTransport.(*http.Transport).Clone()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Agent{c}
}

// ServeHTTP answers a request under /connections or /to.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refused := a.refuse(r); refused != nil {
		refused.Write(w)
		return
	}
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, "/connections/"); ok {
		a.serveToken(w, r, rest)
		return
	}
	if rest, ok := strings.CutPrefix(path, "/to/"); ok {
		a.forward(w, r, rest)
		return
	}
	notFound("the agent has /connections/NAME/token and /to/NAME/ only").Write(w)
}

// refuse judges who asks. Its errors do not say which of the checks would pass.
func (a *Agent) refuse(r *http.Request) *localhttp.Problem {
	given := r.Header.Values(SecretHeader)
	switch {
	case !apihost.IsLoopback(localhttp.Host(r.Host)):
		return localhttp.Denied("the Host header does not name loopback; use 127.0.0.1")
	case r.Header.Get("Origin") != "":
		return localhttp.Denied("web pages may not use the agent")
	case len(given) != 1 || subtle.ConstantTimeCompare([]byte(given[0]), []byte(a.Secret.Reveal())) != 1:
		return localhttp.Denied("the header " + SecretHeader + " does not have the agent's token; the agent prints where it is")
	}
	return nil
}

// admit judges a connection's name.
func (a *Agent) admit(name string) *localhttp.Problem {
	if _, err := connection.ParseName(name); err != nil {
		return invalid(err.Error())
	}
	if len(a.Connections) > 0 && !slices.Contains(a.Connections, name) {
		return localhttp.Denied("the agent does not serve the connection " + name + "; start it with --connection " + name)
	}
	return nil
}

func invalid(detail string) *localhttp.Problem {
	return &localhttp.Problem{Status: http.StatusBadRequest, Code: problem.InvalidRequest, Detail: detail}
}

func notFound(detail string) *localhttp.Problem {
	return &localhttp.Problem{Status: http.StatusNotFound, Code: problem.ConnectionNotFound, Detail: detail}
}

// subject returns the option for a subject's name; empty means the default one.
func subject(name string) (tokenvend.Option, *localhttp.Problem) {
	if name == "" {
		return tokenvend.Option{}, nil
	}
	if _, err := connection.ParseSubject(name); err != nil {
		return tokenvend.Option{}, invalid(err.Error())
	}
	return tokenvend.WithSubject(name), nil
}

// tokenProblem is the response for a failure to get a token. What the service answered
// stays; without an answer the status is 503, or 500 when the agent itself is set up
// wrongly.
func tokenProblem(name string, err error) *localhttp.Problem {
	var failed *tokenvend.Error
	if !errors.As(err, &failed) {
		return &localhttp.Problem{Status: http.StatusInternalServerError, Code: problem.InternalError, Detail: err.Error(), Connection: name}
	}
	p := &localhttp.Problem{
		Status: failed.Status, Code: problem.Code(failed.Code), Detail: failed.Detail, Retryable: failed.Retryable,
		RetryAfter: failed.RetryAfter, Connection: name, Instance: failed.RequestID,
	}
	switch {
	case failed.Code == tokenvend.CodeUnexpected:
		p.Status = http.StatusBadGateway
	case failed.Code == tokenvend.CodeCredentials:
		p.Status, p.Detail = http.StatusInternalServerError, failed.Error()
	case failed.Status == 0:
		p.Status, p.RetryAfter = http.StatusServiceUnavailable, max(failed.RetryAfter, time.Second)
		if p.Detail == "" {
			p.Detail = "the service did not answer: " + failed.Error()
		}
	}
	return p
}
