package renewals_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/renewals"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

var (
	full    = flag.Bool("full", false, "measure at full size")
	figures = flag.String("figures", "", "write the rows of TestFigures to this `file`")
)

// TestFigures measures what make bench shows. Without -full it is small.
func TestFigures(t *testing.T) {
	day := renewals.DayConfig{Connections: 50, Lifetime: time.Hour, Warmup: 2 * time.Hour, Span: 3 * time.Hour}
	burst := renewals.BurstConfig{Due: 500, Hosts: 8, Latency: 300 * time.Millisecond, Refused: 1, Hanging: 10}
	outages, connections := []time.Duration{10 * time.Minute, time.Hour, 3 * time.Hour}, 80
	if *full {
		day.Connections, day.Span, burst.Due = 10_000, 24*time.Hour, 5000
		outages, connections = []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour}, 1000
	}
	var rows []scorecard.Row
	t.Run("CR-25 CR-30 a day: one request for each 75 % of a lifetime, no write to the index, three for a renewal", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := renewals.RunDay(t.Context(), day)
			if d.Ratio() < 0.9 {
				t.Errorf("%.3f requests for each 75 %% of a lifetime: too few to keep the tokens fresh", d.Ratio())
			}
			rows = append(rows, d.Rows()...)
		})
	})
	t.Run("CR-25 a burst: tokens are renewed although others hang or are refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { rows = append(rows, renewals.RunBurst(t.Context(), burst).Row()) })
	})
	for _, lasts := range outages {
		t.Run("CR-25 CR-26 the first tick after "+lasts.String()+" without", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { rows = append(rows, outage(t, connections, lasts).Row()) })
		})
	}
	for _, row := range rows {
		if !row.Met && !*full {
			t.Errorf("%s: %s, aim %s", row.What, row.Measured, row.Aim)
		}
	}
	write(t, rows)
}

func outage(t *testing.T, connections int, lasts time.Duration) renewals.Outage {
	t.Helper()
	o, err := renewals.RunOutage(t.Context(), renewals.OutageConfig{Connections: connections, Before: 3 * time.Hour, Lasts: lasts})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func write(t *testing.T, rows []scorecard.Row) {
	t.Helper()
	if *figures == "" {
		return
	}
	text, err := json.Marshal(rows)
	if err == nil {
		err = os.WriteFile(*figures, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBurst(t *testing.T) {
	t.Run("CR-25 failures are counted by kind, at most 64 at once and 16 per host, and no fewer than that allows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := renewals.RunBurst(t.Context(), renewals.BurstConfig{
				Due: 500, Hosts: 8, Latency: 300 * time.Millisecond, Refused: 1, Hanging: 10,
			})
			if failed := b.Run.Failed; failed["provider_timeout"] != 10 || failed["provider_rejected"] != 1 {
				t.Errorf("failed: %v", failed)
			}
			if b.AtOnce != 64 || b.PerHost > 16 {
				t.Errorf("%d at once, %d per host", b.AtOnce, b.PerHost)
			}
			if b.LastAfter > 6*time.Second {
				t.Errorf("the last token was issued after %v", b.LastAfter)
			}
		})
	})
	t.Run("CR-25 one host is asked 16 times at once, however much of it is due", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := renewals.RunBurst(t.Context(), renewals.BurstConfig{Due: 100, Hosts: 1, Latency: time.Second})
			if b.PerHost != 16 || b.Run.Renewed != 100 {
				t.Errorf("%d at once, %d renewed", b.PerHost, b.Run.Renewed)
			}
		})
	})
}

// TestMisses checks that the rows do not pass whatever happens.
func TestMisses(t *testing.T) {
	day := renewals.Day{DayConfig: renewals.DayConfig{Connections: 1, Lifetime: time.Hour, Span: time.Hour}, Calls: 5, Unserved: 1}
	day.Usage.Index.Write, day.Usage.Items.Write = 1, 20
	burst := renewals.Burst{BurstConfig: renewals.BurstConfig{Due: 2}, Run: audit.Run{Renewed: 1}}
	rows := append(day.Rows(), burst.Row())
	for _, o := range []renewals.Outage{{}, {Due: 1}, {Due: 1, Renewed: 1, Missed: []string{"x"}},
		{Due: 1, Renewed: 1, Twice: []string{"x"}}, {Due: 1, Renewed: 1, Unserved: 1}} {
		rows = append(rows, o.Row())
	}
	for _, row := range rows {
		if row.Met {
			t.Errorf("%s: %s passes, aim %s", row.What, row.Measured, row.Aim)
		}
	}
}
