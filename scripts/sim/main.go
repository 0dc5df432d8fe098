// Command sim simulates the service on a virtual clock: a day of ten thousand
// connections, an hour of faults, a burst of renewals, the minute after an
// outage. It prints figures beside the aims of the design, and exits with 1
// when something could not be simulated; a miss is a result like any other.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tokenvend/tokenvend/scripts/sim/scenario"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 1 for a simulation that broke, 2 for how it was called.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	c, limit, err := parse(args, progress)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	rows, err := scenario.Rows(ctx, c)
	if printed := write(out, rows); err == nil {
		err = printed
	}
	if err != nil {
		fmt.Fprintln(progress, "sim:", err)
		return 1
	}
	return 0
}

func parse(args []string, output io.Writer) (scenario.Config, time.Duration, error) {
	c := scenario.Config{Progress: output}
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(output)
	only := flags.String("only", strings.Join(scenario.Names, ","), "what to simulate, `names` separated by commas")
	limit := flags.Duration("limit", time.Hour, "give up after this much real `time`")
	flags.IntVar(&c.Connections, "connections", 10_000, "how many connections the day has; 1000000 takes 6 GB and some ten minutes per simulated hour")
	flags.Float64Var(&c.Hours, "hours", 24, "how much of the day is counted")
	flags.Float64Var(&c.WarmHours, "warm", 2, "`hours` before that, not counted")
	flags.IntVar(&c.ChaosMinutes, "minutes", 60, "how long faults last, in simulated minutes")
	flags.IntVar(&c.Bundle, "bundle", 1, "how many connections one secret holds")
	flags.BoolVar(&c.Unlisted, "unlisted", false, "leave the ledger of secrets' versions out of the day")
	flags.Uint64Var(&c.Seed, "seed", 1, "begin all randomness here")
	if err := flags.Parse(args); err != nil {
		return c, 0, err
	}
	c.Only = strings.Split(*only, ",")
	if flags.NArg() > 0 || c.Connections < 1 || c.Hours <= 0 || c.WarmHours < 0 || c.ChaosMinutes < 1 || c.Bundle < 1 {
		fmt.Fprintln(output, "sim: numbers have to be positive, and there are no arguments beside flags; see -help")
		return c, 0, errors.New("called wrongly")
	}
	return c, *limit, nil
}

func write(out io.Writer, rows []scenario.Row) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tAIM\tMEASURED\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.What, r.Aim, r.Measured, verdict(r))
	}
	fmt.Fprintf(table, "\n%s\n", scenario.Prices)
	return table.Flush()
}

func verdict(r scenario.Row) string {
	switch {
	case r.Aim == "":
		return ""
	case r.Pass:
		return "pass"
	}
	return "miss"
}
