package gateway

import (
	"encoding/base64"
	"errors"
	"strings"
)

// event is the used part of an API Gateway REST event (payload format 1.0). A
// member of an unexpected type counts as empty, so that a malformed identity is
// no identity (BI-17) instead of another error.
//
// The identity comes from requestContext.identity only: the caller writes headers
// and body, and requestContext.accountId is the account of the API, not of the
// caller.
type event struct {
	resource, path, method string
	headers                headers
	// multiCookies are the Cookie headers of multiValueHeaders.
	multiCookies   []string
	pathParameters map[string]string
	// query has every value of each parameter, singleQuery one.
	query           map[string][]string
	singleQuery     map[string]string
	body            string
	isBase64Encoded bool
	requestID       string
	stage           string
	// domain is the requested host, and fullPath the path with its stage or base
	// path, as API Gateway received them.
	domain, fullPath string
	identity         identity
}

// headers are the headers that are used. The client writes them, so none of them
// grants anything; those of a browser can only cause a refusal.
type headers struct {
	contentType string
	// origin and fetchSite are the Origin and Sec-Fetch-Site headers of a form;
	// empty if not sent.
	origin, fetchSite string
	// cookies are the values of every Cookie header.
	cookies []string
}

type identity struct{ userARN, caller, accountID, sourceIP string }

var errNotRESTEvent = errors.New("expected an API Gateway REST API event, payload format 1.0 (resource, httpMethod, requestContext)")

// decodeEvent decodes an event. The error is errNotRESTEvent.
func decodeEvent(payload []byte) (*event, error) {
	e := new(event)
	s := &scanner{text: payload}
	ok := s.object(func(name []byte) bool { return s.member(e, name) })
	if !ok || !s.end() || e.resource == "" || e.method == "" || e.stage == "" {
		return nil, errNotRESTEvent
	}
	e.addSingle()
	if len(e.multiCookies) > 0 {
		e.headers.cookies = e.multiCookies
	}
	return e, nil
}

// member reads one member of an event. Of several members with the same name the
// last counts, as for encoding/json.
func (s *scanner) member(e *event, name []byte) bool {
	switch string(name) {
	case "resource":
		return s.string(&e.resource)
	case "path":
		return s.string(&e.path)
	case "httpMethod":
		return s.string(&e.method)
	case "headers":
		return s.headers(&e.headers)
	case "multiValueHeaders":
		return s.cookies(&e.multiCookies)
	case "pathParameters":
		return s.texts(&e.pathParameters)
	case "queryStringParameters":
		return s.texts(&e.singleQuery)
	case "multiValueQueryStringParameters":
		return s.lists(&e.query)
	case "body":
		return s.string(&e.body)
	case "isBase64Encoded":
		return s.bool(&e.isBase64Encoded)
	case "requestContext":
		return s.requestContext(e)
	}
	return s.skip()
}

// addSingle adds the parameters that only queryStringParameters has. API Gateway
// sends both forms, a hand-written event possibly only this one.
func (e *event) addSingle() {
	for name, value := range e.singleQuery {
		if _, known := e.query[name]; known {
			continue
		}
		if e.query == nil {
			e.query = make(map[string][]string, len(e.singleQuery))
		}
		e.query[name] = []string{value}
	}
}

// bytes returns the decoded body.
func (e *event) bytes() ([]byte, error) {
	if !e.isBase64Encoded {
		return []byte(e.body), nil
	}
	return base64.StdEncoding.DecodeString(e.body)
}

func (s *scanner) requestContext(e *event) bool {
	e.requestID, e.stage, e.domain, e.fullPath, e.identity = "", "", "", "", identity{}
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "requestId":
			return s.string(&e.requestID)
		case "stage":
			return s.string(&e.stage)
		case "domainName":
			return s.string(&e.domain)
		case "path":
			return s.string(&e.fullPath)
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

// headers reads the used headers. Header names are case-insensitive.
func (s *scanner) headers(into *headers) bool {
	*into = headers{}
	return s.object(func(name []byte) bool {
		switch {
		case isHeader(name, "content-type"):
			return s.string(&into.contentType)
		case isHeader(name, "origin"):
			return s.string(&into.origin)
		case isHeader(name, "sec-fetch-site"):
			return s.string(&into.fetchSite)
		case isHeader(name, "cookie"):
			var value string
			ok := s.string(&value)
			if into.cookies = nil; value != "" {
				into.cookies = []string{value}
			}
			return ok
		}
		return s.skip()
	})
}

// cookies reads the Cookie headers from multiValueHeaders: a browser may send
// several (RFC 9113 §8.2.3).
func (s *scanner) cookies(into *[]string) bool {
	*into = nil
	return s.object(func(name []byte) bool {
		if isHeader(name, "cookie") {
			return s.values(into)
		}
		return s.skip()
	})
}

// isHeader compares a header name with a lower-case one.
func isHeader(name []byte, want string) bool {
	return len(name) == len(want) && strings.EqualFold(string(name), want)
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
		if !s.values(&values) {
			return false
		}
		if *into == nil {
			*into = make(map[string][]string)
		}
		(*into)[key] = values
		return true
	})
}

// values reads an array of strings.
func (s *scanner) values(into *[]string) bool {
	*into = nil
	return s.array(func() bool {
		*into = append(*into, "")
		return s.string(&(*into)[len(*into)-1])
	})
}
