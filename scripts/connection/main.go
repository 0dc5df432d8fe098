// Command connection adds a connection to a deployment or to the local run's
// folder, and tests one. Its -help tells the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// world is what the command touches beside its arguments.
type world struct {
	in            io.Reader
	out, problems io.Writer
	lookup        func(string) (string, bool)
	sam           stack.SAM
	now           func() time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], world{in: os.Stdin, out: os.Stdout, problems: os.Stderr, lookup: os.LookupEnv, sam: stack.Command, now: time.Now}))
}

// run returns the exit code.
func run(ctx context.Context, args []string, w world) int {
	o, err := parse(args)
	if errors.Is(err, errHelp) {
		fmt.Fprint(w.out, help)
		return 0
	}
	if err != nil {
		fmt.Fprintf(w.problems, "%v; see go run ./scripts/connection -help\n", err)
		return exitUsage
	}
	do := add
	if o.command == testCommand {
		do = test
	}
	switch err := do(ctx, o, w); {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(w.problems, "given up")
		return exitInterrupted
	case errors.Is(err, prompt.ErrDeclined):
		fmt.Fprintln(w.out, err)
		return exitFailed
	default:
		fmt.Fprintln(w.problems, err)
		return exitFailed
	}
}
