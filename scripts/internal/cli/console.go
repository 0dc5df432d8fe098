package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"

	"github.com/tokenvend/tokenvend/scripts/internal/cli/console"
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
	listener, err := listenLocally(ctx, cmp.Or(c.Addr, defaultConsoleAddr), defaultConsoleAddr)
	if err != nil {
		return err
	}
	defer listener.Close()
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	secret := rand.Text()
	fmt.Fprintf(s.Out, "console on http://%s/%s/\n", listener.Addr(), secret)
	return serveLocally(ctx, listener, console.New(console.Config{API: api, URL: api.URL, Secret: secret}))
}
