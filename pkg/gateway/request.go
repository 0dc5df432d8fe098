package gateway

import (
	"cmp"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// maxBody bounds a request body, in bytes, unless the operation has another limit.
// maxGrant is that of an import and of a completion: a refresh token of 32 KiB, or the
// address of an authorization response of 8 KiB with what JSON escapes in it.
const (
	maxBody  = 10 << 10
	maxGrant = 48 << 10
)

// request is a validated event.
type request struct {
	// name and subject are empty if the resource has none.
	name    connection.Name
	subject connection.Subject
	// session is the id of a consent session. It is a capability, so it must not be
	// logged.
	session string
	// caller is the caller's ARN, callerID its unique id in IAM.
	caller, callerID string
	// domain is the requested host, and basePath what precedes the resource's path
	// there: the stage, or the base path of a custom domain. hasBasePath: the event
	// states it.
	domain, basePath string
	hasBasePath      bool
	headers          headers
	query            map[string]string
	// rawQuery is set for operations that read the raw query.
	rawQuery string
	// body is the JSON object of the body; nil if there is none.
	body map[string]any
	form url.Values
}

func (h *Handler) parseRequest(e *event, op operation, entry *audit.Entry) (*request, error) {
	r := &request{headers: e.headers}
	if !h.public {
		if err := r.identify(e, entry); err != nil {
			return nil, err
		}
	}
	if err := r.readPath(e, entry); err != nil {
		return nil, err
	}
	if op.anyQuery {
		r.rawQuery = oauth.AuthorizationResponseQuery(e.query) // API Gateway decodes it
	} else if err := r.readQuery(e, op.query); err != nil {
		return nil, err
	}
	if err := r.readBody(e, op); err != nil {
		return nil, err
	}
	return r, nil
}

// identify takes the caller from the request context. This cannot be turned off.
func (r *request) identify(e *event, entry *audit.Entry) error {
	id := e.identity
	entry.PrincipalARN, entry.PrincipalID, entry.Account = id.userARN, id.caller, id.accountID
	if id.userARN == "" || id.caller == "" || id.accountID == "" {
		return problem.New(problem.AccessDenied, "the request has no IAM identity; sign it with AWS Signature Version 4")
	}
	r.caller, r.callerID = id.userARN, id.caller
	return nil
}

func (r *request) principal() consent.Principal {
	return consent.Principal{ARN: r.caller, UniqueID: r.callerID}
}

// isPrefix reports whether prefix may precede a resource's path: nothing, or the
// base path of a custom domain, in unreserved characters.
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

// unreserved are the characters that need no encoding in a path (RFC 3986 §2.3).
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// readPath reads the names and requires the requested path to equal their
// canonical path byte for byte. IAM authorized the requested path, so a path that
// only decodes to the same names must not pass (AZ-03).
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
	if raw, ok := e.pathParameters["session"]; ok {
		if r.session, err = parseSession(raw); err != nil {
			return err
		}
		canonical = strings.Replace(canonical, "{session}", r.session, 1)
	}
	prefix, ok := strings.CutSuffix(e.path, canonical)
	if !ok || !isPrefix(prefix) || strings.Contains(canonical, "{") {
		if r.session != "" {
			return errIncomplete // the canonical path would reveal the session id
		}
		return problem.New(problem.InvalidRequest, "the path is not in canonical form; use "+canonical)
	}
	r.domain = e.domain
	r.basePath, r.hasBasePath = strings.CutSuffix(e.fullPath, canonical)
	return nil
}

func parseSubject(raw string) (connection.Subject, error) {
	s, err := connection.ParseSubject(raw)
	if err != nil {
		return "", problem.New(problem.InvalidRequest, err.Error())
	}
	if s == connection.DefaultSubject {
		return "", problem.New(problem.InvalidRequest, "the path of the default subject is the one without /subjects/"+string(s))
	}
	return s, nil
}

// maxSession bounds the id of a consent session.
const maxSession = 128

var errIncomplete = problem.New(problem.InvalidRequest, "incomplete link; copy the whole address")

