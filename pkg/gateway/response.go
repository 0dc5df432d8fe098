package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// response is what a function answers to API Gateway.
type response struct {
	status      int
	contentType string
	// body is sent as JSON; nil is none, and then html is sent, if any.
	body       any
	html       []byte
	allow      string
	retryAfter time.Duration
	// header is what else an answer carries.
	header []field
}

// field is a header. Its value need not be plain text of ours.
type field struct{ name, value string }

// encode writes the response in API Gateway's form.
func (r response) encode() ([]byte, error) {
	body, err := r.encodeBody()
	if err != nil {
		return nil, fmt.Errorf("encode a response body: %w", err)
	}
	out := make([]byte, 0, len(body)+len(body)/4+256)
	out = append(out, `{"statusCode":`...)
	out = strconv.AppendInt(out, int64(r.status), 10)
	out = append(out, `,"headers":{`...)
	out = r.appendHeaders(out)
	out = append(out, `},"body":`...)
	if r.body == nil {
		out = appendText(out, string(r.html))
	} else {
		out = append(appendEscaped(append(out, '"'), body), '"')
	}
	return append(out, '}'), nil
}

// encodeBody writes the body as JSON, if there is one.
func (r response) encodeBody() ([]byte, error) {
	if r.body == nil {
		return nil, nil
	}
	return encodeJSON(r.body)
}

// encodeJSON writes JSON. Nothing shows it as HTML, so an & in an address is an
// & also for those who read it without a parser.
func encodeJSON(value any) ([]byte, error) {
	var text bytes.Buffer
	in := json.NewEncoder(&text)
	in.SetEscapeHTML(false)
	err := in.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// appendText writes any text as a JSON string.
func appendText(out []byte, text string) []byte {
	encoded, err := encodeJSON(text)
	if err != nil {
		return append(out, `""`...) // a string is always encoded
	}
	return append(out, encoded...)
}

// appendHeaders writes the headers. The last three are on all of our answers:
// a token must be kept by no cache on its way (RFC 6749 §5.1).
func (r response) appendHeaders(out []byte) []byte {
	out = appendHeader(out, "Allow", r.allow)
	out = appendHeader(out, "Content-Type", r.contentType)
	if r.retryAfter > 0 {
		out = appendHeader(out, "Retry-After", strconv.FormatInt(wholeSeconds(r.retryAfter), 10))
	}
	for _, f := range r.header {
		out = append(append(append(out, '"'), f.name...), `":`...)
		out = append(appendText(out, f.value), ',')
	}
	return append(out, `"Cache-Control":"no-store","Pragma":"no-cache","X-Content-Type-Options":"nosniff"`...)
}

// appendHeader writes a header whose value is plain text of ours; an empty one is left out.
func appendHeader(out []byte, name, value string) []byte {
	if value == "" {
		return out
	}
	return append(append(append(append(append(out, '"'), name...), `":"`...), value...), `",`...)
}

// appendEscaped writes JSON text into a JSON string. What encoding/json made has
// no control characters and is valid UTF-8, so two characters are all there is
// to escape.
func appendEscaped(out, text []byte) []byte {
	for _, c := range text {
		if c == '"' || c == '\\' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return out
}

// wholeSeconds rounds up, so that asking again at that moment is not too soon.
func wholeSeconds(d time.Duration) int64 { return max(int64(math.Ceil(d.Seconds())), 1) }

func ok(body any) response {
	return response{status: http.StatusOK, contentType: "application/json", body: body}
}

// Failures that only the edge knows.
type (
	// statusError overrides the status that its code has.
	statusError struct {
		problem *problem.Error
		status  int
	}
	// methodError is a method that the resource does not have.
	methodError struct{ allow string }
)

func (e *statusError) Error() string { return e.problem.Error() }

func (e *statusError) Unwrap() error { return e.problem }

func (e *methodError) Error() string { return "method not allowed" }

// problemDocument is an RFC 9457 document that also carries RFC 6749 §5.2's
// members, so that OAuth clients understand it.
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

// httpStatus is how a code looks over HTTP.
var httpStatus = map[problem.Code]struct {
	status int
	title  string
}{
	problem.InvalidRequest:          {http.StatusBadRequest, "The request is malformed"},
	problem.InvalidScope:            {http.StatusBadRequest, "The scope is not allowed"},
	problem.AccessDenied:            {http.StatusForbidden, "Access denied"},
	problem.ConnectionNotFound:      {http.StatusNotFound, "Not found"},
	problem.MethodNotAllowed:        {http.StatusMethodNotAllowed, "Method not allowed"},
	problem.AuthorizationRequired:   {http.StatusConflict, "Somebody must consent first"},
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

// failure is an error on its way to a response.
type failure struct {
	problem    *problem.Error
	status     int
	allow      string
	retryAfter time.Duration
}

// toFailure is the one place where errors become answers. What the caller reads is
// the problem's detail; its cause goes to the audit line.
func toFailure(entry *audit.Entry, err error) failure {
	p, status, allow := classify(err)
	entry.Outcome = string(p.Code)
	entry.SetCause(p.Cause)
	if status == 0 {
		status = httpStatus[p.Code].status
	}
	return failure{problem: p, status: status, allow: allow, retryAfter: retryAfter(status, p)}
}

// problemResponse answers an error with a problem document.
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
	return response{status: f.status, contentType: "application/problem+json", body: d, allow: f.allow, retryAfter: f.retryAfter}
}

// retryAfter is never missing where the contract promises it.
func retryAfter(status int, p *problem.Error) time.Duration {
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		return max(p.RetryAfter, time.Second)
	}
	return p.RetryAfter
}

func classify(err error) (p *problem.Error, status int, allow string) {
	var method *methodError
	if errors.As(err, &method) {
		return problem.New(problem.MethodNotAllowed, "this resource has the methods "+method.allow), 0, method.allow
	}
	var s *statusError
	if errors.As(err, &s) {
		status = s.status
	}
	return problem.Of(err), status, ""
}
