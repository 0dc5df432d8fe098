// Command price works out what a deployment costs a month, from list prices and
// from what the service does for each request, each renewal and each minute. It
// prints a Markdown table, which the README shows.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// sizes are the deployments that are worked out, in connections.
var sizes = []float64{10, 1000, 100000}

func main() { write(os.Stdout) }

// write prints the assumptions and the table.
func write(out io.Writer) {
	fmt.Fprintln(out, assumptions)
	fmt.Fprintln(out)
	fmt.Fprintln(out, "| a month, in dollars |"+cells(sizes, count)+"\n|---|"+strings.Repeat("---:|", len(sizes)))
	var all []bills
	for _, connections := range sizes {
		all = append(all, bills{bundled: month(connections, bundleMembers), apart: month(connections, 1)})
	}
	for _, line := range lines {
		fmt.Fprintln(out, "| "+line.name+" |"+cells(all, func(b bills) string { return dollars(line.of(b)) }))
	}
}

func cells[T any](all []T, text func(T) string) string {
	var b strings.Builder
	for _, one := range all {
		b.WriteString(" " + text(one) + " |")
	}
	return b.String()
}

func count(connections float64) string { return grouped(connections) + " connections" }

// dollars rounds to what is worth knowing.
func dollars(amount float64) string {
	switch {
	case amount < 0.005:
		return "0"
	case amount < 9.995:
		return fmt.Sprintf("%.2f", amount)
	}
	return grouped(amount)
}

// grouped writes a whole number with its thousands apart.
func grouped(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
