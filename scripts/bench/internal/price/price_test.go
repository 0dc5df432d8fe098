// Package price checks the table of what a deployment costs: list prices times
// what the service does for each request, each renewal and each minute.
package price_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/renewals"
)

// root is the folder of the tree.
const root = "../../../.."

// TestDocuments compares the table in the operator's documentation, and the figures
// in the README, with the bill.
func TestDocuments(t *testing.T) {
	if want := "\n" + table() + "\n"; !strings.Contains(read(t, "functions/README.md"), want) {
		t.Errorf("functions/README.md does not have this table:\n%s", want)
	}
	small, large := month(10, bundleMembers), month(1000, bundleMembers)
	figures := fmt.Sprintf("about $%s a month for 10 connections, $%s for 1,000; $%s and $%s with basic monitoring",
		dollars(small.together()), dollars(large.together()), dollars(small.watched(basic).together()), dollars(large.watched(basic).together()))
	if !strings.Contains(read(t, "README.md"), figures) {
		t.Errorf("README.md does not say %q", figures)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table is the Markdown table for three sizes of deployment.
func table() string {
	sizes := []float64{10, 1000, 100000}
	var b strings.Builder
	row := func(name string, cell func(connections float64) string) {
		b.WriteString("| " + name + " |")
		for _, connections := range sizes {
			b.WriteString(" " + cell(connections) + " |")
		}
		b.WriteString("\n")
	}
	row("a month, in dollars", func(connections float64) string { return grouped(connections) + " connections" })
	b.WriteString("|---|" + strings.Repeat("---:|", len(sizes)) + "\n")
	bundled := func(connections float64) bill { return month(connections, bundleMembers) }
	for _, line := range []struct {
		name string
		of   func(connections float64) float64
	}{
		{"API Gateway", func(n float64) float64 { return bundled(n).api }},
		{"Lambda", func(n float64) float64 { return bundled(n).functions }},
		{"DynamoDB", func(n float64) float64 { return bundled(n).table }},
		{"Secrets Manager, calls", func(n float64) float64 { return bundled(n).calls }},
		{"Secrets Manager, bundles of 150", func(n float64) float64 { return bundled(n).secrets }},
		{"CloudWatch, logs", func(n float64) float64 { return bundled(n).logs }},
		{"CloudWatch, metrics, alarms, dashboard", func(n float64) float64 { return bundled(n).watch }},
		{"answers to callers outside AWS", func(n float64) float64 { return bundled(n).transfer }},
		{"**together**", func(n float64) float64 { return bundled(n).together() }},
		{"with `Monitoring` `basic`", func(n float64) float64 { return bundled(n).watched(basic).together() }},
		{"with `Monitoring` `none`", func(n float64) float64 { return bundled(n).watched(none).together() }},
		{"with a secret for each connection instead", func(n float64) float64 { return month(n, 1).together() }},
	} {
		row(line.name, func(connections float64) string { return dollars(line.of(connections)) })
	}
	return b.String()
}

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

// grouped writes a whole number with commas between thousands.
func grouped(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// near reports a figure of the model that is not what was measured, within a
// tenth above and a fifth below.
func near(t *testing.T, what string, model, measured float64) {
	t.Helper()
	if measured > model*1.1 || measured < model*0.8 {
		t.Errorf("%s: the model has %.3f, measured %.3f", what, model, measured)
	}
}

// TestModel compares the model with a measured day of the service.
func TestModel(t *testing.T) {
	const connections, span = 60, 12 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		d := renewals.RunDay(t.Context(), renewals.DayConfig{Connections: connections, Lifetime: time.Hour, Warmup: 2 * time.Hour, Span: span})
		calls, minutes := float64(d.Calls), span.Minutes()
		near(t, "refreshes an hour", refreshesPerHour, calls/connections/span.Hours())
		near(t, "writes of a refresh", writesPerRefresh, d.Usage.Items.Write/calls)
		near(t, "reads of vends and refreshes", float64(d.Vends)*readsPerVend+calls*readsPerRefresh, d.Usage.Items.Read)
		near(t, "reads of a minute", readsPerMinute, (d.Usage.Index.Read+d.Usage.Documents.Read)/minutes)
		near(t, "writes of a minute", writesPerMinute, (d.Usage.Index.Write+d.Usage.Documents.Write)/minutes)
		near(t, "reads of secrets", loadsPerRefresh, float64(d.Loads)/calls)
		near(t, "pages of a tick", pages(connections), float64(d.Pages)/minutes)
		near(t, "bytes of an item", itemBytes, float64(d.Bytes)/float64(d.Items))
	})
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

// TestAlarms counts the metrics of the stack's alarms, which are billed each.
func TestAlarms(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{} // by the alarms' condition
	for _, alarm := range strings.Split(string(text), "Type: AWS::CloudWatch::Alarm\n    Condition: ")[1:] {
		alarm, _, _ = strings.Cut(alarm, "\n\n")
		condition, _, _ := strings.Cut(alarm, "\n")
		found[condition] += float64(max(strings.Count(alarm, "MetricStat:"), 1))
	}
	if found["Monitors"] != basic.alarms || found["Monitors"]+found["MonitorsFully"] != full.alarms {
		t.Errorf("the alarms have %v metrics by their condition, the model %v and %v", found, basic.alarms, full.alarms)
	}
}

// TestBasicMonitoring checks the aim for a small deployment.
func TestBasicMonitoring(t *testing.T) {
	if got := month(10, bundleMembers).watched(basic).together(); got > 5 {
		t.Errorf("10 connections with basic monitoring cost $%.2f a month, want at most 5", got)
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
