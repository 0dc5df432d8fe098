package scenario_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/scripts/sim/scenario"
)

func TestDay(t *testing.T) {
	day := func(t *testing.T, index scenario.Index) scenario.Day {
		t.Helper()
		d, err := scenario.RunDay(t.Context(), scenario.DayConfig{
			Connections: 50, Lifetime: time.Hour, Environments: 4, Warmup: 2 * time.Hour, Span: 2 * time.Hour, Index: index, Seed: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Failed) > 0 {
			t.Errorf("ticks failed: %v", d.Failed)
		}
		return d
	}
	wheel := day(t, scenario.Wheel)
	t.Run("CR-25 one call per connection and 75 % of the lifetime, within 5 %", func(t *testing.T) {
		if r := wheel.Ratio(); r < 0.9 || r > 1.05 {
			t.Errorf("%.3f times one per 75 %% of the lifetime (%d calls)", r, wheel.Calls)
		}
	})
	t.Run("CR-25 renewals write nothing to the wheel's index, and rewrite one on the time", func(t *testing.T) {
		if w := wheel.Usage.Index.Write; w != 0 {
			t.Errorf("the wheel wrote %v units", w)
		}
		keyed := day(t, scenario.TimeKeyed)
		if w := keyed.Usage.Index.Write; w < 1.9*float64(keyed.Calls) {
			t.Errorf("the time-keyed index wrote %v units for %d calls, want two for each", w, keyed.Calls)
		}
	})
	t.Run("CR-30 a renewal and the mark of its token's use are three writes, reads go to table and memory", func(t *testing.T) {
		if w, most := wheel.Usage.Items.Write, 3.1*float64(wheel.Calls); w > most {
			t.Errorf("%v units written for %d calls, want at most %v", w, wheel.Calls, most)
		}
	})
}

func TestChaos(t *testing.T) {
	h, err := scenario.RunChaos(t.Context(), scenario.ChaosConfig{
		Connections: 50, Callers: 60, Environments: 20, Span: 10 * time.Minute, Rate: 0.2, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("INV-1 INV-2 INV-7 no expired or foreign token, no call without a reason, and all well afterwards", func(t *testing.T) {
		for _, breach := range h.Breaches {
			t.Error(breach)
		}
	})
	t.Run("INV-2 faults explain some calls and not most", func(t *testing.T) {
		if h.Calls > h.Vends()/20 {
			t.Errorf("%d calls for %d callers", h.Calls, h.Vends())
		}
	})
	t.Run("every kind of fault happened, and most callers were served", func(t *testing.T) {
		kinds := strings.Join(h.FaultKinds(), "\n")
		for _, kind := range []string{
			"environment died", "table read stale", "table commit answer lost", "table acquire refused", "secret refused",
			"provider: answer lost", "provider: status 429", "provider: no answer in time", "provider: status 503",
		} {
			if !strings.Contains(kinds, kind) {
				t.Errorf("no %s", kind)
			}
		}
		served := 0
		for _, n := range h.Served {
			served += n
		}
		if served < h.Vends()*95/100 || h.Vends() < 3000 {
			t.Errorf("%d of %d callers were served", served, h.Vends())
		}
	})
}

func TestLoad(t *testing.T) {
	l, err := scenario.RunLoad(t.Context(), scenario.LoadConfig{
		Due: 500, Hosts: 8, Latency: 300 * time.Millisecond, Poisoned: 1, Hanging: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("CR-25 the healthy are renewed although others hang or are refused", func(t *testing.T) {
		if l.Renewed != l.Healthy() || l.LastAfter > 6*time.Second {
			t.Errorf("%d of %d renewed, the last after %v", l.Renewed, l.Healthy(), l.LastAfter)
		}
		if failed := l.Run.Failed; failed["provider_timeout"] != 10 || failed["provider_rejected"] != 1 {
			t.Errorf("failed: %v", failed)
		}
	})
	t.Run("CR-25 at most 64 at once and 16 per host, and no fewer than that allows", func(t *testing.T) {
		if l.AtOnce != 64 || l.PerHost > 16 {
			t.Errorf("%d at once, %d per host", l.AtOnce, l.PerHost)
		}
	})
}

func TestLoadOfOneHost(t *testing.T) {
	t.Run("CR-25 one host is asked 16 times at once, however much of it is due", func(t *testing.T) {
		l, err := scenario.RunLoad(t.Context(), scenario.LoadConfig{Due: 100, Hosts: 1, Latency: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if l.PerHost != 16 || l.Renewed != 100 {
			t.Errorf("%d at once, %d renewed", l.PerHost, l.Renewed)
		}
	})
}

func TestOutage(t *testing.T) {
	for _, lasts := range []time.Duration{10 * time.Minute, time.Hour, 3 * time.Hour} {
		t.Run("CR-25 CR-26 "+lasts.String()+" without a tick", func(t *testing.T) {
			o, err := scenario.RunOutage(t.Context(), scenario.OutageConfig{
				Connections: 80, Before: time.Hour, Lasts: lasts, Seed: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(o.Missed)+len(o.Twice)+o.Unserved > 0 {
				t.Errorf("missed %v, twice %v, %d callers not served", o.Missed, o.Twice, o.Unserved)
			}
			if o.Due == 0 || o.Renewed == 0 {
				t.Errorf("%d were due, %d renewed", o.Due, o.Renewed)
			}
		})
	}
}

func TestRows(t *testing.T) {
	rows, err := scenario.Rows(t.Context(), scenario.Config{
		Only: []string{scenario.Costs, scenario.Days}, Connections: 20, Hours: 1, WarmHours: 0.5,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.What == "" || r.Measured == "" {
			t.Errorf("a row without text: %+v", r)
		}
	}
	if len(rows) < 8 {
		t.Errorf("%d rows", len(rows))
	}
	if _, err := scenario.Rows(t.Context(), scenario.Config{Only: []string{"nothing"}}); err == nil {
		t.Error("an unknown simulation is not refused")
	}
}
