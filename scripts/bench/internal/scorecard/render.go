package scorecard

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Card is a whole run.
type Card struct {
	// Machine is one line about where it was measured: without it the absolute
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
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tAIM\tMEASURED\tRESULT")
	for _, r := range c.Rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.What, r.aim(), oneLine(r.measured()), r.Verdict())
	}
	return table.Flush()
}

// WriteMarkdown writes the card as a table of GitHub's Markdown.
func (c Card) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| what | aim | measured | result |\n|---|---|---|---|\n", c.Machine)
	for _, r := range c.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(r.What), cell(r.aim()), cell(r.measured()), r.Verdict())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell keeps text from ending its cell or its row.
func cell(text string) string { return strings.ReplaceAll(oneLine(text), "|", `\|`) }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
