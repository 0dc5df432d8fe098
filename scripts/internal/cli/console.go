package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/cli/console"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

const defaultConsoleAddr = "127.0.0.1:8091"

// consoleCommand serves the console.
type consoleCommand struct {
	Addr string `placeholder:"ADDRESS" help:"Address to listen on, on loopback; 127.0.0.1:8091 otherwise."`
}

func (consoleCommand) details() string {
	return `A page shows the connections, their grants and errors, and tests, consents, reports and
disconnects, signed with your AWS credentials. It shows no token. Everyone who has the
address that the command prints can do what you may, so keep it on this machine.
`
}

// Run serves until ctx ends.
func (c consoleCommand) Run(ctx context.Context, s *session) error {
	addr := cmp.Or(c.Addr, defaultConsoleAddr)
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !localhttp.IsLoopback(strings.ToLower(host)) {
		return usage("--addr: %s is not an address on loopback, such as %s", addr, defaultConsoleAddr)
	}
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("--addr: cannot listen on %s; use another port, or 0 for any free one: %w", addr, errors.Unwrap(err))
	}
	secret := rand.Text()
	fmt.Fprintf(s.Out, "console on http://%s/%s/\n", listener.Addr(), secret)
	server := &http.Server{Handler: console.New(console.Config{API: api, URL: api.URL, Secret: secret}), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return server.Close()
	}
}
