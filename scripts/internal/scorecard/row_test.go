package scorecard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name              string
		aim               scorecard.Aim
		compared          scorecard.Comparison
		unit              scorecard.Unit
		verdict, measured string
	}{
		{"below an upper bound", scorecard.AtMost(2.5), scorecard.Comparison{Ours: 0.006, Baseline: 0.003}, scorecard.Seconds, "pass", "2.000 (6.00 ms / 3.00 ms)"},
		{"at an upper bound", scorecard.AtMost(2.5), scorecard.Comparison{Ours: 5, Baseline: 2}, scorecard.Seconds, "pass", "2.500 (5.00 s / 2.00 s)"},
		{"a little above an upper bound, and rounded to it", scorecard.AtMost(2.5), scorecard.Comparison{Ours: 2.5001, Baseline: 1}, scorecard.Seconds, "miss", "2.500 (2.50 s / 1.00 s)"},
		{"above a lower bound", scorecard.AtLeast(0.4), scorecard.Comparison{Ours: 15000, Baseline: 30000}, scorecard.PerSecond, "pass", "0.500 (15000/s / 30000/s)"},
		{"at a lower bound", scorecard.AtLeast(0.5), scorecard.Comparison{Ours: 1, Baseline: 2}, scorecard.PerSecond, "pass", "0.500 (1/s / 2/s)"},
		{"below a lower bound", scorecard.AtLeast(0.4), scorecard.Comparison{Ours: 3, Baseline: 10}, scorecard.PerSecond, "miss", "0.300 (3/s / 10/s)"},
		{"microseconds", scorecard.AtMost(1), scorecard.Comparison{Ours: 0.0000155, Baseline: 0.000031}, scorecard.Seconds, "pass", "0.500 (15.50 µs / 31.00 µs)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			row := tc.aim.Judge("what", tc.compared, tc.unit)
			if row.Verdict() != tc.verdict || row.Measured != tc.measured {
				t.Errorf("%s %s, want %s %s", row.Measured, row.Verdict(), tc.measured, tc.verdict)
			}
		})
	}
}

var card = scorecard.Card{Machine: "go1 linux, 2 CPUs", Rows: []scorecard.Row{
	scorecard.AtMost(2.5).Judge("cold", scorecard.Comparison{Ours: 2, Baseline: 1}, scorecard.Seconds),
	scorecard.AtLeast(0.4).Judge("server", scorecard.Comparison{Ours: 1, Baseline: 10}, scorecard.PerSecond),
	{What: "as it happens", Measured: "7", Met: true},
	{What: "size", Aim: "≤ 4 MB", Met: true, Err: errors.New("no such|file\nhere")},
}}

func TestWriteText(t *testing.T) {
	var out strings.Builder
	if err := card.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `go1 linux, 2 CPUs

WHAT           AIM     MEASURED                 RESULT
cold           ≤ 2.5   2.000 (2.00 s / 1.00 s)  pass
server         ≥ 0.4   0.100 (1/s / 10/s)       miss
as it happens  -       7                        -
size           ≤ 4 MB  no such|file here        not measured
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestComplete(t *testing.T) {
	if card.Complete() {
		t.Error("complete, although one row was not measured")
	}
	if !(scorecard.Card{Rows: card.Rows[:3]}).Complete() {
		t.Error("a miss counts as not measured")
	}
}
