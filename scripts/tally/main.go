// Command tally reads go test -json from its standard input, shows on standard
// error what a person wants of it, and prints the counts on standard output. It
// exits with 1 when anything failed.
package main

import (
	"fmt"
	"os"

	"github.com/tokenvend/tokenvend/scripts/internal/testcount"
)

func main() {
	counts, err := testcount.Read(os.Stdin, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	}
	fmt.Println(counts)
	if counts.Failed > 0 {
		os.Exit(1)
	}
}
