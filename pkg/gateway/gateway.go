// Package gateway handles API Gateway events: it validates the caller's identity,
// the path, the query and the body, calls the core, and encodes the response.
//
// The handlers define the routes of the API ([Routes]). One function turns errors
// into responses, and one table gives each error code its HTTP status. Every
// invocation writes one audit line, also when it is refused.
//
// The core is behind small interfaces, and the package knows no store and no AWS
// SDK, so the local server runs the same handlers as the Lambda functions.
package gateway

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// Handler handles the events of one function. It implements lambda.Handler and is
// safe for concurrent use.
type Handler struct {
	audit        *audit.Writer
	routes       map[string]resource
	invocationID func(context.Context) string
	// respond turns an error into a response.
	respond func(*audit.Entry, error) response
	// public: callers are not authenticated.
	public bool
	// limit refuses requests of an address that sends too many; nil refuses none.
	limit *addressLimit
}

// resource is one resource of the API: its operations by method.
type resource map[string]operation

// operation handles one method of one resource.
type operation struct {
	// action names the operation in the audit line.
	action string
	// query lists the accepted parameters.
	query []string
	// anyQuery: the operation reads the raw query.
	anyQuery bool
	// body: the operation reads a JSON body; form: it reads a form with exactly
	// these fields. Without either, a body is refused. limit is the largest body, in
	// bytes; zero is maxBody.
	body  bool
	form  []string
	limit int
	run   func(context.Context, *request) (response, error)
}

// Invoke handles one event. It returns an error only if no response can be
// encoded.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	entry := h.audit.Begin()
	if h.invocationID != nil {
		entry.RequestID = h.invocationID(ctx) // replaced by the event's request id
	}
	ctx = audit.With(ctx, entry)
	res := h.handle(ctx, payload, entry)
	entry.Status = res.status
	h.audit.Write(entry)
	return res.encode()
}

// handle turns every outcome, including a panic, into a response.
func (h *Handler) handle(ctx context.Context, payload []byte, entry *audit.Entry) (res response) {
	defer func() {
		if p := recover(); p != nil {
			// The value of a panic may contain a secret; its type and place do not.
			res = h.respond(entry, fmt.Errorf("panic of %T at %s", p, panicSite(debug.Stack())))
		}
	}()
	e, err := decodeEvent(payload)
	if err != nil {
		return h.respond(entry, err)
	}
	res, err = h.route(ctx, e, entry)
	if err != nil {
		return h.respond(entry, err)
	}
	entry.Outcome = "ok"
	return res
}

// route calls the operation of the event's resource and method.
func (h *Handler) route(ctx context.Context, e *event, entry *audit.Entry) (response, error) {
	entry.RequestID, entry.SourceIP = e.requestID, e.identity.sourceIP
	methods, ok := h.routes[e.resource]
	if !ok {
		return response{}, problem.New(problem.ConnectionNotFound, "no such path")
	}
	op, ok := methods[e.method]
	if !ok {
		return response{}, &methodError{allow: methods.allow()}
	}
	entry.Action = op.action
	if h.limit != nil {
		if err := h.limit.admit(e.identity.sourceIP); err != nil {
			return response{}, err
		}
	}
	r, err := h.parseRequest(e, op, entry)
	if err != nil {
		return response{}, err
	}
	return op.run(ctx, r)
}

// allow lists the methods for the Allow header.
func (r resource) allow() string {
	var names []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if _, ok := r[m]; ok {
			names = append(names, m)
		}
	}
	return strings.Join(names, ", ")
}

// panicSite returns the file and line that panicked: the first frame of a stack
// trace after those of the runtime, whose paths are relative in a binary built
// with -trimpath.
func panicSite(stack []byte) string {
	_, after, _ := strings.Cut(string(stack), "panic(")
	for line := range strings.Lines(after) {
		if strings.HasPrefix(line, "\t") && !strings.Contains(line, "/runtime/") && !strings.HasPrefix(line, "\truntime/") {
			place, _, _ := strings.Cut(strings.TrimSpace(line), " +0x")
			return place[strings.LastIndexByte(place, '/')+1:]
		}
	}
	return "unknown"
}
