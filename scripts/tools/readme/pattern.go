package readme

import (
	"fmt"
	"regexp"
	"strings"
)

// wild matches anything within a line, and alone on a line any number of lines.
const wild = "…"

// Compare looks for the patterns among the lines of an output: together and in
// order, starting anywhere. Its error shows the first pattern that no start matches.
func Compare(patterns []string, output string) error {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	furthest := 0
	for start := range lines {
		matched := matchFrom(patterns, lines[start:])
		if matched == len(patterns) {
			return nil
		}
		furthest = max(furthest, matched)
	}
	return fmt.Errorf("it does not print the line\n\t%s\nbut\n%s", patterns[furthest], output)
}

// matchFrom returns how many patterns, from the first, the lines begin with.
func matchFrom(patterns, lines []string) int {
	for i, pattern := range patterns {
		if pattern == wild {
			return i + 1 + afterGap(patterns[i+1:], lines)
		}
		if len(lines) == 0 || !matchLine(pattern, lines[0]) {
			return i
		}
		lines = lines[1:]
	}
	return len(patterns)
}

// afterGap tries the patterns after every number of skipped lines.
func afterGap(patterns, lines []string) (furthest int) {
	for skipped := range len(lines) + 1 {
		furthest = max(furthest, matchFrom(patterns, lines[skipped:]))
	}
	return furthest
}

func matchLine(pattern, line string) bool {
	parts := strings.Split(strings.TrimRight(pattern, " "), wild)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(strings.TrimRight(line, " "))
}
