package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
)

// listenLocally listens on the address of the flag --addr, which must be on loopback.
func listenLocally(ctx context.Context, addr, standard string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !apihost.IsLoopback(strings.ToLower(host)) {
		return nil, usage("--addr: %s is not an address on loopback, such as %s", addr, standard)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--addr: cannot listen on %s; use another port, or 0 for any free one: %w", addr, errors.Unwrap(err))
	}
	return listener, nil
}

// serveLocally serves until ctx ends. Requests under way get a moment to end.
func serveLocally(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(soon) != nil {
		_ = server.Close()
	}
	return nil
}
