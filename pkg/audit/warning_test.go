package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/audit"
)

// TestEveryWarningIsDescribed checks that the table has one row for each
// constant: a constant without a row has neither a meaning nor a metric.
func TestEveryWarningIsDescribed(t *testing.T) {
	rows := map[audit.Warning]int{}
	for _, w := range audit.Warnings() {
		rows[w.Warning]++
		if w.Meaning == "" {
			t.Errorf("%s has no meaning", w.Warning)
		}
	}
	constants := declared(t)
	for _, w := range constants {
		if rows[w] != 1 {
			t.Errorf("%s has %d rows, want 1", w, rows[w])
		}
	}
	if len(rows) != len(constants) {
		t.Errorf("%d rows for %d constants", len(rows), len(constants))
	}
}

// declared returns the constants of type Warning in warning.go.
func declared(t *testing.T) (all []audit.Warning) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "warning.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Warning" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, audit.Warning(text))
		}
		return true
	})
	if len(all) == 0 {
		t.Fatal("no constant of type Warning found")
	}
	return all
}

// word matches a literal in the form of a warning, as opposed to a log message.
var word = regexp.MustCompile(`^"[a-z0-9_]+"$`)

// TestWarningsAreConstants checks that no package passes a string literal to
// Warn: a misspelled literal would compile and would silence its alarm.
func TestWarningsAreConstants(t *testing.T) {
	calls := 0
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Warn" {
				return true
			}
			calls++
			for _, argument := range call.Args {
				if text, literal := argument.(*ast.BasicLit); literal && word.MatchString(text.Value) {
					t.Errorf("%s calls Warn with the literal %s", path, text.Value)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || calls == 0 {
		t.Fatalf("%d calls of Warn, %v", calls, err)
	}
}

// TestWarningsWithMetricHaveAnAlarm checks that the template has an alarm on the
// metric of every warning that has one.
func TestWarningsWithMetricHaveAnAlarm(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range audit.Warnings() {
		if w.Metric != "" && !strings.Contains(string(template), "MetricName: "+w.Metric) {
			t.Errorf("AZ-57 no alarm on %s, the metric of %s", w.Metric, w.Warning)
		}
	}
}
