// Package restevent builds the events that API Gateway sends to a Lambda function
// for a request to a REST API (proxy integration, payload format 1.0).
//
// It is for tests and local servers. The functions do not import it: package
// gateway decodes only the members that it uses.
package restevent

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/gateway"
)

// Request is one request to the API. Zero fields have the defaults stated here.
type Request struct {
	// Method is GET if empty.
	Method string
	// Path is the raw path below the stage.
	Path string
	// Resource is the resource as API Gateway names it; empty finds the route of
	// Path, and is Path itself if there is none.
	Resource string
	// Query are the decoded parameters.
	Query url.Values
	// Header are the request's headers. Host and the X-Forwarded headers are added.
	Header http.Header
	// Body is sent as it is, without base64. An empty one is null in the event.
	Body string
	// Identity is the authenticated caller. The zero value is a request without a
	// signature.
	Identity Identity
	// SourceIP is 192.0.2.1 if empty.
	SourceIP string

	// ID is the request's id; empty is request-1.
	ID string
	// Stage is v1 if empty.
	Stage string
	// Domain is the requested host; empty is one of execute-api.
	Domain string
	// APIAccount is the account that owns the API. It is not the caller's.
	APIAccount string
	// ReceivedAt is the time of the request.
	ReceivedAt time.Time
}

// Identity is an IAM principal as API Gateway reports it.
type Identity struct {
	// ARN is userArn, UniqueID is caller and user.
	ARN, UniqueID, AccountID, AccessKey string
}

// Encode returns the event.
func (r Request) Encode() []byte {
	r = r.withDefaults()
	headers := r.headers()
	text, _ := json.Marshal(event{ // strings and maps of strings always encode
		Resource: r.Resource, Path: r.Path, HTTPMethod: r.Method,
		Headers: last(headers), MultiValueHeaders: headers,
		QueryStringParameters: last(r.Query), MultiValueQueryStringParameters: r.Query,
		PathParameters: parameters(r.Resource, r.Path), RequestContext: r.context(), Body: optional(r.Body),
	})
	return text
}

func (r Request) withDefaults() Request {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	if len(r.Query) == 0 {
		r.Query = nil // null in the event
	}
	set(&r.Method, http.MethodGet)
	if r.Resource == "" {
		r.Resource = resourceOf(r.Path)
	}
	set(&r.SourceIP, "192.0.2.1")
	set(&r.ID, "request-1")
	set(&r.Stage, "v1")
	set(&r.Domain, "abcdefghij.execute-api.us-east-1.amazonaws.com")
	set(&r.APIAccount, "999999999999")
	return r
}

// headers adds the headers that API Gateway adds.
func (r Request) headers() map[string][]string {
	headers := r.Header.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	headers.Set("Host", r.Domain)
	headers.Set("X-Forwarded-For", r.SourceIP)
	headers.Set("X-Forwarded-Port", "443")
	headers.Set("X-Forwarded-Proto", "https")
	return headers
}

func (r Request) context() requestContext {
	domainPrefix, _, _ := strings.Cut(r.Domain, ".")
	id := identity{SourceIP: r.SourceIP}
	if r.Identity != (Identity{}) {
		id.UserARN, id.Caller, id.User = optional(r.Identity.ARN), optional(r.Identity.UniqueID), optional(r.Identity.UniqueID)
		id.AccountID, id.AccessKey = optional(r.Identity.AccountID), optional(r.Identity.AccessKey)
	}
	if agent := r.Header.Get("User-Agent"); agent != "" {
		id.UserAgent = &agent
	}
	return requestContext{
		ResourceID: "abc123", ResourcePath: r.Resource, HTTPMethod: r.Method, RequestID: r.ID, ExtendedRequestID: "AbCdEfGhIjKlMnO=",
		RequestTime: r.ReceivedAt.UTC().Format("02/Jan/2006:15:04:05 -0700"), RequestTimeEpoch: r.ReceivedAt.UnixMilli(),
		Path: "/" + r.Stage + r.Path, Stage: r.Stage, AccountID: r.APIAccount, APIID: "abcdefghij",
		DomainName: r.Domain, DomainPrefix: domainPrefix, Protocol: "HTTP/1.1", Identity: id,
	}
}

// resourceOf returns the resource of a path, or the path if no route has it.
func resourceOf(path string) string {
	for _, route := range gateway.Routes() {
		if _, ok := match(route.Resource, path); ok {
			return route.Resource
		}
	}
	return path
}

func parameters(resource, path string) map[string]string {
	values, _ := match(resource, path)
	return values
}

// match returns the decoded parameters of a path of this resource, or nil if it
// has none.
func match(resource, path string) (map[string]string, bool) {
	names, segments := strings.Split(resource, "/"), strings.Split(path, "/")
	if len(names) != len(segments) {
		return nil, false
	}
	var values map[string]string
	for i, name := range names {
		parameter, isParameter := strings.CutPrefix(name, "{")
		if !isParameter {
			if segments[i] != name {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		if values == nil {
			values = map[string]string{}
		}
		values[strings.TrimSuffix(parameter, "}")] = value
	}
	return values, true
}

// last keeps the last value of each name, as the single-value maps do.
func last(all map[string][]string) map[string]string {
	var single map[string]string
	for name, values := range all {
		if len(values) == 0 {
			continue
		}
		if single == nil {
			single = map[string]string{}
		}
		single[name] = values[len(values)-1]
	}
	return single
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
