// Package cli is the command tokenvend: its subcommands and flags, the credentials
// they use, and their exit codes. What the subcommands do is in packages of its own,
// next to this one.
//
// Values that are secret are read from standard input or from a file, never from an
// argument: every user of a machine sees the arguments of its processes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/scripts/internal/cli/child"
	"github.com/tokenvend/tokenvend/scripts/internal/keyrotation"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitTooEarly    = 3
	exitInterrupted = 130
)

// Env is what the command uses besides its arguments. Every field is required.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	// Lookup finds an environment variable.
	Lookup func(name string) (value string, set bool)
	Now    func() time.Time
	// Program is how the command was called; printed commands begin with it.
	Program string
	// CloudFormation returns the client for an account and region.
	CloudFormation func(aws.Config) stack.Client
	// SAM runs SAM CLI.
	SAM stack.SAM
}

// Main runs the command with this process's environment and returns the exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == agentName {
		args = append([]string{"agent"}, args...)
	}
	return Run(ctx, args, Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Lookup: os.LookupEnv, Now: time.Now, Program: os.Args[0],
		CloudFormation: newCloudFormation, SAM: stack.SAMCommand,
	})
}

// Run runs the command with the given arguments and returns the exit code. Errors
// are printed on env.Err.
func Run(ctx context.Context, args []string, env Env) int {
	command, err := parse(args, env)
	switch {
	case errors.Is(err, errHelp):
		return exitDone
	case err != nil:
		fmt.Fprintln(env.Err, err)
		return exitUsage
	}
	err = command.run(ctx)
	if err == nil {
		return exitDone
	}
	if ended := child.Exit(0); errors.As(err, &ended) {
		return int(ended)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(env.Err, "interrupted"+command.afterInterrupt())
		return exitInterrupted
	}
	fmt.Fprintln(env.Err, err)
	return exitCode(err)
}

func exitCode(err error) int {
	switch {
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.Is(err, keyrotation.ErrTooEarly):
		return exitTooEarly
	}
	return exitFailed
}

// usageError is an error in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
