package cloud

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Failure is how an engine fails: a status, and the code of an error of AWS's
// JSON protocols, as in ThrottlingException.
type Failure struct {
	Status int
	Code   string
	// Naming narrows it to requests whose body has that text; empty is all.
	Naming string
}

// Gate passes requests on to an engine, or lets it fail.
type Gate struct {
	next http.Handler

	mu      sync.Mutex
	failure *Failure
}

// NewGate returns an open gate before an engine.
func NewGate(engine http.Handler) *Gate { return &Gate{next: engine} }

// Fail lets every request fail that way until Mend.
func (g *Gate) Fail(f Failure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failure = &f
}

// Mend lets requests pass again.
func (g *Gate) Mend() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failure = nil
}

func (g *Gate) current() *Failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failure
}

// ServeHTTP is for the functions.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := g.current()
	if f == nil || !f.concerns(r) {
		g.next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-Errortype", f.Code)
	w.WriteHeader(f.Status)
	fmt.Fprintf(w, `{"__type":%q,"message":"so that it fails"}`, f.Code)
}

func (f *Failure) concerns(r *http.Request) bool {
	if f.Naming == "" {
		return true
	}
	body, err := peek(r)
	return err == nil && strings.Contains(body, f.Naming)
}

// peek reads the body, and leaves it to be read again.
func peek(r *http.Request) (string, error) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return string(body), err
}
