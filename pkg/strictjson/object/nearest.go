package object

import (
	"math"
	"strings"
)

// nearest finds the known name that a misspelled one most likely means: at most
// two edits away, fewer for a short name.
func nearest(name string, known []string) (string, bool) {
	const longest = 40
	if len(name) > longest {
		return "", false
	}
	best, distance := "", math.MaxInt
	for _, candidate := range known {
		if d := editDistance(strings.ToLower(name), candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best, distance <= min(2, len(name)/3)
}

// editDistance counts the single-byte insertions, removals and replacements
// that turn a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
