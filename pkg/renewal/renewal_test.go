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

// house is the whole service but for its edges, in the time of a synctest
// bubble: sleeping is how a test lets time pass.
// process is another cold renewer of the same house.
// ticks runs the renewer every minute, as the schedule does.
// server is a provider that names its tokens after client and count.
// secretSource is a source whose operator is the test.
func TestRenewedBeforeAnybodyWaits(t *testing.T) {
	for _, lifetime := range []time.Duration{6 * time.Minute, time.Hour, 30 * 24 * time.Hour} {
		t.Run(fmt.Sprint("CR-02 with tokens of ", lifetime), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				h.server.lifetime = lifetime
				h.secrets.put("crm", declaration("crm"))
				h.vend("crm")
				for range 90 {
					h.ticks(1)
					before := h.server.total()
					h.vend("crm")
					if h.server.total() != before {
						t.Fatal("a caller waited for the provider")
					}
				}
			})
		})
	}
}

func TestOnlyUsedTokensAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.secrets.put("crm", declaration("crm"))
		h.vend("crm")
		sum := h.ticks(180)
		if sum.Renewed != 1 || h.server.total() != 2 {
			t.Errorf("renewed %d times in three hours, %d calls; want once: nobody used the renewed one", sum.Renewed, h.server.total())
		}
		h.vend("crm")
		h.ticks(1)
		h.vend("crm")
		if sum := h.ticks(60); sum.Renewed != 1 {
			t.Errorf("renewed %d times once it is used again, want 1", sum.Renewed)
		}
	})
}

func TestTickIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.ticks(1)
		for i := range 20 {
			name := fmt.Sprint("c", i)
			h.secrets.put(name, declaration(name))
			h.vend(name)
		}
		time.Sleep(57 * time.Minute) // the whole cycle was missed
		h.server.latency = time.Second
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { h.process().Tick(t.Context()) })
		}
		wg.Wait()
		h.renewer.Tick(t.Context())
		if total := h.server.total(); total != 40 {
			t.Errorf("FI-39 %d calls for 20 connections, want each minted and renewed once", total)
		}
	})
}

func TestFailedRenewalsAreTriedAgainInTheirMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.secrets.put("crm", declaration("crm"))
		h.vend("crm")
		h.server.refuse = func(oauth.Request) error {
			return &oauth.Error{Kind: oauth.Unavailable, Trace: oauth.Trace{Calls: 1, Status: 503}}
		}
		for range 44 {
			if h.ticks(1); h.server.total() > 1 {
				break
			}
		}
		item, _ := h.store.Get(t.Context(), tokenstore.Key{Connection: "crm"}, true)
		if !strings.HasPrefix(item.RenewSlot, "at/") || item.Failure.Count != 1 {
			t.Fatalf("CR-25 slot %s after %d failures, want a retry slot", item.RenewSlot, item.Failure.Count)
		}
		h.server.refuse = nil
		sum := h.ticks(2)
		item, _ = h.store.Get(t.Context(), tokenstore.Key{Connection: "crm"}, true)
		if sum.Renewed != 1 || !strings.HasPrefix(item.RenewSlot, "45/") {
			t.Errorf("CR-25 renewed %d, slot %s; want it renewed and back in its slot", sum.Renewed, item.RenewSlot)
		}
	})
}

func TestHangingProviderHoldsUpOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.ticks(1)
		const hosts, each = 8, 50
		for i := range hosts * each {
			name := fmt.Sprint("c", i)
			h.secrets.put(name, strings.Replace(declaration(name), "idp.", fmt.Sprintf("idp%d.", i%hosts), 1))
			h.vend(name)
		}
		h.server.busy, h.server.busiest = map[string]int{}, map[string]int{}
		h.server.latency, h.server.hangs = 300*time.Millisecond, "idp0."
		time.Sleep(57 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 55*time.Second)
		defer cancel()
		run := h.renewer.Tick(ctx)
		if run.Renewed != (hosts-1)*each || run.Failed["provider_timeout"]+run.LeftOver != each {
			t.Errorf("FI-40 %+v; want every host but one renewed", run)
		}
		if run.Duration > 55*time.Second {
			t.Errorf("FI-40 took %v", run.Duration)
		}
		if h.server.busiest[""] > 64 || h.server.busiest["https://idp1.example.com/token"] > 16 {
			t.Errorf("CR-25 at once: %v", h.server.busiest)
		}
	})
}

