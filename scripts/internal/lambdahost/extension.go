package lambdahost

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// shutdownTime is how long Lambda lets an extension end by itself.
const shutdownTime = 2 * time.Second

// extension is the run of an extension beside one process, and the server side of the
// Extensions API for it
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html). It offers
// the event SHUTDOWN only.
type extension struct {
	config Config
	cmd    *exec.Cmd
	// registered and ready are closed when it has registered and asked for an event,
	// ending when it gets the event, and exited when it has ended.
	registered, ready, ending, exited chan struct{}
	registers, asks, ends             sync.Once
	failed                            chan error
}

// startExtension starts the extension and waits until it has registered: Lambda starts
// the runtime then.
func startExtension(c Config, api *runtimeAPI, address string) (*extension, error) {
	e := &extension{
		config: c, cmd: command(c, address), registered: make(chan struct{}), ready: make(chan struct{}),
		ending: make(chan struct{}), exited: make(chan struct{}), failed: make(chan error, 1),
	}
	e.cmd.Path, e.cmd.Args = c.Extension, []string{c.Extension}
	const root = "/2020-01-01/extension/"
	api.HandleFunc("POST "+root+"register", e.register)
	api.HandleFunc("GET "+root+"event/next", e.next)
	api.HandleFunc("POST "+root+"init/error", e.initError)
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the extension: %w", err)
	}
	go func() { _ = e.cmd.Wait(); close(e.exited) }()
	select {
	case <-e.registered:
		return e, nil
	case <-e.exited:
		return nil, fmt.Errorf("extension: %w", ErrExited)
	case <-c.After(c.InitTimeout):
		e.kill()
		return nil, fmt.Errorf("registration of the extension: %w after %s", ErrTimeout, c.InitTimeout)
	}
}

func (e *extension) register(w http.ResponseWriter, r *http.Request) {
	var body struct{ Events []string }
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&body)
	unknown := slices.ContainsFunc(body.Events, func(event string) bool { return event != "SHUTDOWN" })
	if err != nil || unknown || r.Header.Get("Lambda-Extension-Name") != filepath.Base(e.config.Extension) {
		http.Error(w, `{"errorType":"Extension.InvalidRegistration"}`, http.StatusForbidden)
		return
	}
	w.Header().Set("Lambda-Extension-Identifier", e.config.Name+"-extension")
	fmt.Fprintf(w, `{"functionName":%q,"functionVersion":"$LATEST","handler":"bootstrap"}`, e.config.Name)
	e.registers.Do(func() { close(e.registered) })
}

// next holds the request until the environment shuts down.
func (e *extension) next(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Lambda-Extension-Identifier") == "" {
		http.Error(w, `{"errorType":"Extension.MissingHeader"}`, http.StatusForbidden)
		return
	}
	e.asks.Do(func() { close(e.ready) })
	select {
	case <-r.Context().Done():
	case <-e.ending:
		fmt.Fprintf(w, `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":%d}`, e.config.Now().Add(shutdownTime).UnixMilli())
	}
}

func (e *extension) initError(w http.ResponseWriter, r *http.Request) {
	reported := readError(r)
	reported.Init = true
	select {
	case e.failed <- reported:
	default: // already reported
	}
	w.WriteHeader(http.StatusAccepted)
}

// awaitReady waits until the extension has asked for an event.
func (e *extension) awaitReady(ctx context.Context) error {
	select {
	case <-e.ready:
		return nil
	case err := <-e.failed:
		return err
	case <-e.exited:
		return fmt.Errorf("extension: %w", ErrExited)
	case <-e.config.After(e.config.InitTimeout):
		return fmt.Errorf("initialisation of the extension: %w after %s", ErrTimeout, e.config.InitTimeout)
	case <-ctx.Done():
		return fmt.Errorf("initialisation: %w", ctx.Err())
	}
}

// shutdown sends the event and waits until the extension has ended, for as long as
// Lambda does.
func (e *extension) shutdown() {
	e.ends.Do(func() { close(e.ending) })
	select {
	case <-e.exited:
	case <-e.config.After(shutdownTime):
		e.kill()
	}
}

func (e *extension) kill() {
	_ = syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
	<-e.exited
}
