// Command chaos is what make chaos runs: scenarios of what can happen to many
// execution environments, at full length, with the bootstraps that ship and a
// DynamoDB engine; then figures of thousands of callers at once. It prints a
// table of each, and ends with 1 when an invariant was violated or something
// could not be run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/scripts/chaos/internal/figure"
	"github.com/tokenvend/tokenvend/scripts/chaos/internal/scenario"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line's.
type options struct {
	only    *regexp.Regexp
	soak    time.Duration
	runs    int
	figures bool
}

// run returns the exit code: 1 when something was violated or could not be run,
// 2 for wrong arguments.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	o, err := parse(args, progress)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	r, err := play(ctx, o, progress)
	if len(r.results)+len(r.figures) > 0 { // print what there is, also of an interrupted run
		err = errors.Join(err, publish(r, out))
	}
	if err != nil {
		fmt.Fprintln(progress, "chaos:", err)
		return 1
	}
	if !r.passed() {
		return 1
	}
	return 0
}

// parse writes what is wrong with the arguments to progress.
func parse(args []string, progress io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.DurationVar(&o.soak, "soak", 5*time.Minute, "how long the soak runs")
	flags.IntVar(&o.runs, "runs", 100, "how often the stampede is repeated")
	flags.BoolVar(&o.figures, "figures", true, "measure the figures too")
	only := flags.String("run", "", "run only scenarios whose id and title match this `expression`")
	if err := flags.Parse(args); err != nil {
		return o, err // flags has printed it
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(progress, "chaos: -run:", err)
		return o, err
	}
	if flags.NArg() > 0 || o.soak <= 0 || o.runs <= 0 {
		err = errors.New("unexpected argument, or a soak or runs that are not positive; see -help")
		fmt.Fprintln(progress, "chaos:", err)
	}
	return o, err
}

// play builds the functions, opens an engine, and runs scenarios and figures.
func play(ctx context.Context, o options, progress io.Writer) (outcome, error) {
	folder, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return outcome{}, fmt.Errorf("folder to build in: %w", err)
	}
	defer os.RemoveAll(folder)
	table, err := engine.Open(ctx, engine.Config{Lookup: os.LookupEnv})
	if err != nil {
		return outcome{}, err
	}
	defer table.Close()
	fmt.Fprintf(progress, "DynamoDB is %s at %s\n", table.Name, table.URL)
	fmt.Fprintln(progress, "building")
	if err := fleet.Build(ctx, folder); err != nil {
		return outcome{}, err
	}
	switch {
	case len(chosen(o)) > 0:
	case o.figures:
		fmt.Fprintf(progress, "no scenario matches -run %s: figures only\n", o.only)
	default:
		return outcome{}, fmt.Errorf("no scenario matches -run %s", o.only)
	}
	c := scenario.Config{Bootstraps: folder, DynamoDB: table.URL, Full: true, Soak: o.soak}
	r := outcome{results: perform(ctx, c, chosen(o), progress)}
	if o.figures {
		r.figures = figure.All(ctx, figure.Config{Folder: folder, DynamoDB: table.URL, Root: ".", Runs: o.runs, Progress: progress})
	}
	return r, ctx.Err()
}

func chosen(o options) []scenario.Scenario {
	var all []scenario.Scenario
	for _, s := range scenario.All() {
		if o.only.MatchString(s.ID + " " + s.Title) {
			all = append(all, s)
		}
	}
	return all
}
