package main

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/scripts/sim/scenario"
)

func TestREADMEHasTheTable(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	write(&table)
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("the README does not show what go run ./scripts/price prints:\n%s", table.String())
	}
}

// near reports whether a figure of the model is what was measured, within a
// tenth, or a little more than that.
func near(t *testing.T, what string, model, measured float64) {
	t.Helper()
	if measured > model*1.1 || measured < model*0.8 {
		t.Errorf("%s: the model has %.3f, measured are %.3f", what, model, measured)
	}
}

// TestModel holds the model against the service itself, on a virtual clock.
func TestModel(t *testing.T) {
	const connections, span = 60, 12 * time.Hour
	d, err := scenario.RunDay(t.Context(), scenario.DayConfig{Connections: connections, Lifetime: time.Hour, Environments: 4,
		Warmup: 2 * time.Hour, Span: span, Index: scenario.Wheel, Bundle: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	calls, minutes := float64(d.Calls), span.Minutes()
	vends := 0
	for _, n := range d.Vends {
		vends += n
	}
	near(t, "refreshes an hour", refreshesPerHour, calls/connections/span.Hours())
	near(t, "writes of a refresh", writesPerRefresh, d.Usage.Items.Write/calls)
	near(t, "reads of vends and refreshes", float64(vends)*readsPerVend+calls*readsPerRefresh, d.Usage.Items.Read)
	near(t, "reads of a minute", readsPerMinute, (d.Usage.Index.Read+d.Usage.Notes.Read)/minutes)
	near(t, "writes of a minute", writesPerMinute, (d.Usage.Index.Write+d.Usage.Notes.Write)/minutes)
	near(t, "reads of secrets", loadsPerRefresh, float64(d.Loads)/calls)
	near(t, "pages of a tick", pages(connections), float64(d.Lists)/minutes)
	near(t, "bytes of an item", itemBytes, float64(d.Bytes)/float64(d.Items))
}

func TestAuditLine(t *testing.T) {
	var out bytes.Buffer
	w := audit.NewWriter(audit.Config{Output: &out})
	e := w.Begin()
	e.RequestID, e.Action, e.Outcome, e.Status = strings.Repeat("r", 36), "vend", "ok", 200
	e.PrincipalARN, e.PrincipalID = "arn:aws:sts::111122223333:assumed-role/application/i-0123456789abcdef0", "AROAEXAMPLEEXAMPLEEXA:i-0123456789abcdef0"
	e.Account, e.SourceIP, e.Connection, e.SecretIncarnation = "111122223333", "192.0.2.101", "creative-force", strings.Repeat("0", 16)
	e.Source, e.TokenID, e.ExpiresAt = "table", "9f86d081884c7d65", time.Now().Add(time.Hour)
	w.Write(e)
	near(t, "bytes of an audit line", auditLine, float64(out.Len()))
}

// TestAlarms counts the metrics of the stack's alarms: each is paid for.
func TestAlarms(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, alarm := range strings.Split(string(text), "Type: AWS::CloudWatch::Alarm\n")[1:] {
		alarm, _, _ = strings.Cut(alarm, "\n\n")
		found += max(strings.Count(alarm, "MetricStat:"), 1)
	}
	if found != alarmMetrics {
		t.Errorf("the alarms have %d metrics, the model %d", found, alarmMetrics)
	}
}

func TestMonth(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"requests of three tiers", gateway(2000e6), 333*3.5 + 667*2.8 + 1000*2.38},
		{"requests of the first tier", gateway(1e6), 3.5},
		{"one page of secrets", pages(3), 1},
		{"all pages in each tick", pages(1000), 10},
		{"pages spread over a quarter of an hour", pages(1501), 2},
		{"a secret each", month(1000, 1).secrets, 1002 * 0.4},
		{"bundles", month(1000, 150).secrets, 9 * 0.4},
	} {
		t.Run(c.name, func(t *testing.T) {
			if math.Abs(c.got-c.want) > 1e-9*c.want {
				t.Errorf("%v, want %v", c.got, c.want)
			}
		})
	}
}

func TestDollars(t *testing.T) {
	for amount, want := range map[float64]string{0.001: "0", 0.26: "0.26", 9.994: "9.99", 26.4: "26", 1234567: "1,234,567", 999.6: "1,000"} {
		if got := dollars(amount); got != want {
			t.Errorf("%v is written %s, want %s", amount, got, want)
		}
	}
}
