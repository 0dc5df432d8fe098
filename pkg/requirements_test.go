// Package pkg_test checks requirements.md against the tree: an id that nothing
// defines misleads a reader, and a rule that no test cites is not proved.
package pkg_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const catalogue = "requirements.md"

var (
	row = regexp.MustCompile(`(?m)^\| ((?:OC|CR|AZ|FI|BI)-\d\d|INV-\d) \| (must|should|not offered) \| ([^|]+) \| [^|]*\|$`)
	id  = regexp.MustCompile(`\b(?:(?:OC|CR|AZ|FI|BI)-\d\d|INV-\d)\b`)
)

func TestRequirements(t *testing.T) {
	levels := levelsOf(t)
	cited, tested := citations(t)
	for _, id := range slices.Sorted(maps.Keys(cited)) {
		if levels[id] == "" {
			t.Errorf("%s cites %s, which %s does not have", cited[id], id, catalogue)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(levels)) {
		if levels[id] == "must" && !tested[id] {
			t.Errorf("no test cites %s, which is a must", id)
		}
	}
}

// levelsOf reads the level of each row of the catalogue.
func levelsOf(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for _, cells := range row.FindAllStringSubmatch(string(text), -1) {
		if levels[cells[1]] != "" {
			t.Errorf("%s has two rows", cells[1])
		}
		levels[cells[1]] = cells[2]
	}
	if begun := strings.Count(string(text), "\n| ") - 2*strings.Count(string(text), "\n| id |"); len(levels) == 0 || begun > len(levels) {
		t.Errorf("%d of %d rows have id, level, rule and source", len(levels), begun)
	}
	return levels
}

// citations finds a file that cites each id, and which ids tests cite.
func citations(t *testing.T) (cited map[string]string, tested map[string]bool) {
	t.Helper()
	cited, tested = map[string]string{}, map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "build", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular(), path == filepath.Join("..", "pkg", catalogue), !isText(path):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, id := range id.FindAllString(string(text), -1) {
			cited[id] = path
			tested[id] = tested[id] || isTest(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return cited, tested
}

func isText(path string) bool {
	return slices.Contains([]string{".go", ".md", ".yaml", ".sh", ".mjs", ".js"}, filepath.Ext(path))
}

// isTest reports whether a file belongs to tests: those of the go command, the
// packages that tests share, and the scenarios below scripts.
func isTest(path string) bool {
	return strings.HasSuffix(path, "_test.go") ||
		filepath.Ext(path) == ".go" && (strings.HasSuffix(filepath.Dir(path), "test") || strings.HasPrefix(path, "../scripts/"))
}
