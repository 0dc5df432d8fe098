package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/audit"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// line returns the line of an entry that took 250 ms.
func line(t *testing.T, fill func(*audit.Entry)) map[string]any {
	t.Helper()
	var out bytes.Buffer
	now := noon
	w := audit.NewWriter(audit.Config{Output: &out, Now: func() time.Time { return now }})
	e := w.Begin()
	fill(e)
	now = now.Add(250 * time.Millisecond)
	w.Write(e)
	return decode(t, &out)
}

func decode(t *testing.T, out *bytes.Buffer) map[string]any {
	t.Helper()
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("AZ-56 %d lines, want one", n)
	}
	var members map[string]any
	if err := json.Unmarshal(out.Bytes(), &members); err != nil {
		t.Fatalf("line %s: %v", out, err)
	}
	delete(members, "time") // added by slog from the real clock
	return members
}

func TestLine(t *testing.T) {
	got := line(t, func(e *audit.Entry) {
		e.RequestID, e.Action, e.Outcome, e.Status = "request-1", "vend", "ok", 200
		e.PrincipalARN, e.PrincipalID, e.Account, e.SourceIP = "arn:aws:iam::111122223333:role/app", "AROAEXAMPLE:session", "111122223333", "192.0.2.1"
		e.Connection, e.Subject, e.SecretIncarnation, e.Source = "crm", "alice", "0123456789abcdef", "provider"
		e.TokenID, e.ExpiresAt, e.Stale = "9f86d081884c7d65", noon.Add(time.Hour), true
		e.Provider = audit.Provider{Calls: 2, Status: 200, Latency: 90 * time.Millisecond, Outcome: "ok", Code: "invalid_client", Description: "words"}
		e.SecretVersion, e.SecretFallback, e.LeaseSeq = "version-1", true, 7
		e.Warn(audit.TokenNotStored)
		e.SetCause(errors.New("the reason"))
		e.SetCause(nil) // changes nothing
	})
	delete(got, "_aws")
	want := map[string]any{
		"msg": "audit", "request_id": "request-1", "principal": "arn:aws:iam::111122223333:role/app", "principal_id": "AROAEXAMPLE:session",
		"account": "111122223333", "source_ip": "192.0.2.1", "action": "vend", "outcome": "ok", "status": 200.0, "source": "provider",
		"connection": "crm", "subject": "alice", "generation": "0123456789abcdef", "token_id": "9f86d081884c7d65", "stale": true,
		"warnings": []any{"token_not_stored"}, "cause": "the reason",
		"provider_outcome": "ok", "provider_status": 200.0, "provider_error": "invalid_client", "provider_description": "words",
		"secret_version": "version-1", "lease_seq": 7.0,
		"Requests": 1.0, "Latency": 250.0, "Faults": 0.0, "ProviderCalls": 2.0, "ProviderLatency": 90.0, "SecondsToExpiry": 3599.0, "SecretFallbacks": 1.0, "TokensUnstored": 1.0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("AZ-56 line (-want +got):\n%s", diff)
	}
}

// TestMetrics checks that the line has every member that its directives name:
// CloudWatch ignores a metric whose member is missing.
func TestMetrics(t *testing.T) {
	tests := map[string]func(*audit.Entry){
		"AZ-56 a denial":         func(e *audit.Entry) { e.Action, e.Outcome, e.Status = "vend", "access_denied", 403 },
		"AZ-56 a warm vend":      func(e *audit.Entry) { e.Action, e.Outcome, e.ExpiresAt = "vend", "ok", noon.Add(time.Hour) },
		"AZ-56 a refresh":        func(e *audit.Entry) { e.Action, e.Outcome, e.Provider.Outcome = "vend", "ok", "ok" },
		"AZ-56 a fallback":       func(e *audit.Entry) { e.Action, e.Outcome, e.SecretFallback = "vend", "ok", true },
		"AZ-57 warnings":         func(e *audit.Entry) { e.Action, e.Outcome = "renew", "ok"; addWarnings(e) },
		"AZ-56 a clock set back": func(e *audit.Entry) { e.Action, e.Outcome, e.StartedAt = "vend", "ok", noon.Add(time.Hour) },
	}
	for name, fill := range tests {
		t.Run(name, func(t *testing.T) { checkMetrics(t, line(t, fill)) })
	}
	t.Run("AZ-56 a run of the renewer", func(t *testing.T) {
		var out bytes.Buffer
		w := audit.NewWriter(audit.Config{Output: &out, Now: func() time.Time { return noon }})
		w.WriteRun(audit.Run{Action: "tick", Due: 9, Renewed: 4, Skipped: 2, LeftOver: 1, Failed: map[string]int{"provider_timeout": 2},
			Reissued: 3, Recorded: 5, Duration: 1500 * time.Millisecond})
		got := decode(t, &out)
		checkMetrics(t, got)
		delete(got, "_aws")
		want := map[string]any{"msg": "run", "action": "tick", "RenewalsDue": 9.0, "Renewed": 4.0, "RenewalsSkipped": 2.0, "RenewalsLeftOver": 1.0,
			"RenewalsFailed": 2.0, "failed_by_class": map[string]any{"provider_timeout": 2.0}, "TokensReissued": 3.0, "RecordsWritten": 5.0, "RunDuration": 1500.0}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("line (-want +got):\n%s", diff)
		}
	})
}

