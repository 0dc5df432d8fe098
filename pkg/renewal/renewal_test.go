package renewal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestRenewedBeforeACallerWaits(t *testing.T) {
	for _, lifetime := range []time.Duration{6 * time.Minute, time.Hour, 30 * 24 * time.Hour} {
		t.Run(fmt.Sprint("CR-02 with tokens of ", lifetime), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.server.lifetime = lifetime
				f.secrets.put("crm", declaration("crm"))
				f.vend("crm")
				for range 90 {
					f.ticks(1)
					before := f.server.total()
					f.vend("crm")
					if f.server.total() != before {
						t.Fatal("a caller waited for the provider")
					}
				}
			})
		})
	}
}

func TestOnlyUsedTokensAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("crm", declaration("crm"))
		f.vend("crm")
		sum := f.ticks(180)
		if sum.Renewed != 1 || f.server.total() != 2 {
			t.Errorf("renewed %d times in three hours, %d calls; want once: the renewed token was not used", sum.Renewed, f.server.total())
		}
		f.vend("crm")
		f.ticks(1)
		f.vend("crm")
		if sum := f.ticks(60); sum.Renewed != 1 {
			t.Errorf("renewed %d times once it is used again, want 1", sum.Renewed)
		}
	})
}

func TestTickIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.ticks(1)
		for i := range 20 {
			name := fmt.Sprint("c", i)
			f.secrets.put(name, declaration(name))
			f.vend(name)
		}
		time.Sleep(57 * time.Minute) // the whole cycle was missed
		f.server.latency = time.Second
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { f.process().Tick(t.Context()) })
		}
		wg.Wait()
		f.renewer.Tick(t.Context())
		if total := f.server.total(); total != 40 {
			t.Errorf("FI-39 %d calls for 20 connections, want each minted and renewed once", total)
		}
	})
}

func TestFailedRenewalsAreRetriedInTheirMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("crm", declaration("crm"))
		f.vend("crm")
		f.server.refuse = func(oauth.Request) error {
			return &oauth.Error{Kind: oauth.Unavailable, Trace: oauth.Trace{Calls: 1, Status: 503}}
		}
		for range 44 {
			if f.ticks(1); f.server.total() > 1 {
				break
			}
		}
		item, _ := f.store.Get(t.Context(), tokenstore.Key{Connection: "crm"}, true)
		if !strings.HasPrefix(item.RenewSlot, "at/") || item.Failure.Count != 1 {
			t.Fatalf("CR-25 slot %s after %d failures, want a retry slot", item.RenewSlot, item.Failure.Count)
		}
		f.server.refuse = nil
		sum := f.ticks(2)
		item, _ = f.store.Get(t.Context(), tokenstore.Key{Connection: "crm"}, true)
		if sum.Renewed != 1 || !strings.HasPrefix(item.RenewSlot, "45/") {
			t.Errorf("CR-25 renewed %d, slot %s; want it renewed and back in its slot", sum.Renewed, item.RenewSlot)
		}
	})
}

func TestHangingProviderDelaysOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.ticks(1)
		const hosts, each = 8, 50
		for i := range hosts * each {
			name := fmt.Sprint("c", i)
			f.secrets.put(name, strings.Replace(declaration(name), "idp.", fmt.Sprintf("idp%d.", i%hosts), 1))
			f.vend(name)
		}
		f.server.busy, f.server.busiest = map[string]int{}, map[string]int{}
		f.server.latency, f.server.hangs = 300*time.Millisecond, "idp0."
		time.Sleep(57 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 55*time.Second)
		defer cancel()
		run := f.renewer.Tick(ctx)
		if run.Renewed != (hosts-1)*each || run.Failed["provider_timeout"]+run.LeftOver != each {
			t.Errorf("FI-40 %+v; want every host but one renewed", run)
		}
		if run.Duration > 55*time.Second {
			t.Errorf("FI-40 took %v", run.Duration)
		}
		if f.server.busiest[""] > 64 || f.server.busiest["https://idp1.example.com/token"] > 16 {
			t.Errorf("CR-25 at once: %v", f.server.busiest)
		}
	})
}

// broken is a core whose Inspect fails or panics for some keys.
type broken struct {
	renewal.Core
	fail func(tokenstore.Key) error
}

func (b broken) Inspect(ctx context.Context, key tokenstore.Key, next time.Time) (vending.Renewal, error) {
	if err := b.fail(key); err != nil {
		return vending.Renewal{}, err
	}
	return b.Core.Inspect(ctx, key, next)
}

