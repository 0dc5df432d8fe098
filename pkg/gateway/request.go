package gateway

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// maxBody bounds a request body, in bytes.
const maxBody = 10 << 10

// request is an event whose identity, names, path, parameters and body have
// passed their rules.
type request struct {
	// name and subject are empty where the resource has none.
	name    connection.Name
	subject connection.Subject
	caller  string
	query   map[string]string
	// body is the JSON object sent; nil when there was none.
	body map[string]any
}

func parseRequest(e *event, op operation, entry *audit.Entry) (*request, error) {
	r := new(request)
	if err := r.identify(e, entry); err != nil {
		return nil, err
	}
	if err := r.readPath(e, entry); err != nil {
		return nil, err
	}
	if err := r.readQuery(e, op.query); err != nil {
		return nil, err
	}
	if err := r.readBody(e, op.body); err != nil {
		return nil, err
	}
	return r, nil
}

// identify takes the caller from the request context. Nothing turns this off.
func (r *request) identify(e *event, entry *audit.Entry) error {
	id := e.identity
	entry.PrincipalARN, entry.PrincipalID, entry.Account = id.userARN, id.caller, id.accountID
	if id.userARN == "" || id.caller == "" || id.accountID == "" {
		return problem.New(problem.AccessDenied, "the request carries no IAM identity; sign it with Signature Version 4")
	}
	r.caller = id.userARN
	return nil
}

// isPrefix reports whether prefix may stand before a resource's own path:
// nothing, or the base path of a custom domain, in plain segments.
func isPrefix(prefix string) bool {
	if prefix == "" {
		return true
	}
	first, rest, _ := strings.Cut(prefix, "/")
	if first != "" {
		return false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if !consistsOf(segment, unreserved) || strings.Trim(segment, ".") == "" {
			return false
		}
	}
	return true
}

// unreserved are the characters that stand for themselves in every encoding of
// a path (RFC 3986 §2.3).
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// readPath reads the names, and requires the path that was asked for to be the
// one these names have, byte for byte: IAM judged the path, so nothing that
// merely decodes to it may pass (AZ-03).
func (r *request) readPath(e *event, entry *audit.Entry) (err error) {
	canonical := e.resource
	if raw, ok := e.pathParameters["connection"]; ok {
		if r.name, err = connection.ParseName(raw); err != nil {
			return problem.New(problem.InvalidRequest, err.Error())
		}
		entry.Connection = string(r.name)
		canonical = strings.Replace(canonical, "{connection}", string(r.name), 1)
	}
	if raw, ok := e.pathParameters["subject"]; ok {
		if r.subject, err = parseSubject(raw); err != nil {
			return err
		}
		entry.Subject = string(r.subject)
		canonical = strings.Replace(canonical, "{subject}", string(r.subject), 1)
	}
	prefix, ok := strings.CutSuffix(e.path, canonical)
	if !ok || !isPrefix(prefix) || strings.Contains(canonical, "{") {
		return problem.New(problem.InvalidRequest, "the path is not written canonically; use "+canonical)
	}
	return nil
}

func parseSubject(raw string) (connection.Subject, error) {
	s, err := connection.ParseSubject(raw)
	if err != nil {
		return "", problem.New(problem.InvalidRequest, err.Error())
	}
	if s == connection.DefaultSubject {
		return "", problem.New(problem.InvalidRequest, "the default subject has the path without /subjects/"+string(s))
	}
	return s, nil
}

// readQuery accepts each parameter the operation knows, once and not empty.
func (r *request) readQuery(e *event, known []string) error {
	for name, values := range e.query {
		switch {
		case !slices.Contains(known, name):
			return problem.New(problem.InvalidRequest, "unknown query parameter "+shown(name)+"; "+expected("parameters", known))
		case len(values) != 1:
			return problem.New(problem.InvalidRequest, "query parameter "+name+" is given more than once")
		case values[0] == "":
			return problem.New(problem.InvalidRequest, "query parameter "+name+" is empty; give it a value or leave it out")
		}
		if r.query == nil {
			r.query = make(map[string]string, len(known))
		}
		r.query[name] = values[0]
	}
	return nil
}

func expected(what string, known []string) string {
	if len(known) == 0 {
		return "this request takes no " + what
	}
	return "this request takes the " + what + " " + strings.Join(known, ", ")
}

// readBody reads a strict JSON object where the operation takes one.
func (r *request) readBody(e *event, wanted bool) error {
	if len(e.body) == 0 {
		return nil
	}
	body, err := e.bytes()
	switch {
	case err != nil:
		return problem.New(problem.InvalidRequest, "the body is not valid base64")
	case len(body) > maxBody:
		return &statusError{status: http.StatusRequestEntityTooLarge, problem: problem.New(problem.InvalidRequest, "the body is larger than 10 KiB")}
	case !wanted:
		return problem.New(problem.InvalidRequest, "this request takes no body")
	case !isJSON(e.headers.contentType):
		return &statusError{status: http.StatusUnsupportedMediaType, problem: problem.New(problem.InvalidRequest, "the body must be sent as application/json")}
	}
	value, err := strictjson.Parse(body)
	if err != nil {
		return problem.New(problem.InvalidRequest, "the body is not valid JSON: "+err.Error())
	}
	object, ok := value.(map[string]any)
	if !ok {
		return problem.New(problem.InvalidRequest, "the body must be a JSON object")
	}
	r.body = object
	return nil
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}