// parseSession accepts the characters of an id. Package consent decides whether
// the session exists.
func parseSession(raw string) (string, error) {
	if len(raw) > maxSession || !consistsOf(raw, unreserved) {
		return "", errIncomplete
	}
	return raw, nil
}

// readQuery accepts each parameter of the operation once and not empty.
func (r *request) readQuery(e *event, known []string) error {
	for name, values := range e.query {
		switch {
		case !slices.Contains(known, name):
			return problem.New(problem.InvalidRequest, "unknown query parameter "+quoteName(name)+"; "+expected("parameters", known))
		case len(values) != 1:
			return problem.New(problem.InvalidRequest, "query parameter "+name+" is repeated")
		case values[0] == "":
			return problem.New(problem.InvalidRequest, "query parameter "+name+" is empty; give it a value or omit it")
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

// readBody reads the body in the form that the operation accepts.
func (r *request) readBody(e *event, op operation) error {
	if len(e.body) == 0 && op.form == nil {
		return nil
	}
	body, err := e.bytes()
	limit := cmp.Or(op.limit, maxBody)
	switch {
	case err != nil:
		return problem.New(problem.InvalidRequest, "the body is not valid base64")
	case len(body) > limit:
		return &statusError{status: http.StatusRequestEntityTooLarge,
			problem: problem.New(problem.InvalidRequest, "the body is larger than "+strconv.Itoa(limit>>10)+" KiB")}
	case op.form != nil:
		return r.readForm(body, e.headers.contentType, op.form)
	case op.body:
		return r.readJSON(body, e.headers.contentType)
	}
	return problem.New(problem.InvalidRequest, "this request takes no body")
}

// readJSON reads a JSON object strictly.
func (r *request) readJSON(body []byte, contentType string) error {
	if !isMedia(contentType, "application/json") {
		return unsupported("application/json")
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

// readForm reads a form with each of the fields once and no others.
func (r *request) readForm(body []byte, contentType string, fields []string) error {
	if !isMedia(contentType, "application/x-www-form-urlencoded") {
		return unsupported("application/x-www-form-urlencoded")
	}
	form, err := url.ParseQuery(string(body))
	complete := err == nil && len(form) == len(fields)
	for _, name := range fields {
		complete = complete && len(form[name]) == 1 && form[name][0] != ""
	}
	if !complete {
		return problem.New(problem.InvalidRequest, "the form is incomplete or altered; open the consent page again and press Continue")
	}
	r.form = form
	return nil
}

func unsupported(wanted string) error {
	return &statusError{status: http.StatusUnsupportedMediaType, problem: problem.New(problem.InvalidRequest, "the body must be sent as "+wanted)}
}

// texts returns the members of a body that has only string members. Errors do not
// repeat a value, because these bodies contain secrets.
func (r *request) texts(known ...string) (map[string]string, error) {
	given := make(map[string]string, len(r.body))
	for name, value := range r.body {
		text, isText := value.(string)
		switch {
		case !slices.Contains(known, name):
			return nil, problem.New(problem.InvalidRequest, "unknown body member "+quoteName(name)+"; "+expected("members", known))
		case !isText:
			return nil, problem.New(problem.InvalidRequest, "body member "+name+" must be a string")
		case text == "":
			return nil, problem.New(problem.InvalidRequest, "body member "+name+" is empty; give it a value or omit it")
		}
		given[name] = text
	}
	return given, nil
}

// takeExtra removes the body's member extra and returns its values.
func (r *request) takeExtra() (values extra.Values, err error) {
	member, given := r.body["extra"]
	if !given {
		return values, nil
	}
	r.body = maps.Clone(r.body)
	delete(r.body, "extra")
	object, ok := member.(map[string]any)
	if !ok {
		return nil, problem.New(problem.InvalidRequest, "body member extra must be an object of strings, numbers and booleans")
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !values.Add(name, object[name]) {
			return nil, problem.New(problem.InvalidRequest, "body member extra: "+quoteName(name)+
				" is not a string, number or boolean, or there are more than 16, or more than 1 KiB in one or 2 KiB in all")
		}
	}
	return values, nil
}

func isMedia(contentType, wanted string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != wanted {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}
