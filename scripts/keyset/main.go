// Command keyset rotates a sealing keyset, a step at a time. Its -help tells the
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
	"time"

	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
	"github.com/tokenvend/tokenvend/scripts/keyset/internal/rotation"
)

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitEarly       = 3
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
		fmt.Fprintf(w.problems, "%v; see go run ./scripts/keyset -help\n", err)
		return exitUsage
	}
	switch err := perform(ctx, o, w); {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(w.problems, "given up; what was begun can be taken up again")
		return exitInterrupted
	case errors.Is(err, rotation.ErrEarly):
		fmt.Fprintln(w.out, err)
		return exitEarly
	default:
		fmt.Fprintln(w.problems, err)
		return exitFailed
	}
}

func perform(ctx context.Context, o options, w world) error {
	aws, err := awsconfig.Load(w.lookup)
	if err != nil {
		return err
	}
	if err := o.resolve(ctx, w.sam); err != nil {
		return err
	}
	r := rotation.Rotation{
		Editor: secretwriter.Editor{Client: aws.SecretsManager()}, Secret: o.secret,
		Now: w.now, Asker: prompt.New(w.in, w.out, o.yes), Out: w.out,
	}
	if !o.consent {
		table := aws.DynamoDB()
		r.Seals = func(ctx context.Context) (map[string]rotation.Use, error) { return rotation.Table(ctx, table, o.table) }
	}
	switch o.command {
	case "rotate":
		return r.Rotate(ctx, o.again)
	case "drop":
		return r.Drop(ctx, o.key)
	case "begin":
		return r.Begin(ctx)
	default:
		return r.Status(ctx)
	}
}
