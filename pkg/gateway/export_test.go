package gateway

import (
	"maps"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

// DecodedEvent is a decoded event, for the test that compares it with encoding/json.
type DecodedEvent struct {
	Resource, Path, Method, ContentType string
	PathParameters                      map[string]string
	Query                               map[string][]string
	Body                                string
	IsBase64Encoded                     bool
	RequestID, Stage, Domain, FullPath  string
	Origin, FetchSite                   string
	Cookies                             []string
	UserARN, Caller, AccountID, Source  string
}

// DecodeEvent decodes an event; false means that it is not one.
func DecodeEvent(payload []byte) (DecodedEvent, bool) {
	e, err := decodeEvent(payload)
	if err != nil {
		return DecodedEvent{}, false
	}
	return DecodedEvent{e.resource, e.path, e.method, e.headers.contentType, e.pathParameters, e.query, e.body, e.isBase64Encoded,
		e.requestID, e.stage, e.domain, e.fullPath, e.headers.origin, e.headers.fetchSite, e.headers.cookies, e.identity.userARN, e.identity.caller, e.identity.accountID, e.identity.sourceIP}, true
}

// MaxDepth is the nesting that the scanner accepts.
const MaxDepth = maxDepth

// Codes are the error codes of responses.
func Codes() []problem.Code { return slices.Sorted(maps.Keys(httpStatus)) }
