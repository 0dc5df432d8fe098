package gateway

import (
	"encoding/base64"
	"errors"
	"strings"
)

// event is the part of an API Gateway REST event (payload 1.0) that is used. A
// member of an unexpected type reads as empty: a strange identity is no
// identity (BI-17), not a reason to fail in another way.
//
// Identity is taken from requestContext.identity and from nowhere else: headers
// and body are the caller's to write, and requestContext.accountId is the
// account of the API, not of who calls it.
type event struct {
	resource, path, method string
	contentType            string
	pathParameters         map[string]string
	// query holds every value of each parameter.
	query           map[string][]string
	body            string
	isBase64Encoded bool
	requestID       string
	stage           string
	identity        identity
}

type identity struct{ userARN, caller, accountID, sourceIP string }

var errNotRESTEvent = errors.New("expected an API Gateway REST API event, payload format 1.0 (resource, httpMethod, requestContext)")

// decodeEvent reads an event; what is not one is errNotRESTEvent.
func decodeEvent(payload []byte) (*event, error) {
	e := new(event)
	s := &scanner{text: payload}
	var single map[string]string
	ok := s.object(func(name []byte) bool {
		switch string(name) {
		case "resource":
			return s.string(&e.resource)
		case "path":
			return s.string(&e.path)
		case "httpMethod":
			return s.string(&e.method)
		case "headers":
			return s.contentType(&e.contentType)
		case "pathParameters":
			return s.texts(&e.pathParameters)
		case "queryStringParameters":
			return s.texts(&single)
		case "multiValueQueryStringParameters":
			return s.lists(&e.query)
		case "body":
			return s.string(&e.body)
		case "isBase64Encoded":
			return s.bool(&e.isBase64Encoded)
		case "requestContext":
			return s.requestContext(e)
		default:
			return s.skip()
		}
	})
	if !ok || !s.end() || e.resource == "" || e.method == "" || e.stage == "" {
		return nil, errNotRESTEvent
	}
	e.adopt(single)
	return e, nil
}

// adopt takes over parameters that only the single-value form names; API
// Gateway sends both forms, a hand-written event perhaps one.
func (e *event) adopt(single map[string]string) {
	for name, value := range single {
		if _, known := e.query[name]; known {
			continue
		}
		if e.query == nil {
			e.query = make(map[string][]string, len(single))
		}
		e.query[name] = []string{value}
	}
}

// bytes returns the body as it was sent.
func (e *event) bytes() ([]byte, error) {
	if !e.isBase64Encoded {
		return []byte(e.body), nil
	}
	return base64.StdEncoding.DecodeString(e.body)
}

func (s *scanner) requestContext(e *event) bool {
	e.requestID, e.stage, e.identity = "", "", identity{}
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "requestId":
			return s.string(&e.requestID)
		case "stage":
			return s.string(&e.stage)
		case "identity":
			return s.identity(&e.identity)
		default:
			return s.skip()
		}
	})
}

func (s *scanner) identity(id *identity) bool {
	*id = identity{}
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "userArn":
			return s.string(&id.userARN)
		case "caller":
			return s.string(&id.caller)
		case "accountId":
			return s.string(&id.accountID)
		case "sourceIp":
			return s.string(&id.sourceIP)
		default:
			return s.skip()
		}
	})
}

// contentType reads the one header that matters, whatever the case of its name.
func (s *scanner) contentType(into *string) bool {
	*into = ""
	return s.object(func(name []byte) bool {
		if len(name) == len("content-type") && strings.EqualFold(string(name), "content-type") {
			return s.string(into)
		}
		return s.skip()
	})
}

// texts reads an object of strings.
func (s *scanner) texts(into *map[string]string) bool {
	*into = nil
	return s.object(func(name []byte) bool {
		key, value := string(name), ""
		if !s.string(&value) {
			return false
		}
		if *into == nil {
			*into = make(map[string]string)
		}
		(*into)[key] = value
		return true
	})
}

// lists reads an object of arrays of strings.
func (s *scanner) lists(into *map[string][]string) bool {
	*into = nil
	return s.object(func(name []byte) bool {
		key, values := string(name), []string(nil)
		if !s.array(func() bool {
			values = append(values, "")
			return s.string(&values[len(values)-1])
		}) {
			return false
		}
		if *into == nil {
			*into = make(map[string][]string)
		}
		(*into)[key] = values
		return true
	})
}
