package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/chaos/internal/scenario"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

// outcome is a whole run.
type outcome struct {
	results []scenario.Result
	figures []scorecard.Row
}

// passed reports whether nothing was violated and everything could be run. A
// figure that misses its aim is shown, and is no failure.
func (o outcome) passed() bool {
	for _, r := range o.results {
		if !r.Passed() {
			return false
		}
	}
	return scorecard.Card{Rows: o.figures}.Complete()
}

// publish prints the tables.
func publish(o outcome, out io.Writer) error {
	machine := fmt.Sprintf("%s %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	err := o.scenarios().WriteText(out)
	fmt.Fprintln(out)
	return errors.Join(err, scorecard.Card{Machine: machine, Rows: o.figures}.WriteText(out))
}

// scenarios is the table of what was run.
func (o outcome) scenarios() scorecard.Table {
	t := scorecard.Table{Head: []string{"scenario", "provider calls", "callers' outcomes", "invariants", "result"}}
	for _, r := range o.results {
		if r.ID == "" {
			continue // the run ended before it
		}
		invariants := "hold"
		if len(r.Broken) > 0 {
			invariants = strings.Join(r.Broken, "; ")
		}
		if len(r.Facts) > 0 {
			invariants += " (" + strings.Join(r.Facts, "; ") + ")"
		}
		t.Rows = append(t.Rows, []string{r.ID + " " + r.Title, fmt.Sprint(r.Calls), r.OutcomeCounts(), invariants, verdict(r)})
	}
	return t
}
