package fleet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
)

// Phase is a moment in the life of a request.
type Phase int

// The phases: nothing has been done yet, or everything has and only the answer
// is outstanding.
const (
	Arrived Phase = iota
	Done
)

// Call is a request at a phase of its life.
type Call struct {
	Step  Step
	Phase Phase
	// From is the name of the process that asks; of a call to the provider, which
	// does not tell, that of the latest holder of a lease.
	From string
	// Subject is the connection or the secret without its prefix, where there is one.
	Subject string
	// Status is the answer's, once the phase is Done.
	Status int
}

// Verdict is what becomes of a request. The zero Verdict lets it pass.
type Verdict struct {
	// Cut ends the connection without an answer.
	Cut bool
	// Status and Code, when set, are an error answered instead.
	Status int
	Code   string
}

// Cut is the verdict that ends a connection.
var Cut = Verdict{Cut: true}

// Reaction is asked about each call of a step and phase. It may take its time:
// the request waits, which is how a process is met in the middle of a refresh.
type Reaction func(Call) Verdict

type place struct {
	step  Step
	phase Phase
}

// Gate stands before the engines and the provider, counts what passes, and
// holds, refuses or loses it on demand. It is safe for concurrent use.
type Gate struct {
	seen func([]byte) // gets every body that a function sends to an engine

	mu        sync.Mutex
	reactions map[place]Reaction
	counts    map[place]int
	changed   chan struct{} // closed and replaced with each count
	holder    string
	statuses  map[string]int
}

func newGate(seen func([]byte)) *Gate {
	return &Gate{seen: seen, reactions: map[place]Reaction{}, counts: map[place]int{},
		statuses: map[string]int{}, changed: make(chan struct{})}
}

// React makes a reaction be asked at a place; nil ends it.
func (g *Gate) React(step Step, phase Phase, r Reaction) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reactions[place{step, phase}] = r
}

// Once reacts to the first call of a place only; the next ones do not wait for
// its verdict.
func (g *Gate) Once(step Step, phase Phase, r Reaction) {
	var met atomic.Bool
	g.React(step, phase, func(c Call) Verdict {
		if met.Swap(true) {
			return Verdict{}
		}
		return r(c)
	})
}

// Hold stops the first call of a place: met gets it, and it goes on when
// release is called. Release may be called more than once.
func (g *Gate) Hold(step Step, phase Phase) (met <-chan Call, release func()) {
	arrived, open := make(chan Call, 1), make(chan struct{})
	g.Once(step, phase, func(c Call) Verdict {
		arrived <- c
		<-open
		return Verdict{}
	})
	return arrived, sync.OnceFunc(func() { close(open) })
}

// Calls is how many calls of a step have arrived.
func (g *Gate) Calls(step Step) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[place{step, Arrived}]
}

// Reset starts the counts from nothing.
func (g *Gate) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.counts)
}

// Await returns once that many calls have come to a place since the counts were
// last reset.
func (g *Gate) Await(ctx context.Context, step Step, phase Phase, n int) error {
	for {
		g.mu.Lock()
		count, changed := g.counts[place{step, phase}], g.changed
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

// Statuses counts the provider's answers by status text.
func (g *Gate) Statuses() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.statuses)
}

// Holder is the process that took a lease last.
func (g *Gate) Holder() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.holder
}

// meet counts a call and asks its reaction.
func (g *Gate) meet(c Call) Verdict {
	g.mu.Lock()
	if c.Step == Token {
		c.From = g.holder
	}
	if c.Step == Acquire && c.Phase == Done && c.Status == http.StatusOK {
		g.holder = c.From
	}
	p := place{c.Step, c.Phase}
	g.counts[p]++
	close(g.changed)
	g.changed = make(chan struct{})
	react := g.reactions[p]
	g.mu.Unlock()
	if react == nil {
		return Verdict{}
	}
	return react(c)
}

// engine is an AWS service behind the gate.
func (g *Gate) engine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the process died while it sent
		}
		g.seen(body)
		c := call(r, body)
		if g.meet(c).enforce(w) {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r.WithContext(r.Context()))
		c.Phase, c.Status = Done, answer.Code
		if g.meet(c).enforce(w) {
			return
		}
		pass(w, answer)
	})
}

func pass(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // a process that has died reads nothing
}

// enforce reports whether the request has been dealt with.
func (v Verdict) enforce(w http.ResponseWriter) bool {
	switch {
	case v.Cut:
		panic(http.ErrAbortHandler)
	case v.Status != 0:
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amzn-Errortype", v.Code)
		w.WriteHeader(v.Status)
		_, _ = w.Write([]byte(`{"__type":"` + v.Code + `","message":"injected"}`))
		return true
	}
	return false
}
