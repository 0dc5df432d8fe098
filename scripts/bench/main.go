// Command bench is what make bench runs: it measures what the design aims at,
// and prints aim, measured, and pass or miss. A miss does not fail the command;
// something that could not be measured does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/measure"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 1 when something could not be measured, 2 for wrong
// arguments.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	short := flags.Bool("short", false, "only show that everything works; the figures mean nothing")
	renewals := flags.Bool("renewals", true, "also simulate renewals, which takes minutes")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil: // flags has printed it
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(progress, "bench: unexpected argument %q; see -help\n", flags.Arg(0))
		return 2
	}
	where := machine(*short)
	rows, err := measure.All(ctx, measure.Config{Short: *short, Renewals: *renewals, Progress: progress})
	card := scorecard.Card{Machine: where, Rows: rows}
	if err == nil {
		err = card.WriteText(out)
	}
	if err != nil {
		fmt.Fprintln(progress, "bench:", err)
		return 1
	}
	if !card.Complete() {
		return 1
	}
	return 0
}

// machine names the machine and how busy it was before: a start that uses every
// CPU suffers more from other processes than its baseline does.
func machine(short bool) string {
	where := fmt.Sprintf("%s %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		before, _, _ := strings.Cut(string(load), " ")
		where += ", load " + before + " before the run"
	}
	if short {
		return where + "; a short run, whose figures mean nothing"
	}
	return where
}
