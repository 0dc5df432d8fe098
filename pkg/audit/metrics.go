package audit

import (
	"log/slog"
	"slices"
	"time"
)

// Namespace is the CloudWatch namespace of every metric.
const Namespace = "tokenvend"

// The metric directives: what CloudWatch makes of a line, in the order of the
// README's table, which a test holds against them. Their dimensions are bounded:
// actions, outcomes and sources are closed sets; a connection's name is in the
// line, never a dimension. They are constants and written as they are: encoding
// them anew was a third of a line's cost.
const (
	directiveRequest = `{"Namespace":"tokenvend","Dimensions":[["action","outcome"],["action","source"]],` +
		`"Metrics":[{"Name":"Requests","Unit":"Count"},{"Name":"Latency","Unit":"Milliseconds"}]}`
	directiveFaults = `{"Namespace":"tokenvend","Dimensions":[["action"]],` +
		`"Metrics":[{"Name":"Faults","Unit":"Count"}]}`
	directiveProvider = `{"Namespace":"tokenvend","Dimensions":[["provider_outcome"]],` +
		`"Metrics":[{"Name":"ProviderCalls","Unit":"Count"},{"Name":"ProviderLatency","Unit":"Milliseconds"}]}`
	directiveExpiry = `{"Namespace":"tokenvend","Dimensions":[[]],` +
		`"Metrics":[{"Name":"SecondsToExpiry","Unit":"Seconds"}]}`
	directiveFallback = `{"Namespace":"tokenvend","Dimensions":[[]],` +
		`"Metrics":[{"Name":"SecretFallbacks","Unit":"Count"}]}`
	directiveRun = `{"Namespace":"tokenvend","Dimensions":[["action"]],"Metrics":[` +
		`{"Name":"RenewalsDue","Unit":"Count"},{"Name":"Renewed","Unit":"Count"},{"Name":"RenewalsSkipped","Unit":"Count"},` +
		`{"Name":"RenewalsFailed","Unit":"Count"},{"Name":"RenewalsLeftOver","Unit":"Count"},` +
		`{"Name":"TokensReissued","Unit":"Count"},{"Name":"TokensDropped","Unit":"Count"},{"Name":"RunDuration","Unit":"Milliseconds"}]}`
	directiveExpiring7Days = `{"Namespace":"tokenvend","Dimensions":[[]],"Metrics":[{"Name":"GrantsExpiringIn7Days","Unit":"Count"}]}`
	directiveExpiring1Day  = `{"Namespace":"tokenvend","Dimensions":[[]],"Metrics":[{"Name":"GrantsExpiringIn1Day","Unit":"Count"}]}`
	directiveUnsaved       = `{"Namespace":"tokenvend","Dimensions":[[]],"Metrics":[{"Name":"RefreshTokensUnsaved","Unit":"Count"}]}`
	directiveAmbiguous     = `{"Namespace":"tokenvend","Dimensions":[[]],"Metrics":[{"Name":"RefreshesAmbiguous","Unit":"Count"}]}`
	directiveUnreadable    = `{"Namespace":"tokenvend","Dimensions":[[]],"Metrics":[{"Name":"GrantsUnreadable","Unit":"Count"}]}`
)

// alarming is the metric of a warning that somebody is to be woken for, or told
// of in time; empty for the others.
func alarming(warning string) (metric, directive string) {
	switch warning {
	case "grant_expires_7d":
		return "GrantsExpiringIn7Days", directiveExpiring7Days
	case "grant_expires_1d":
		return "GrantsExpiringIn1Day", directiveExpiring1Day
	case "refresh_token_unsaved":
		return "RefreshTokensUnsaved", directiveUnsaved
	case "refresh_ambiguous":
		return "RefreshesAmbiguous", directiveAmbiguous
	case "grant_corrupt":
		return "GrantsUnreadable", directiveUnreadable
	}
	return "", ""
}

// alarms calls with each alarming warning of the entry once, however often it
// was said: a member of the line may stand there once only.
func (e *Entry) alarms(with func(metric, directive string)) {
	for i, warning := range e.warnings {
		if metric, directive := alarming(warning); metric != "" && slices.Index(e.warnings, warning) == i {
			with(metric, directive)
		}
	}
}

func directives(e *Entry) []string {
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
	e.alarms(func(_, directive string) { ds = append(ds, directive) })
	return ds
}

// measures adds the members that the directives name.
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
	e.alarms(func(metric, _ string) { l.add(slog.Int(metric, 1)) })
}

// faults is 1 for an answer that was not the caller's fault, so that the mean is
// the share of them.
func faults(status int) int {
	if status >= 500 {
		return 1
	}
	return 0
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
