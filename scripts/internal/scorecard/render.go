package scorecard

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Card is a whole run.
type Card struct {
	// Machine is one line about where it was measured, without which the absolute
	// figures mean nothing.
	Machine string
	Rows    []Row
}

// Complete reports whether every row was measured, met or not.
func (c Card) Complete() bool {
	for _, r := range c.Rows {
		if r.Err != nil {
			return false
		}
	}
	return true
}

// WriteText writes the card for a terminal.
func (c Card) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", c.Machine)
	return Figures(c.Rows).WriteText(w)
}

// Table is rows of cells under a head.
type Table struct {
	Head []string
	Rows [][]string
}

// Figures is the table of measured rows.
func Figures(rows []Row) Table {
	t := Table{Head: []string{"what", "aim", "measured", "result"}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.What, r.aim(), r.measured(), r.Verdict()})
	}
	return t
}

// WriteText writes the table for a terminal.
func (t Table) WriteText(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, strings.ToUpper(strings.Join(t.Head, "\t")))
	for _, row := range t.Rows {
		for i, text := range row {
			row[i] = strings.Join(strings.Fields(text), " ") // one line, without the tabs that end a cell
		}
		fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	return columns.Flush()
}
