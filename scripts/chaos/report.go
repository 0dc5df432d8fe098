package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/tokenvend/tokenvend/scripts/chaos/internal/figure"
	"github.com/tokenvend/tokenvend/scripts/chaos/internal/scenario"
)

// outcome is a whole run.
type outcome struct {
	results []scenario.Result
	figures []figure.Figure
}

// passed reports whether nothing was violated and everything could be played. A
// figure that misses its aim is shown, and fails nothing.
func (o outcome) passed() bool {
	for _, r := range o.results {
		if !r.Passed() {
			return false
		}
	}
	for _, f := range o.figures {
		if f.Err != nil {
			return false
		}
	}
	return true
}

// publish prints the tables, and writes them to a file when one is named.
func publish(o outcome, out io.Writer, file string) error {
	machine := fmt.Sprintf("%s %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, t := range []table{o.scenarios(), o.measured()} {
		if err := t.text(out); err != nil {
			return fmt.Errorf("print the tables: %w", err)
		}
	}
	if file == "" {
		return nil
	}
	text := machine + "\n\n" + o.scenarios().markdown() + "\n" + o.measured().markdown()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}

// table is rows of cells under a head.
type table struct {
	head []string
	rows [][]string
}

func (o outcome) scenarios() table {
	t := table{head: []string{"scenario", "provider calls", "callers' outcomes", "invariants", "result"}}
	for _, r := range o.results {
		if r.ID == "" {
			continue // the run was ended before it
		}
		invariants := "hold"
		if len(r.Broken) > 0 {
			invariants = strings.Join(r.Broken, "; ")
		}
		if len(r.Facts) > 0 {
			invariants += " (" + strings.Join(r.Facts, "; ") + ")"
		}
		t.rows = append(t.rows, []string{r.ID + " " + r.Title, fmt.Sprint(r.Calls), r.OutcomeCounts(), invariants, verdict(r)})
	}
	return t
}

func (o outcome) measured() table {
	t := table{head: []string{"figure", "aim", "measured", "result"}}
	for _, f := range o.figures {
		measured := f.Measured
		if f.Err != nil {
			measured = f.Err.Error()
		}
		t.rows = append(t.rows, []string{f.What, f.Aim, measured, f.Verdict()})
	}
	return t
}

func (t table) text(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, strings.ToUpper(strings.Join(t.head, "\t")))
	for _, row := range t.rows {
		fmt.Fprintln(columns, strings.Join(cells(row, "\t"), "\t"))
	}
	fmt.Fprintln(columns)
	return columns.Flush()
}

func (t table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells(row, "|"), " | "))
	}
	return b.String()
}

// cells keeps a text from ending its cell or its row.
func cells(row []string, end string) []string {
	kept := make([]string, len(row))
	for i, text := range row {
		kept[i] = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), end, "/")
	}
	return kept
}
