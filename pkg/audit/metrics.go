package audit

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

// DefaultNamespace is the CloudWatch namespace of a Writer without one.
const DefaultNamespace = "tokenvend"

// The metric directives, in the order of the table in the documentation, which
// a test compares with them. Their dimensions are bounded: actions, outcomes and
// sources are closed sets. A connection's name is a member of the line and never
// a dimension. The directives are constant text because encoding them for each
// line took a third of its time; emit inserts the namespace.
const (
	directiveRequest = `{"Dimensions":[["action","outcome"],["action","source"]],` +
		`"Metrics":[{"Name":"Requests","Unit":"Count"},{"Name":"Latency","Unit":"Milliseconds"}]}`
	directiveFaults = `{"Dimensions":[["action"]],` +
		`"Metrics":[{"Name":"Faults","Unit":"Count"}]}`
	directiveProvider = `{"Dimensions":[["provider_outcome"]],` +
		`"Metrics":[{"Name":"ProviderCalls","Unit":"Count"},{"Name":"ProviderLatency","Unit":"Milliseconds"}]}`
	directiveExpiry = `{"Dimensions":[[]],` +
		`"Metrics":[{"Name":"SecondsToExpiry","Unit":"Seconds"}]}`
	directiveFallback = `{"Dimensions":[[]],` +
		`"Metrics":[{"Name":"SecretFallbacks","Unit":"Count"}]}`
	directiveRun = `{"Dimensions":[["action"]],"Metrics":[` +
		`{"Name":"RenewalsDue","Unit":"Count"},{"Name":"Renewed","Unit":"Count"},{"Name":"RenewalsSkipped","Unit":"Count"},` +
		`{"Name":"RenewalsFailed","Unit":"Count"},{"Name":"RenewalsLeftOver","Unit":"Count"},` +
		`{"Name":"TokensReissued","Unit":"Count"},{"Name":"RecordsWritten","Unit":"Count"},{"Name":"RunDuration","Unit":"Milliseconds"}]}`
	directiveExpiring7Days = `{"Dimensions":[[]],"Metrics":[{"Name":"GrantsExpiringIn7Days","Unit":"Count"}]}`
	directiveExpiring1Day  = `{"Dimensions":[[]],"Metrics":[{"Name":"GrantsExpiringIn1Day","Unit":"Count"}]}`
	directiveUnsaved       = `{"Dimensions":[[]],"Metrics":[{"Name":"RefreshTokensUnsaved","Unit":"Count"}]}`
	directiveAmbiguous     = `{"Dimensions":[[]],"Metrics":[{"Name":"RefreshesAmbiguous","Unit":"Count"}]}`
	directiveUnstored      = `{"Dimensions":[[]],"Metrics":[{"Name":"TokensUnstored","Unit":"Count"}]}`
	directiveUnreadable    = `{"Dimensions":[[]],"Metrics":[{"Name":"GrantsUnreadable","Unit":"Count"}]}`
)

// counted calls with once for each warning of the entry that has a metric. A
// repeated warning counts once because a JSON object must not repeat a member.
func (e *Entry) counted(with func(WarningInfo)) {
	for i, warning := range e.warnings {
		if info := warning.info(); info.Metric != "" && slices.Index(e.warnings, warning) == i {
			with(info)
		}
	}
}

// Metrics says which metrics are published. CloudWatch bills each combination of a
// name and its dimensions' values.
type Metrics string

// The choices of metrics.
const (
	AllMetrics Metrics = "full"
	// BasicMetrics are those of the alarms that wake people.
	BasicMetrics Metrics = "basic"
	NoMetrics    Metrics = "none"
)

// The directives of BasicMetrics, beside those of warnings.
const (
	directiveConsentNeeded = `{"Dimensions":[["action","outcome"]],"Metrics":[{"Name":"Requests","Unit":"Count"}]}`
	directiveTick          = `{"Dimensions":[["action"]],"Metrics":[{"Name":"RenewalsDue","Unit":"Count"},{"Name":"RenewalsFailed","Unit":"Count"}]}`
)

// directives returns the directives of an entry's line.
func (m Metrics) directives(e *Entry) []string {
	switch m {
	case NoMetrics:
		return nil
	case BasicMetrics:
		return basic(e)
	default:
		return all(e)
	}
}

// ofRun returns the directives of the line of a run.
func (m Metrics) ofRun(r Run) []string {
	switch {
	case m == AllMetrics:
		return []string{directiveRun}
	case m == BasicMetrics && r.Action == "tick":
		return []string{directiveTick}
	default:
		return nil
	}
}

func basic(e *Entry) (ds []string) {
	if e.Action == "vend" {
		ds = append(ds, directiveFaults)
	}
	if e.Outcome == string(problem.AuthorizationRequired) && (e.Action == "vend" || e.Action == "renew") {
		ds = append(ds, directiveConsentNeeded)
	}
	e.counted(func(w WarningInfo) { ds = append(ds, w.directive) })
	return ds
}

func all(e *Entry) []string {
	ds := append(make([]string, 0, 6), directiveRequest, directiveFaults)
	if e.Provider.Outcome != "" {
		ds = append(ds, directiveProvider)
	}
	if !e.ExpiresAt.IsZero() {
		ds = append(ds, directiveExpiry)
	}
	if e.SecretFallback {
		ds = append(ds, directiveFallback)
	}
	e.counted(func(w WarningInfo) { ds = append(ds, w.directive) })
	return ds
}

// measures adds the members named by the directives.
func (l *line) measures(e *Entry, now time.Time) {
	l.add(slog.Int("Requests", 1))
	l.add(slog.Float64("Latency", milliseconds(e.Latency)))
	l.add(slog.Int("Faults", faults(e.Status)))
	if e.Provider.Outcome != "" {
		l.add(slog.Int("ProviderCalls", e.Provider.Calls))
		l.add(slog.Float64("ProviderLatency", milliseconds(e.Provider.Latency)))
	}
	if !e.ExpiresAt.IsZero() {
		l.add(slog.Int64("SecondsToExpiry", int64(max(e.ExpiresAt.Sub(now), 0)/time.Second)))
	}
	if e.SecretFallback {
		l.add(slog.Int("SecretFallbacks", 1))
	}
	e.counted(func(w WarningInfo) { l.add(slog.Int(w.Metric, 1)) })
}

// faults is 1 for a status of 500 or more, so that the metric's average is the
// share of failed requests.
func faults(status int) int {
	if status >= 500 {
		return 1
	}
	return 0
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
