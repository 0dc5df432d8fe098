// Package fault breaks a service on demand, in the ways that services break:
// slow, throttling, failing, dead before a request is applied, and, worst, dead
// after it.
//
// An Injector is a decorator of the service's handler and breaks single
// requests by operation. A Line is the listener under the server and takes the
// whole service away. Both are driven from Go while requests run.
package fault

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/awsjson"
)

// Service is what an Injector decorates.
type Service interface {
	http.Handler
	// WriteError answers with an error in the service's own frame.
	WriteError(w http.ResponseWriter, e *awsjson.Error)
}

// Mode is what becomes of a request.
type Mode int

// The modes. Each first waits for the fault's Delay.
const (
	// Slow passes the request on.
	Slow Mode = iota
	// Fail answers with the fault's Error; the service does not see the request.
	Fail
	// Refuse closes the connection; the service does not see the request.
	Refuse
	// Lose has the service carry the request out, and closes the connection
	// instead of answering.
	Lose
)

// Fault is one way to break.
type Fault struct {
	// Operation is the only one concerned, for example "UpdateItem"; empty means
	// every one.
	Operation string
	// Match narrows the fault to requests it is true of; nil means all. It must
	// not read the body.
	Match func(*http.Request) bool
	Mode  Mode
	Delay time.Duration
	// Error is what Fail answers; nil means [Throttled].
	Error *awsjson.Error
	// Skip lets that many requests pass first.
	Skip int
	// Times ends the fault after it has struck so often; 0 means until cleared.
	Times int
	// Fraction is the share of requests it strikes, from 0 to 1, drawn from the
	// Injector's seed; 0 means all.
	Fraction float64
}

// Throttled is what DynamoDB answers when it is asked for too much.
func Throttled() *awsjson.Error {
	return &awsjson.Error{Code: "ProvisionedThroughputExceededException", Message: "The level of configured provisioned throughput for the table was exceeded."}
}

// Broken is what a service answers that failed within.
func Broken() *awsjson.Error {
	return &awsjson.Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: "The request processing has failed because of an unknown error, exception or failure."}
}

// Config is what an Injector is made of.
type Config struct {
	// Service is required.
	Service Service
	// Seed makes Fraction repeatable.
	Seed uint64
	// Wait returns after d, or when ctx ends; nil waits on the wall clock.
	Wait func(ctx context.Context, d time.Duration)
}

// Injector is an http.Handler and safe for concurrent use.
type Injector struct {
	service Service
	wait    func(ctx context.Context, d time.Duration)

	mu     sync.Mutex
	random *rand.Rand
	faults []*live
	struck map[string]int
}

// live is a fault that has not ended, and what it still has to do.
type live struct {
	Fault
	skip, left int
}

// New returns an injector without faults: it passes everything on.
func New(c Config) *Injector {
	if c.Wait == nil {
		c.Wait = wait
	}
	return &Injector{service: c.Service, wait: c.Wait, random: rand.New(rand.NewPCG(c.Seed, c.Seed)), struck: map[string]int{}}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Add sets a fault and returns what takes it away again. Of several that
// concern a request, the one added first strikes.
func (i *Injector) Add(f Fault) (remove func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	added := &live{Fault: f, skip: f.Skip, left: f.Times}
	i.faults = append(i.faults, added)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.end(added)
	}
}

func (i *Injector) end(l *live) {
	i.faults = slices.DeleteFunc(i.faults, func(other *live) bool { return other == l })
}

// Clear takes every fault away.
func (i *Injector) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.faults = nil
}

// Struck tells how often a request of that operation was broken.
func (i *Injector) Struck(operation string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.struck[operation]
}

// ServeHTTP breaks a request or passes it on.
func (i *Injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, strikes := i.choose(r)
	if !strikes {
		i.service.ServeHTTP(w, r)
		return
	}
	if fault.Delay > 0 {
		i.delay(r, fault.Delay)
	}
	switch fault.Mode {
	case Slow:
		i.service.ServeHTTP(w, r)
	case Fail:
		e := fault.Error
		if e == nil {
			e = Throttled()
		}
		i.service.WriteError(w, e)
	case Lose:
		i.service.ServeHTTP(&unheard{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	default:
		panic(http.ErrAbortHandler)
	}
}

// delay waits, for as long as the client does. The request is read first: only
// then does a server notice that its client has gone.
func (i *Injector) delay(r *http.Request, d time.Duration) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	i.wait(r.Context(), d)
}

// choose finds the fault that strikes a request, and counts it.
func (i *Injector) choose(r *http.Request) (Fault, bool) {
	operation := awsjson.OperationOf(r)
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, l := range i.faults {
		if l.concerns(operation, r) && i.strikes(l) {
			i.struck[operation]++
			return l.Fault, true
		}
	}
	return Fault{}, false
}

func (l *live) concerns(operation string, r *http.Request) bool {
	return (l.Operation == "" || l.Operation == operation) && (l.Match == nil || l.Match(r))
}

// strikes decides over one request that a fault concerns. The lock is held.
func (i *Injector) strikes(l *live) bool {
	if l.skip > 0 {
		l.skip--
		return false
	}
	if l.Fraction > 0 && i.random.Float64() >= l.Fraction {
		return false
	}
	if l.Times > 0 {
		if l.left--; l.left == 0 {
			i.end(l)
		}
	}
	return true
}

// unheard takes an answer that nobody gets.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) Write(b []byte) (int, error) { return len(b), nil }
func (u *unheard) WriteHeader(int)             {}
