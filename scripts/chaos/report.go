package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
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

// publish prints the tables, and writes them to a file when one is named.
func publish(o outcome, out io.Writer, file string) error {
	machine := fmt.Sprintf("%s %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	scenarios, card := o.scenarios(), scorecard.Card{Machine: machine, Rows: o.figures}
	err := scenarios.WriteText(out)
	fmt.Fprintln(out)
	if err := errors.Join(err, card.WriteText(out)); err != nil {
		return fmt.Errorf("print the tables: %w", err)
	}
	if file == "" {
		return nil
	}
	var text bytes.Buffer
	_ = scenarios.WriteMarkdown(&text) // a buffer does not fail
	text.WriteString("\n")
	_ = card.WriteMarkdown(&text)
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
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
