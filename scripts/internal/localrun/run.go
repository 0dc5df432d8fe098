// Package localrun is the local run: the whole service in one process, for
// people who try it and for tests that want all of it.
//
// It composes the same handlers as the functions do, on embedded parts (a
// memory store, a folder of connections, sandbox providers), behind the local
// API Gateway. Nothing of it is durable, and it listens on loopback only: its
// callers' secrets are known to all, and providers on loopback are allowed.
package localrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// farewell is how long requests under way may take once a run is told to end.
const farewell = 500 * time.Millisecond

// World is what a run touches beside its settings.
type World struct {
	// Out is told where the run listens; the log gets the audit lines.
	Out, Log io.Writer
	// Now is the wall clock of everything in the run, the sandbox included; nil
	// means time.Now.
	Now func() time.Time
	// Ticks start the renewer; nil means every Settings.RenewEvery.
	Ticks <-chan time.Time
}

// Run serves until ctx ends, which is no error.
func Run(ctx context.Context, s Settings, w World) error {
	w, stop := s.withTicks(w)
	defer stop()
	api, err := listen(s.Addr, addrVariable)
	if err != nil {
		return err
	}
	defer api.Close()
	providers, err := listen(s.SandboxAddr, sandboxAddrVariable)
	if err != nil {
		return err
	}
	defer providers.Close()
	connections, remove, err := prepare(s.Connections)
	if err != nil {
		return err
	}
	defer remove()
	return serve(ctx, listeners{api: api, providers: providers}, place{
		url:         "http://" + api.Addr().String() + "/" + stage,
		sandboxURL:  "http://" + providers.Addr().String(),
		connections: connections, ownFolder: s.Connections == "", noticed: s.renewEvery(),
	}, w)
}

type listeners struct{ api, providers net.Listener }

// listen takes an address, and says which variable to change when it cannot.
func listen(addr, variable string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: another program listens on %s; end it, or set %s to another address (127.0.0.1:0 takes any free port)", variable, addr, variable)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", variable, addr, errors.Unwrap(err))
	}
	if ip := l.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		_ = l.Close()
		return nil, fmt.Errorf("%s: %s means %s here, which is not loopback; write 127.0.0.1", variable, addr, ip)
	}
	return l, nil
}

// prepare returns the folder of connections, and how to leave it.
func prepare(named string) (connections string, remove func(), err error) {
	if named != "" {
		return named, func() {}, nil
	}
	connections, err = os.MkdirTemp("", "tokenvend-connections-") // mode 0700
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the sandbox's connections: %w", err)
	}
	return connections, func() { _ = os.RemoveAll(connections) }, nil
}

// serve runs both servers and the renewer until ctx ends or a server fails.
func serve(ctx context.Context, l listeners, p place, w World) error {
	providers, err := openSandbox(p, w.Now)
	if err != nil {
		return err
	}
	all, err := compose(p, w)
	if err != nil {
		return err
	}
	apiServer, sandboxServer := newAPIServer(all.api), &http.Server{Handler: providers, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 2)
	go func() { failed <- apiServer.Serve(l.api) }()
	go func() { failed <- sandboxServer.Serve(l.providers) }()
	defer func() {
		end(apiServer)
		_ = sandboxServer.Close() // it may hang on purpose
	}()
	if err := greet(ctx, w.Out, p, all.directory); err != nil {
		return unlessEnded(ctx, err)
	}
	defer startRenewing(ctx, all.renewer, w.Ticks)()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// openSandbox makes the sandbox, and writes its connections where the run looks
// for them. A folder of somebody's own is left alone, by its levers too.
//
// Creative Force sends no browser to a user's own machine; here it has to, or
// nobody could consent.
func openSandbox(p place, now func() time.Time) (*sandbox.Sandbox, error) {
	c := sandbox.Config{BaseURL: p.sandboxURL, LocalRedirects: true, Now: now}
	if p.ownFolder {
		c.Folder = p.connections
	}
	s := sandbox.New(c)
	if err := s.SetRedirectURIs(delegated, p.callback(delegated)); err != nil {
		return nil, err
	}
	if !p.ownFolder {
		return s, nil
	}
	return s, s.WriteConnections(p.connections)
}

// newAPIServer bounds every phase of a request. The answer may take as long as
// API Gateway would wait for it.
func newAPIServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      45 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    10 << 10, // API Gateway's own limit
	}
}

// end lets requests under way finish for a moment.
func end(s *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		_ = s.Close()
	}
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
