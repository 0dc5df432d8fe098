// Package fault lets requests to a service fail, the way services fail: slow,
// throttled, refused, cut off before the request is carried out and, worst, cut
// off after it.
//
// A Gate stands before a handler and decides about each request by hooks. A Line
// is the listener below a server and takes the whole service away. Both are
// driven from Go while requests run. They are the only fault injection in front
// of AWS's services.
package fault

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// Step says what a request is for.
type Step string

// Phase is a moment in the life of a request.
type Phase int

// The phases: before the service sees the request, and after it has carried the
// request out, before the client sees the answer.
const (
	Arrived Phase = iota
	Done
)

// Call is a request at a phase of its life.
type Call struct {
	Step  Step
	Phase Phase
	// From is the access key id that signed the request.
	From string
	// Subject is what the request names, such as a connection; empty for none.
	Subject string
	// Consistent reports a read that must see all earlier writes.
	Consistent bool
	// Status and Answer are the service's, once the phase is Done.
	Status int
	Answer string
}

// Decision is what becomes of a request. The zero Decision lets it pass.
type Decision struct {
	// Cut ends the connection without an answer.
	Cut bool
	// Status, when set, is answered instead: with Answer, or with an AWS error of
	// that Code.
	Status int
	Code   string
	Answer string
}

// Hook decides about each call of a step and phase. It may take its time: the
// request waits, so a test can act in the middle of a process's work.
type Hook func(Call) Decision

type point struct {
	step  Step
	phase Phase
}

// Config is what NewGate needs.
type Config struct {
	// Classify reads step, subject and consistency of a request; nil takes the
	// operation that the request names as its step.
	Classify func(r *http.Request, body []byte) Call
	// Observe gets every call before its hook; nil observes nothing.
	Observe func(c Call, body []byte)
}

// Gate stands before services, counts their calls, and delays, refuses or loses
// them on demand. It is safe for concurrent use.
type Gate struct {
	config Config

	mu      sync.Mutex
	hooks   map[point]Hook
	counts  map[point]int
	changed chan struct{} // closed and replaced with each count
}

// NewGate returns a gate without hooks: it lets everything pass.
func NewGate(c Config) *Gate {
	if c.Classify == nil {
		c.Classify = func(r *http.Request, _ []byte) Call { return Call{Step: Step(awsjson.OperationOf(r))} }
	}
	if c.Observe == nil {
		c.Observe = func(Call, []byte) {}
	}
	return &Gate{config: c, hooks: map[point]Hook{}, counts: map[point]int{}, changed: make(chan struct{})}
}

// Set sets the hook of a step and phase; nil removes it.
func (g *Gate) Set(step Step, phase Phase, h Hook) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hooks[point{step, phase}] = h
}

// Once sets a hook for the first call only; later calls do not wait for its
// decision.
func (g *Gate) Once(step Step, phase Phase, h Hook) {
	var seen atomic.Bool
	g.Set(step, phase, func(c Call) Decision {
		if seen.Swap(true) {
			return Decision{}
		}
		return h(c)
	})
}

// Hold stops the first call of a step and phase: met gets it, and it goes on
// when release is called. Release may be called more than once.
func (g *Gate) Hold(step Step, phase Phase) (met <-chan Call, release func()) {
	arrived, open := make(chan Call, 1), make(chan struct{})
	g.Once(step, phase, func(c Call) Decision {
		arrived <- c
		<-open
		return Decision{}
	})
	return arrived, sync.OnceFunc(func() { close(open) })
}

// Calls is how many calls of a step have arrived since the last Reset.
func (g *Gate) Calls(step Step) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[point{step, Arrived}]
}

// Reset sets the counts to zero.
func (g *Gate) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.counts)
}

// Await returns once n calls have reached a step and phase since the last Reset.
func (g *Gate) Await(ctx context.Context, step Step, phase Phase, n int) error {
	for {
		g.mu.Lock()
		count, changed := g.counts[point{step, phase}], g.changed
		g.mu.Unlock()
		if count >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d calls for %s have come, not %d: %w", count, step, n, ctx.Err())
		}
	}
}

// Meet counts a call and returns its hook's decision. A service whose requests
// do not pass Before calls it.
func (g *Gate) Meet(c Call, body []byte) Decision {
	g.config.Observe(c, body)
	g.mu.Lock()
	p := point{c.Step, c.Phase}
	g.counts[p]++
	close(g.changed)
	g.changed = make(chan struct{})
	hook := g.hooks[p]
	g.mu.Unlock()
	if hook == nil {
		return Decision{}
	}
	return hook(c)
}

// Before puts the gate before an AWS service.
func (g *Gate) Before(service http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		c := g.config.Classify(r, body)
		c.From = keyID(r)
		if g.Meet(c, body).Enforce(w) {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		answer := httptest.NewRecorder()
		service.ServeHTTP(answer, r)
		c.Phase, c.Status, c.Answer = Done, answer.Code, answer.Body.String()
		if g.Meet(c, nil).Enforce(w) {
			return
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // a client that has gone reads nothing
	})
}

// keyID is the access key id that signed the request.
func keyID(r *http.Request) string {
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(after, "/")
	return id
}

// Enforce carries the decision out, and reports whether the request is settled.
func (d Decision) Enforce(w http.ResponseWriter) bool {
	if d.Cut {
		panic(http.ErrAbortHandler)
	}
	if d.Status == 0 {
		return false
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	answer := d.Answer
	if answer == "" {
		w.Header().Set("X-Amzn-Errortype", d.Code)
		answer = `{"__type":"` + d.Code + `","message":"injected"}`
	}
	w.WriteHeader(d.Status)
	_, _ = io.WriteString(w, answer)
	return true
}
