// Package gateway is the edge: API Gateway events in, responses out.
//
// It checks who calls and what is asked before anything else sees it, turns the
// core's answers into JSON, and holds the one map from errors to problem
// documents. Every invocation, refused ones included, writes one audit line.
//
// It is given the core as a small interface and knows no store and no SDK, so
// the local run serves exactly what the functions serve.
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

// Handler answers the events of one function. It is a lambda.Handler, and safe
// for concurrent use.
type Handler struct {
	audit        *audit.Writer
	routes       map[string]resource
	invocationID func(context.Context) string
	// respond turns an error into a response.
	respond func(*audit.Entry, error) response
	// public: its callers have no identity.
	public bool
}

// resource is one resource of the API: the methods it has.
type resource map[string]operation

// operation answers one method of one resource. Its action names it in the
// audit line.
type operation struct {
	action string
	// query names the parameters it understands.
	query []string
	// anyQuery: it reads the query itself.
	anyQuery bool
	// body: it reads a JSON body; form: it reads a form with exactly these fields.
	// Without either a body is refused.
	body bool
	form []string
	run  func(context.Context, *request) (response, error)
}

// Invoke answers one event. It returns an error only when not even an error
// response could be written.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	entry := h.audit.Begin()
	if h.invocationID != nil {
		entry.RequestID = h.invocationID(ctx) // until the event names API Gateway's
	}
	ctx = audit.With(ctx, entry)
	res := h.answer(ctx, payload, entry)
	entry.Status = res.status
	h.audit.Write(entry)
	return res.encode()
}

// answer turns every outcome, a panic included, into a response.
func (h *Handler) answer(ctx context.Context, payload []byte, entry *audit.Entry) (res response) {
	defer func() {
		if p := recover(); p != nil {
			// The value of a panic may hold anything; its type and place do not.
			res = h.respond(entry, fmt.Errorf("panic of %T at %s", p, panicSite(debug.Stack())))
		}
	}()
	e, err := decodeEvent(payload)
	if err != nil {
		return h.respond(entry, err)
	}
	res, err = h.serve(ctx, e, entry)
	if err != nil {
		return h.respond(entry, err)
	}
	entry.Outcome = "ok"
	return res
}

func (h *Handler) serve(ctx context.Context, e *event, entry *audit.Entry) (response, error) {
	entry.RequestID, entry.SourceIP = e.requestID, e.identity.sourceIP
	methods, ok := h.routes[e.resource]
	if !ok {
		return response{}, problem.New(problem.ConnectionNotFound, "there is no such path")
	}
	op, ok := methods[e.method]
	if !ok {
		return response{}, &methodError{allow: methods.allow()}
	}
	entry.Action = op.action
	r, err := h.parseRequest(e, op, entry)
	if err != nil {
		return response{}, err
	}
	return op.run(ctx, r)
}

// allow lists the methods of a route for the Allow header.
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