// broken fails or panics where the core would work.
type broken struct {
	renewal.Core
	fail func(tokenstore.Key) error
}

func (b broken) Inspect(ctx context.Context, key tokenstore.Key, next time.Time) (*vending.Renewal, error) {
	if err := b.fail(key); err != nil {
		return nil, err
	}
	return b.Core.Inspect(ctx, key, next)
}

func TestOneTokenNeverStopsTheOthers(t *testing.T) {
	due := func(t *testing.T, fail func(tokenstore.Key) error) (*house, audit.Run) {
		h := newHouse(t)
		h.ticks(1)
		for _, name := range []string{"a", "b", "c"} {
			h.secrets.put(name, declaration(name))
			h.vend(name)
		}
		time.Sleep(57 * time.Minute)
		r := renewal.New(renewal.Config{Core: broken{h.core, fail}, Index: h.store, Documents: h.store, Versions: h.secrets, Audit: h.audit})
		return h, r.Tick(t.Context())
	}
	t.Run("INV-5 a panic is one failure, and its value is told to nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, run := due(t, func(key tokenstore.Key) error {
				if key.Connection == "b" {
					panic("canary")
				}
				return nil
			})
			if run.Renewed != 2 || run.Failed["internal_error"] != 1 || strings.Contains(h.log.String(), "canary") {
				t.Errorf("%+v", run)
			}
		})
	})
	t.Run("BI-72 a grant that cannot be read is told of in a line of its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, _ := due(t, func(key tokenstore.Key) error {
				if key.Connection == "b" {
					return problem.New(problem.InternalError, "x")
				}
				return nil
			})
			if !strings.Contains(h.log.String(), `"action":"renew","outcome":"internal_error"`) {
				t.Errorf("no line: %s", h.log)
			}
		})
	})
	t.Run("CR-25 what the table kept from being looked at waits a minute, not a cycle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, run := due(t, func(key tokenstore.Key) error {
				if key.Connection == "b" {
					return problem.New(problem.StoreUnavailable, "x")
				}
				return nil
			})
			item, _ := h.store.Get(t.Context(), tokenstore.Key{Connection: "b"}, true)
			if run.Renewed != 2 || !strings.HasPrefix(item.RenewSlot, "at/") {
				t.Fatalf("%+v, slot %s", run, item.RenewSlot)
			}
			if run := h.ticks(2); run.Renewed != 1 {
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
		{"a secret of somebody else", label("other/crm", "AWSCURRENT"), "prefix"},
		{"BI-71 a name that is none", label("tokenvend/../x", "AWSCURRENT"), "name"},
		{"BI-70 a foreign source", `{"source":"evil","detail-type":"Scheduled Event"}`, "expected"},
		{"BI-70 empty", `{}`, "expected"},
		{"BI-70 null", `null`, "expected"},
		{"BI-70 not an object", `[1]`, "EventBridge"},
		{"BI-70 wrong types", `{"source":7}`, "EventBridge"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				h.secrets.put("crm", declaration("before"))
				h.vend("crm")
				h.secrets.put("crm", declaration("after"))
				var reason string
				handler := &renewal.Handler{Renewer: h.renewer, SecretPrefix: "tokenvend/", Refused: func(r string) { reason = r }}
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
		h := newHouse(t)
		h.secrets.put("crm", declaration("crm"))
		h.ticks(1)
		h.vend("crm")
		h.log.Reset()
		time.Sleep(57 * time.Minute)
		h.renewer.Tick(t.Context())
		var line map[string]any
		lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
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
