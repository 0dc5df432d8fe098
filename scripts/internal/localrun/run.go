// Package localrun is the local run: the whole service in one process, for trying
// it out and for tests that need all of it.
//
// It composes the same handlers as the functions, on embedded parts (a memory store,
// a folder of connections, sandbox providers), behind a local API Gateway. Nothing is
// durable. It listens on loopback only, because the callers' keys are public and
// providers on loopback are allowed.
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

// shutdownTimeout is how long running requests may take when a run ends.
const shutdownTimeout = 500 * time.Millisecond

// Env is what a run uses besides its settings.
type Env struct {
	// Program is how the command that the greeting mentions is called.
	Program string
	// Out gets the greeting, and Log the audit lines.
	Out, Log io.Writer
	// Now is the wall clock of everything in the run, the sandbox included; nil
	// means time.Now.
	Now func() time.Time
	// Wait pauses between two looks at the store; nil waits for real.
	Wait func(ctx context.Context, d time.Duration) error
	// Ticks start the renewer; nil means every Settings.RenewEvery.
	Ticks <-chan time.Time
}

// Run serves until ctx ends, which is no error.
func Run(ctx context.Context, s Settings, e Env) error {
	e, stop := s.withTicks(e)
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
	console, err := listenConsole(s.ConsoleAddr)
	if err != nil {
		return err
	}
	defer console.close()
	connections, remove, err := prepare(s.Connections)
	if err != nil {
		return err
	}
	defer remove()
	return serve(ctx, servers{api, providers, console, s.Hosts, s.SandboxHosts}, addresses{
		program:     e.Program,
		url:         "http://" + api.Addr().String() + "/" + stage,
		sandboxURL:  "http://" + providers.Addr().String(),
		console:     console.greeting(),
		connections: connections, ownFolder: s.Connections == "", providers: s.SandboxProviders, noticedWithin: s.renewEvery(),
	}, e)
}

// servers are the listeners, and the hosts that they serve besides loopback.
type servers struct {
	api, providers         net.Listener
	console                consoleServer
	apiHosts, sandboxHosts hosts
}

// listen listens on an address. Its errors name the variable to change.
func listen(addr, variable string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: another program listens on %s; stop it, or set %s to another address (127.0.0.1:0 takes any free port)", variable, addr, variable)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", variable, addr, errors.Unwrap(err))
	}
	if ip := l.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		_ = l.Close()
		return nil, fmt.Errorf("%s: %s is %s here, which is not loopback; use 127.0.0.1", variable, addr, ip)
	}
	return l, nil
}

// prepare returns the folder of connections, and a function that removes it if it
// is the run's own.
func prepare(named string) (connections string, remove func(), err error) {
	if named != "" {
		return named, func() {}, nil
	}
	connections, err = os.MkdirTemp("", "tokenvend-connections-") // mode 0700
	if err != nil {
		return "", nil, fmt.Errorf("create a folder for the sandbox's connections: %w", err)
	}
	return connections, func() { _ = os.RemoveAll(connections) }, nil
}

// serve runs both servers and the renewer until ctx ends or a server fails.
func serve(ctx context.Context, l servers, a addresses, e Env) error {
	providers, err := openSandbox(a, e.Now)
	if err != nil {
		return err
	}
	all, err := compose(a, e)
	if err != nil {
		return err
	}
	apiServer := newAPIServer(l.apiHosts.guard(hostsVariable, all.api))
	sandboxServer := &http.Server{Handler: l.sandboxHosts.guard(sandboxHostsVariable, providers), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 3)
	defer l.console.serve(a.url, failed)()
	go func() { failed <- apiServer.Serve(l.api) }()
	go func() { failed <- sandboxServer.Serve(l.providers) }()
	defer func() {
		end(apiServer)
		_ = sandboxServer.Close() // a simulated fault may leave requests hanging
	}()
	if err := greet(ctx, e.Out, a, all.directory); err != nil {
		return unlessEnded(ctx, err)
	}
	defer startRenewing(ctx, all.renewer, e.Ticks)()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// openSandbox creates the sandbox, and writes its connections to the run's own
// folder. It never writes to a folder that the operator named.
//
// Creative Force allows no redirect URI on loopback. The sandbox must, because a
// consent could not be completed otherwise.
func openSandbox(a addresses, now func() time.Time) (*sandbox.Sandbox, error) {
	c := sandbox.Config{BaseURL: a.sandboxURL, LocalRedirects: true, Now: now}
	if a.ownFolder {
		c.Folder = a.connections
	}
	s := sandbox.New(c)
	for _, name := range a.providers {
		if err := s.Play(name); err != nil {
			return nil, fmt.Errorf("%s: %w", providersVariable, err)
		}
	}
	for _, connection := range s.Delegated() {
		if err := s.SetRedirectURIs(connection, a.callback(connection)); err != nil {
			return nil, err
		}
	}
	if !a.ownFolder {
		return s, nil
	}
	return s, s.WriteConnections(a.connections)
}

// newAPIServer limits every phase of a request. A response may take as long as API
// Gateway would wait for it.
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

// end gives running requests a moment to finish.
func end(s *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
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