func checkMetrics(t *testing.T, members map[string]any) {
	t.Helper()
	text, err := json.Marshal(members["_aws"])
	if err != nil {
		t.Fatal(err)
	}
	var format struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	if err := json.Unmarshal(text, &format); err != nil || format.Timestamp < noon.UnixMilli() || len(format.CloudWatchMetrics) == 0 {
		t.Fatalf("no embedded metrics: %s", text)
	}
	for _, d := range format.CloudWatchMetrics {
		if d.Namespace != audit.DefaultNamespace || len(d.Metrics) == 0 {
			t.Errorf("directive %+v", d)
		}
		for _, m := range d.Metrics {
			if value, isNumber := members[m.Name].(float64); !isNumber || value < 0 {
				t.Errorf("metric %s is %v in the line", m.Name, members[m.Name])
			}
		}
		for _, dimensions := range d.Dimensions {
			for _, dimension := range dimensions {
				if _, isText := members[dimension].(string); !isText {
					t.Errorf("dimension %s is %v in the line", dimension, members[dimension])
				}
			}
		}
	}
}

// TestNamespace checks that every directive is in the namespace that the writer is
// configured with: in a shared one, the alarms of two stacks are about the sum.
func TestNamespace(t *testing.T) {
	var out bytes.Buffer
	w := audit.NewWriter(audit.Config{Output: &out, Namespace: "tokenvend/tokens-eu"})
	w.Write(everything(w))
	w.WriteRun(audit.Run{Action: "tick"})
	directives, named := bytes.Count(out.Bytes(), []byte(`"Metrics":[`)), bytes.Count(out.Bytes(), []byte(`{"Namespace":"tokenvend/tokens-eu","Dimensions"`))
	if directives < 10 || named != directives || bytes.Contains(out.Bytes(), []byte(`"tokenvend"`)) {
		t.Errorf("AZ-57 %d of %d directives are in the namespace: %s", named, directives, &out)
	}
}

func TestContext(t *testing.T) {
	e := new(audit.Entry)
	if audit.From(audit.With(context.Background(), e)) != e {
		t.Error("From returned another entry")
	}
	audit.From(context.Background()).Warn(audit.PKCEOff) // must not panic
	refresh := &audit.Entry{SecretVersion: "v", LeaseSeq: 3, Provider: audit.Provider{Calls: 1, Outcome: "ok"}}
	refresh.Depart("expires_in", "token_type")
	e.Warn(audit.ItemCorrupt)
	e.Merge(refresh)
	got := line(t, func(into *audit.Entry) { into.Merge(e) })
	if diff := cmp.Diff([]any{"item_corrupt", "response_departs"}, got["warnings"]); diff != "" || got["secret_version"] != "v" || got["lease_seq"] != 3.0 {
		t.Errorf("AZ-56 the facts of a shared refresh are missing: %v", got)
	}
	if diff := cmp.Diff([]any{"expires_in", "token_type"}, got["response_departures"]); diff != "" {
		t.Errorf("OC-37 the departures of the provider's response (-want +got):\n%s", diff)
	}
}
