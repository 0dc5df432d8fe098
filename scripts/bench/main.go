// Command bench measures what the design aims at. Each number is a ratio of two
// things measured in the same run, or a size, so that it means the same on
// another machine. It prints aim, measured, and pass or miss, and exits with 1
// only when something could not be measured.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"text/tabwriter"
)

// aim is one line of the table.
type aim struct {
	what string
	// limit is what measured must not exceed, or with atLeast not fall below.
	limit   float64
	atLeast bool
	unit    string
	measure func(context.Context) (float64, error)
}

var aims = []aim{
	{what: "vend zip (stripped, arm64)", limit: 4, unit: " MB", measure: zipSize},
	{what: "gateway event to response in process, memory hit, vs decoding the typed event alone", limit: 0.7, measure: eventRatio},
	{what: "local API server (SigV4 verified) vs bare net/http, requests per second", limit: 0.4, atLeast: true, measure: serverRatio},
}

func (a aim) reached(measured float64) bool {
	if a.atLeast {
		return measured >= a.limit
	}
	return measured <= a.limit
}

func (a aim) String() string {
	sign := "≤"
	if a.atLeast {
		sign = "≥"
	}
	return fmt.Sprintf("%s %g%s", sign, a.limit, a.unit)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) (exit int) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tAIM\tMEASURED\t")
	for _, a := range aims {
		measured, err := a.measure(ctx)
		switch {
		case err != nil:
			fmt.Fprintln(os.Stderr, a.what+":", err)
			fmt.Fprintf(table, "%s\t%s\t-\tnot measured\n", a.what, a)
			exit = 1
		case a.reached(measured):
			fmt.Fprintf(table, "%s\t%s\t%.2f%s\tpass\n", a.what, a, measured, a.unit)
		default:
			fmt.Fprintf(table, "%s\t%s\t%.2f%s\tmiss\n", a.what, a, measured, a.unit)
		}
	}
	_ = table.Flush() // nobody is left to be told
	return exit
}
