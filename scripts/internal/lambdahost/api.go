package lambdahost

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxAnswer is the largest answer that Lambda accepts, in bytes.
const maxAnswer = 6 << 20

// invocation is one event and its one outcome.
type invocation struct {
	id       string
	event    []byte
	deadline time.Time
	answer   chan []byte
	failed   chan error
}

func newInvocation(event []byte, deadline time.Time) *invocation {
	var b [16]byte
	_, _ = rand.Read(b[:])
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	return &invocation{id: id, event: event, deadline: deadline, answer: make(chan []byte, 1), failed: make(chan error, 1)}
}

// runtimeAPI is the server side of the Lambda Runtime API for one process.
type runtimeAPI struct {
	*http.ServeMux
	name string
	// offer holds the next event until the process fetches it.
	offer chan *invocation
	// asked holds a token once the process has asked for an event.
	asked      chan struct{}
	initFailed chan error

	mu      sync.Mutex
	current *invocation // delivered and not yet answered
}

func newRuntimeAPI(c Config) *runtimeAPI {
	a := &runtimeAPI{
		ServeMux: http.NewServeMux(), name: c.Name,
		offer: make(chan *invocation, 1), asked: make(chan struct{}, 1), initFailed: make(chan error, 1),
	}
	const root = "/2018-06-01/runtime/"
	a.HandleFunc("GET "+root+"invocation/next", a.next)
	a.HandleFunc("POST "+root+"invocation/{id}/response", a.response)
	a.HandleFunc("POST "+root+"invocation/{id}/error", a.failure)
	a.HandleFunc("POST "+root+"init/error", a.initError)
	return a
}

// next holds the request until there is an event. A frozen environment only waits
// longer.
func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	select {
	case a.asked <- struct{}{}:
	default: // asked again after a lost connection
	}
	select {
	case <-r.Context().Done():
	case i := <-a.offer:
		a.deliver(w, i)
	}
}

func (a *runtimeAPI) deliver(w http.ResponseWriter, i *invocation) {
	a.mu.Lock()
	a.current = i
	a.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:"+a.name)
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
	_, _ = w.Write(i.event)
}

func (a *runtimeAPI) response(w http.ResponseWriter, r *http.Request) {
	answer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	i := a.finish(r)
	switch {
	case i == nil:
		w.WriteHeader(http.StatusBadRequest) // Lambda's answer to an id that is not under way
	case err != nil:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		i.failed <- &FunctionError{Type: "Function.ResponseSizeTooLarge", Message: "the answer broke off or is larger than 6 MB"}
	default:
		w.WriteHeader(http.StatusAccepted)
		i.answer <- answer
	}
}

func (a *runtimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	failed := readError(r)
	i := a.finish(r)
	if i == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	i.failed <- failed
}

// finish takes the invocation under way, if it is the one that r names.
func (a *runtimeAPI) finish(r *http.Request) *invocation {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.current
	if i == nil || i.id != r.PathValue("id") {
		return nil
	}
	a.current = nil
	return i
}

func (a *runtimeAPI) initError(w http.ResponseWriter, r *http.Request) {
	failed := readError(r)
	failed.Init = true
	select {
	case a.initFailed <- failed:
		w.WriteHeader(http.StatusAccepted)
	default: // already reported
		w.WriteHeader(http.StatusForbidden)
	}
}

// readError reads the error that a runtime reports. An unreadable one counts too.
func readError(r *http.Request) *FunctionError {
	reported := &FunctionError{}
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(reported)
	if err != nil || reported.Type == "" {
		reported.Type = "Runtime.Unknown"
	}
	return reported
}
