// Command connect obtains a user's consent for a delegated connection from a
// terminal, imports a grant made elsewhere, or ends one. Its -help tells the
// rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tokenvend/tokenvend/scripts/connect/internal/errand"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, problems io.Writer) int {
	o, err := parse(args)
	if errors.Is(err, errHelp) {
		fmt.Fprint(out, help)
		return 0
	}
	if err != nil {
		fmt.Fprintf(problems, "%v; see go run ./scripts/connect -help\n", err)
		return exitUsage
	}
	api, err := client.Target(o.url, os.LookupEnv)
	if err != nil {
		fmt.Fprintln(problems, err)
		return exitUsage
	}
	e := errand.Errand{API: api, Connection: o.connection, Subject: o.subject, In: errand.NewLines(in), Out: out}
	if o.open {
		e.Open = errand.Browser(os.Getenv("BROWSER"))
	}
	err = o.do(e, ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(problems, "given up; a consent that was begun expires by itself, unless it was being completed in this moment")
		return exitInterrupted
	}
	fmt.Fprintln(problems, err)
	return exitFailed
}
