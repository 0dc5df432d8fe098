package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// Errors that only this package has.
type (
	// statusError overrides the status of its code.
	statusError struct {
		problem *problem.Error
		status  int
	}
	// methodError is the error for a method that the resource does not have.
	methodError struct{ allow string }
)

func (e *statusError) Error() string { return e.problem.Error() }

func (e *statusError) Unwrap() error { return e.problem }

func (e *methodError) Error() string { return "method not allowed" }

// problemDocument is a problem document of RFC 9457 that also has the members of
// RFC 6749 §5.2, so that OAuth clients understand it.
type problemDocument struct {
	Type             string           `json:"type"`
	Title            string           `json:"title"`
	Status           int              `json:"status"`
	Detail           string           `json:"detail"`
	Instance         string           `json:"instance,omitempty"`
	Error            problem.Code     `json:"error"`
	ErrorDescription string           `json:"error_description"`
	Retryable        bool             `json:"retryable"`
	Connection       string           `json:"connection,omitempty"`
	Provider         *providerSection `json:"provider,omitempty"`
}

type providerSection struct {
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// httpStatus has the HTTP status and title of each code.
var httpStatus = map[problem.Code]struct {
	status int
	title  string
}{
	problem.InvalidRequest:          {http.StatusBadRequest, "The request is malformed"},
	problem.InvalidScope:            {http.StatusBadRequest, "The scope is not allowed"},
	problem.AccessDenied:            {http.StatusForbidden, "Access denied"},
	problem.ConnectionNotFound:      {http.StatusNotFound, "Not found"},
	problem.MethodNotAllowed:        {http.StatusMethodNotAllowed, "Method not allowed"},
	problem.AuthorizationRequired:   {http.StatusConflict, "A user must consent first"},
	problem.SessionExpired:          {http.StatusGone, "The consent session has ended"},
	problem.RateLimited:             {http.StatusTooManyRequests, "Too many requests"},
	problem.ConnectionMisconfigured: {http.StatusInternalServerError, "The connection is misconfigured"},
	problem.InternalError:           {http.StatusInternalServerError, "Internal error"},
	problem.ProviderRejected:        {http.StatusBadGateway, "The provider refused"},
	problem.ProviderMalformed:       {http.StatusBadGateway, "The provider's answer is unusable"},
	problem.ProviderUnavailable:     {http.StatusServiceUnavailable, "The provider is unavailable"},
	problem.ProviderTimeout:         {http.StatusGatewayTimeout, "The provider timed out"},
	problem.StoreUnavailable:        {http.StatusServiceUnavailable, "A store is unavailable"},
	problem.RefreshInProgress:       {http.StatusServiceUnavailable, "A refresh is in progress"},
}

// failure is an error as it appears in a response.
type failure struct {
	problem    *problem.Error
	status     int
	allow      string
	retryAfter time.Duration
}

// toFailure is the only place where errors become responses. The caller gets the
// detail; the audit line gets the cause.
func toFailure(entry *audit.Entry, err error) failure {
	p, status, allow := classify(err)
	entry.Outcome = string(p.Code)
	entry.SetCause(p.Cause)
	if status == 0 {
		status = httpStatus[p.Code].status
	}
	return failure{problem: p, status: status, allow: allow, retryAfter: retryAfter(status, p)}
}

// problemResponse returns a problem document for an error.
func problemResponse(entry *audit.Entry, err error) response {
	f := toFailure(entry, err)
	p := f.problem
	d := problemDocument{
		Type: "urn:tokenvend:error:" + string(p.Code), Title: httpStatus[p.Code].title, Status: f.status, Detail: p.Detail,
		Instance: entry.RequestID, Error: p.Code, ErrorDescription: p.Detail,
		Retryable: p.Code.Retryable() && !p.Final, Connection: entry.Connection,
	}
	if p.Provider != nil {
		d.Provider = &providerSection{Status: p.Provider.Status, Error: p.Provider.Error}
	}
	return response{status: f.status, header: header{
		Allow: f.allow, ContentType: "application/problem+json", RetryAfter: retryAfterHeader(f.retryAfter),
	}, body: d}
}

// retryAfter is at least one second for 429 and 503, which always have it.
func retryAfter(status int, p *problem.Error) time.Duration {
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		return max(p.RetryAfter, time.Second)
	}
	return p.RetryAfter
}

func classify(err error) (p *problem.Error, status int, allow string) {
	var method *methodError
	if errors.As(err, &method) {
		return problem.New(problem.MethodNotAllowed, "this resource allows "+method.allow), 0, method.allow
	}
	var s *statusError
	if errors.As(err, &s) {
		status = s.status
	}
	return problem.Of(err), status, ""
}
