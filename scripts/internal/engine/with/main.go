// Command with runs a command with TOKENVEND_TEST_DYNAMODB naming a DynamoDB that
// it starts, and stops after it:
//
//	with [-engine dynoxide|dynalite] COMMAND ARGUMENT…
//
// Where no engine is installed it says so. Then it runs the command without one,
// unless -engine names the engine that is needed. The exit code is the command's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

func run(ctx context.Context, args []string, problems io.Writer) int {
	flags := flag.NewFlagSet("with", flag.ContinueOnError)
	flags.SetOutput(problems)
	kind := flags.String("engine", "", "the `engine` to start; it must be installed")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		fmt.Fprintln(problems, "usage: with [-engine dynoxide|dynalite] COMMAND ARGUMENT…")
		return 2
	}
	at, end, err := open(ctx, engine.Kind(*kind), problems)
	if err != nil {
		fmt.Fprintln(problems, "with:", err)
		return 1
	}
	defer end()
	cmd := exec.CommandContext(ctx, flags.Arg(0), flags.Args()[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), engine.Variable+"="+at)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(problems, "with:", err)
		return 1
	}
	return 0
}

// open returns the endpoint of an engine; empty where none is installed.
func open(ctx context.Context, kind engine.Kind, problems io.Writer) (at string, end func(), err error) {
	server, err := engine.Open(ctx, engine.Config{Lookup: os.LookupEnv, Kind: kind})
	if errors.Is(err, engine.ErrMissing) && kind == "" {
		fmt.Fprintln(problems, "tests on an engine: off;", err)
		return "", func() {}, nil
	}
	if err != nil {
		return "", nil, err
	}
	fmt.Fprintf(problems, "tests on an engine: %s at %s\n", server.Name, server.URL)
	return server.URL, server.Close, nil
}
