// Command local is what make run runs: the whole service on this machine, with
// sandbox providers. Its -help tells the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run returns the exit code: 1 for what went wrong, 2 for how it was called.
func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(localrun.Help())
		return 0
	case err != nil || flags.NArg() > 0:
		fmt.Fprintln(os.Stderr, "local takes no arguments; its settings are environment variables. See -help.")
		return 2
	}
	collectLess()
	settings, err := localrun.ReadSettings(os.LookupEnv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := localrun.Run(ctx, settings, localrun.World{Out: os.Stdout, Log: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// collectLess trades some 15 MB for a tenth of the work: what stays is so little
// that Go's default collects it dozens of times a second under load. Whoever
// sets GOGC decides otherwise.
func collectLess() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(400)
	}
}
