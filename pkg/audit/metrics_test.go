package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/audit"
)

// addWarnings adds every warning twice.
func addWarnings(e *audit.Entry) {
	for range 2 {
		for _, w := range audit.Warnings() {
			e.Warn(w.Warning)
		}
	}
}

func TestWarningsWithMetric(t *testing.T) {
	want := map[audit.Warning]string{
		"grant_expires_7d": "GrantsExpiringIn7Days", "grant_expires_1d": "GrantsExpiringIn1Day", "refresh_token_unsaved": "RefreshTokensUnsaved",
		"refresh_ambiguous": "RefreshesAmbiguous", "grant_corrupt": "GrantsUnreadable", "token_not_stored": "TokensUnstored",
	}
	got := map[audit.Warning]string{}
	for _, w := range audit.Warnings() {
		if w.Metric != "" {
			got[w.Warning] = w.Metric
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("AZ-57 metrics of warnings (-want +got):\n%s", diff)
	}
	for warning, metric := range want {
		t.Run("AZ-57 "+string(warning), func(t *testing.T) {
			with := line(t, func(e *audit.Entry) { e.Warn(audit.ItemCorrupt, warning, warning) })
			if with[metric] != 1.0 {
				t.Errorf("%s is %v, want 1", metric, with[metric])
			}
			if without := line(t, func(e *audit.Entry) { e.Warn(audit.ItemCorrupt) }); without[metric] != nil {
				t.Errorf("%s is %v without the warning", metric, without[metric])
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for status, want := range map[int]float64{0: 0, 200: 0, 204: 0, 409: 0, 429: 0, 499: 0, 500: 1, 503: 1, 504: 1} {
		t.Run(fmt.Sprintf("AZ-57 status %d", status), func(t *testing.T) {
			if got := line(t, func(e *audit.Entry) { e.Status = status })["Faults"]; got != want {
				t.Errorf("Faults %v, want %v", got, want)
			}
		})
	}
}

// basicMetrics are what the alarms that wake people are about, with their dimensions.
var basicMetrics = map[string]string{
	"Faults": "action", "Requests": "action + outcome", "RenewalsDue": "action", "RenewalsFailed": "action",
	"GrantsExpiringIn7Days": "none", "GrantsExpiringIn1Day": "none", "RefreshTokensUnsaved": "none",
	"RefreshesAmbiguous": "none", "GrantsUnreadable": "none", "TokensUnstored": "none",
}

func TestBasicMetrics(t *testing.T) {
	var out bytes.Buffer
	w := audit.NewWriter(audit.Config{Output: &out, Metrics: audit.BasicMetrics})
	for _, action := range []string{"vend", "renew", "list"} {
		for _, outcome := range []string{"ok", "authorization_required"} {
			e := everything(w)
			e.Action, e.Outcome = action, outcome
			w.Write(e)
		}
	}
	w.WriteRun(audit.Run{Action: "tick"})
	w.WriteRun(audit.Run{Action: "change"})
	got := map[string]string{}
	for name, text := range metricsIn(t, &out) {
		_, got[name], _ = strings.Cut(text, "; ")
	}
	if diff := cmp.Diff(basicMetrics, got); diff != "" {
		t.Errorf("AZ-57 basic metrics (-want +got):\n%s", diff)
	}
	for text, want := range map[string]int{`"Name":"Faults"`: 2, `"Name":"Requests"`: 2, `"Name":"RenewalsDue"`: 1} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("AZ-57 %s is published %d times, want %d: every action is a metric of its own", text, got, want)
		}
	}
}

// TestNoMetrics checks that the lines stay, without metrics.
func TestNoMetrics(t *testing.T) {
	var out, full bytes.Buffer
	for output, metrics := range map[*bytes.Buffer]audit.Metrics{&out: audit.NoMetrics, &full: audit.AllMetrics} {
		w := audit.NewWriter(audit.Config{Output: output, Metrics: metrics, Now: func() time.Time { return noon }})
		w.Write(everything(w))
		w.WriteRun(audit.Run{Action: "tick"})
	}
	lines, wanted := strings.SplitAfter(out.String(), "\n"), strings.SplitAfter(full.String(), "\n")
	for i, text := range lines[:2] {
		_, want, _ := strings.Cut(wanted[i], `"msg"`)
		_, got, _ := strings.Cut(text, `"msg"`)
		if strings.Contains(text, "_aws") || got != want || !json.Valid([]byte(text)) {
			t.Errorf("AZ-56 AZ-57 line %s, want %s", text, want)
		}
	}
}

// TestMetricsAreDocumented compares the table of metrics with what is published:
// dashboards and alarms are built from the table.
func TestMetricsAreDocumented(t *testing.T) {
	documented := map[string]string{}
	for _, cells := range rows(t, "Metrics", 4) {
		if cells[3] == "" {
			t.Errorf("AZ-57 %s has no meaning", cells[0])
		}
		documented[cells[0]] = cells[1] + "; " + cells[2]
	}
	if diff := cmp.Diff(published(t), documented); diff != "" {
		t.Errorf("AZ-57 metrics (-published +documented):\n%s", diff)
	}
}

// TestWarningsAreDocumented compares the table of warnings with the constants.
func TestWarningsAreDocumented(t *testing.T) {
	var want [][]string
	for _, w := range audit.Warnings() {
		want = append(want, []string{string(w.Warning), w.Metric, w.Meaning})
	}
	if diff := cmp.Diff(want, rows(t, "Warnings", 3)); diff != "" {
		t.Errorf("AZ-57 warnings (-code +documented):\n%s", diff)
	}
}

// rows returns the cells of the table below a heading of the operator's
// documentation, without backquotes.
func rows(t *testing.T, heading string, columns int) (table [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../functions/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no section %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for row := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if len(cells) != columns || !strings.Contains(cells[0], "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "`", ""))
		}
		table = append(table, cells)
	}
	return table
}

// published returns unit and dimensions of every metric.
func published(t *testing.T) map[string]string {
	t.Helper()
	var out bytes.Buffer
	w := audit.NewWriter(audit.Config{Output: &out, Now: func() time.Time { return noon }})
	w.Write(everything(w))
	w.WriteRun(audit.Run{Action: "tick"})
	return metricsIn(t, &out)
}

// metricsIn returns unit and dimensions of every metric in the lines.
func metricsIn(t *testing.T, out *bytes.Buffer) map[string]string {
	t.Helper()
	all := map[string]string{}
	for text := range strings.Lines(out.String()) {
		var members struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				}
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatal(err)
		}
		for _, d := range members.AWS.CloudWatchMetrics {
			for _, m := range d.Metrics {
				all[m.Name] = m.Unit + "; " + dimensions(d.Dimensions)
			}
		}
	}
	return all
}

// everything returns an entry whose line has every metric.
func everything(w *audit.Writer) *audit.Entry {
	e := w.Begin()
	e.ExpiresAt, e.SecretFallback, e.Provider.Outcome = noon.Add(time.Hour), true, "ok"
	addWarnings(e)
	return e
}

// dimensions writes sets of dimensions as the documentation does.
func dimensions(sets [][]string) string {
	var all []string
	for _, set := range sets {
		all = append(all, strings.Join(set, " + "))
	}
	if len(sets) == 1 && len(sets[0]) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