func TestOneTokenDoesNotStopTheOthers(t *testing.T) {
	due := func(t *testing.T, fail func(tokenstore.Key) error) (*fixture, audit.Run) {
		f := newFixture(t)
		f.ticks(1)
		for _, name := range []string{"a", "b", "c"} {
			f.secrets.put(name, declaration(name))
			f.vend(name)
		}
		time.Sleep(57 * time.Minute)
		r := renewal.New(renewal.Config{Core: broken{f.core, fail}, Index: f.store, Documents: f.store, Versions: f.secrets, Audit: f.audit})
		return f, r.Tick(t.Context())
	}
	t.Run("INV-5 a panic is one failure, and its value is not logged", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, run := due(t, func(key tokenstore.Key) error {
				if key.Connection == "b" {
					panic("canary")
				}
				return nil
			})
			if run.Renewed != 2 || run.Failed["internal_error"] != 1 || strings.Contains(f.log.String(), "canary") {
				t.Errorf("%+v", run)
			}
		})
	})
	t.Run("BI-72 a corrupt grant has its own audit line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, _ := due(t, func(key tokenstore.Key) error {
				if key.Connection == "b" {
					return problem.New(problem.InternalError, "x")
				}
				return nil
			})
			if !strings.Contains(f.log.String(), `"action":"renew","outcome":"internal_error"`) {
				t.Errorf("no audit line: %s", f.log)
			}
		})
	})
	t.Run("CR-25 an item that could not be read is retried in the next minute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, run := due(t, func(key tokenstore.Key) error {
				if key.Connection == "b" {
					return problem.New(problem.StoreUnavailable, "x")
				}
				return nil
			})
			item, _ := f.store.Get(t.Context(), tokenstore.Key{Connection: "b"}, true)
			if run.Renewed != 2 || !strings.HasPrefix(item.RenewSlot, "at/") {
				t.Fatalf("%+v, slot %s", run, item.RenewSlot)
			}
			if run := f.ticks(2); run.Renewed != 1 {
				t.Errorf("two minutes later: %+v", run)
			}
		})
	})
}

func TestEvents(t *testing.T) {
	scheduled := `{"source":"aws.events","detail-type":"Scheduled Event","time":"2020-01-01T00:00:00Z","detail":{}}`
	label := func(name, label string) string {
		return fmt.Sprintf(`{"source":"aws.secretsmanager","detail-type":"Secret Label Updated","detail":{"name":%q,"labelUpdated":%q,"versionId":"v2"}}`, name, label)
	}
	tests := []struct{ name, event, refused string }{
		{"a schedule", scheduled, ""},
		{"BI-70 a replay from an archive is a tick like any other", strings.Replace(scheduled, "{", `{"replay-name":"r",`, 1), ""},
		{"a changed secret", label("tokenvend/crm", "AWSCURRENT"), ""},
		{"BI-66 AWSPENDING is ignored", label("tokenvend/crm", "AWSPENDING"), "AWSCURRENT"},
		{"a secret without the prefix", label("other/crm", "AWSCURRENT"), "prefix"},
		{"BI-71 an invalid name", label("tokenvend/../x", "AWSCURRENT"), "name"},
		{"BI-70 an unknown source", `{"source":"evil","detail-type":"Scheduled Event"}`, "expected"},
		{"BI-70 empty", `{}`, "expected"},
		{"BI-70 null", `null`, "expected"},
		{"BI-70 not an object", `[1]`, "EventBridge"},
		{"BI-70 wrong types", `{"source":7}`, "EventBridge"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("crm", declaration("before"))
				f.vend("crm")
				f.secrets.put("crm", declaration("after"))
				var reason string
				handler := &renewal.Handler{Renewer: f.renewer, SecretPrefix: "tokenvend/", Refused: func(r string) { reason = r }}
				out, err := handler.Invoke(t.Context(), []byte(tt.event))
				if err != nil || !json.Valid(out) {
					t.Fatalf("answer %s, %v", out, err)
				}
				if tt.refused == "" && reason != "" || !strings.Contains(reason, tt.refused) {
					t.Errorf("refused %q, want %q", reason, tt.refused)
				}
				if worked := strings.Contains(string(out), `"reissued":1`); worked != (tt.refused == "") {
					t.Errorf("answer %s", out)
				}
			})
		})
	}
}

func TestRunIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("crm", declaration("crm"))
		f.ticks(1)
		f.vend("crm")
		f.log.Reset()
		time.Sleep(57 * time.Minute)
		f.renewer.Tick(t.Context())
		var line map[string]any
		lines := strings.Split(strings.TrimSpace(f.log.String()), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]any{"msg": "run", "action": "tick", "RenewalsDue": 1.0, "Renewed": 1.0, "RenewalsFailed": 0.0, "RenewalsLeftOver": 0.0} {
			if line[key] != want {
				t.Errorf("%s = %v, want %v", key, line[key], want)
			}
		}
		if !strings.Contains(lines[0], `"action":"renew"`) || !strings.Contains(lines[0], `"connection":"crm"`) || len(lines) != 2 {
			t.Errorf("AZ-56 lines %q", lines)
		}
	})
}
