// Package testcount counts what go test -json reports, so that the number of
// tests that ran is read off and not believed.
//
// What counts is a test without subtests, or one that failed although none of
// its subtests did. A package that fails without a failing test (it does not
// build, it panics, a test began and never ended) counts as one failure.
package testcount

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Counts are the outcomes of one run.
type Counts struct{ Passed, Failed, Skipped int }

// String is the line that ends a run.
func (c Counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, c.Failed, c.Skipped)
}

// event is one line of go test -json (see go doc test2json). The build's own
// lines name the package in ImportPath.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// Read consumes a report. To out it writes what a reader of the plain output
// would want: each package's verdict, and everything printed by what failed or
// was skipped. Lines that are not of a report are passed on. Reports of several
// modules may follow one another.
func Read(report io.Reader, out io.Writer) (Counts, error) {
	c := collector{out: out, verdicts: map[test]string{}, printed: map[test]*strings.Builder{}, parents: map[test]bool{}}
	lines := bufio.NewReader(report)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			c.take(line)
		}
		if err == io.EOF {
			return c.counts(), nil
		}
		if err != nil {
			return Counts{}, fmt.Errorf("read the report: %w", err)
		}
	}
}

// test names one test, or a package with name empty.
type test struct{ pkg, name string }

func (t test) parent() (test, bool) {
	i := strings.LastIndexByte(t.name, '/')
	if i < 0 {
		return test{}, false
	}
	return test{t.pkg, t.name[:i]}, true
}

type collector struct {
	out      io.Writer
	verdicts map[test]string
	printed  map[test]*strings.Builder
	parents  map[test]bool
}

func (c *collector) take(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(c.out, line)
		return
	}
	t := test{e.Package, e.Test}
	switch e.Action {
	case "output":
		c.print(t, e.Output)
	case "build-output":
		fmt.Fprint(c.out, e.Output)
	case "pass", "fail", "skip":
		c.settle(t, e.Action)
	}
}

func (c *collector) print(t test, text string) {
	if c.printed[t] == nil {
		c.printed[t] = new(strings.Builder)
	}
	c.printed[t].WriteString(text)
}

// settle notes a verdict. A package comes after its tests.
func (c *collector) settle(t test, verdict string) {
	c.verdicts[t] = verdict
	if parent, ok := t.parent(); ok {
		c.parents[parent] = true
	}
	if text := c.printed[t]; text != nil && (t.name == "" || verdict != "pass") {
		fmt.Fprint(c.out, text)
	}
	delete(c.printed, t)
}

func (c *collector) counts() Counts {
	var n Counts
	blamed := c.blamed()
	for t, verdict := range c.verdicts {
		switch {
		case verdict == "fail" && !blamed[t]:
			n.Failed++
		case t.name == "" || c.parents[t]:
		case verdict == "pass":
			n.Passed++
		case verdict == "skip":
			n.Skipped++
		}
	}
	return n
}

// blamed are the tests and packages whose failure is that of something inside.
func (c *collector) blamed() map[test]bool {
	blamed := map[test]bool{}
	for t, verdict := range c.verdicts {
		if verdict != "fail" || t.name == "" {
			continue
		}
		blamed[test{pkg: t.pkg}] = true
		if parent, ok := t.parent(); ok {
			blamed[parent] = true
		}
	}
	return blamed
}
