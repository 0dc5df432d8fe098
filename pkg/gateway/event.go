package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// event is the part of an API Gateway REST event (payload 1.0) that is used.
// Identity is taken from requestContext.identity and from nowhere else: headers
// and body are the caller's to write, and requestContext.accountId is the
// account of the API, not of who calls it.
type event struct {
	Resource        string              `json:"resource"`
	Path            string              `json:"path"`
	HTTPMethod      string              `json:"httpMethod"`
	Headers         map[string]lenient  `json:"headers"`
	Query           map[string]string   `json:"queryStringParameters"`
	MultiQuery      map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters  map[string]string   `json:"pathParameters"`
	Body            string              `json:"body"`
	IsBase64Encoded bool                `json:"isBase64Encoded"`
	RequestContext  struct {
		RequestID string `json:"requestId"`
		Stage     string `json:"stage"`
		Identity  struct {
			UserARN   lenient `json:"userArn"`
			Caller    lenient `json:"caller"`
			AccountID lenient `json:"accountId"`
			SourceIP  lenient `json:"sourceIp"`
		} `json:"identity"`
	} `json:"requestContext"`
}

// lenient is a string that reads anything else as empty: a strange identity is
// no identity (BI-17), not a reason to fail in another way.
type lenient string

// UnmarshalJSON never fails.
func (l *lenient) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*l = lenient(s)
	}
	return nil
}

var errNotRESTEvent = errors.New("expected an API Gateway REST API event, payload format 1.0 (resource, httpMethod, requestContext)")

// decodeEvent reads an event; what is not one is errNotRESTEvent.
func decodeEvent(payload []byte) (*event, error) {
	e := new(event)
	if err := json.Unmarshal(payload, e); err != nil {
		return nil, errNotRESTEvent
	}
	if e.Resource == "" || e.HTTPMethod == "" || e.RequestContext.Stage == "" {
		return nil, errNotRESTEvent
	}
	return e, nil
}

// header returns a header's value whatever the case of its name.
func (e *event) header(name string) string {
	for key, value := range e.Headers {
		if strings.EqualFold(key, name) {
			return string(value)
		}
	}
	return ""
}

// query returns the parameters, each with every value it was given.
func (e *event) query() map[string][]string {
	if e.MultiQuery != nil || e.Query == nil {
		return e.MultiQuery
	}
	all := make(map[string][]string, len(e.Query))
	for key, value := range e.Query {
		all[key] = []string{value}
	}
	return all
}

// body returns the request's body as it was sent.
func (e *event) body() ([]byte, error) {
	if !e.IsBase64Encoded {
		return []byte(e.Body), nil
	}
	return base64.StdEncoding.DecodeString(e.Body)
}
