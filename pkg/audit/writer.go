package audit

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"
)

// Namespace is the CloudWatch namespace of every metric.
const Namespace = "tokenvend"

// The metric directives. Their dimensions are bounded: outcomes and sources are
// closed sets; a connection's name is in the line, never a dimension.
var (
	directiveRequest = json.RawMessage(`{"Namespace":"tokenvend","Dimensions":[["action","outcome"],["action","source"]],` +
		`"Metrics":[{"Name":"Requests","Unit":"Count"},{"Name":"Latency","Unit":"Milliseconds"}]}`)
	directiveProvider = json.RawMessage(`{"Namespace":"tokenvend","Dimensions":[["provider_outcome"]],` +
		`"Metrics":[{"Name":"ProviderCalls","Unit":"Count"},{"Name":"ProviderLatency","Unit":"Milliseconds"}]}`)
	directiveExpiry = json.RawMessage(`{"Namespace":"tokenvend","Dimensions":[[]],` +
		`"Metrics":[{"Name":"SecondsToExpiry","Unit":"Seconds"}]}`)
	directiveFallback = json.RawMessage(`{"Namespace":"tokenvend","Dimensions":[[]],` +
		`"Metrics":[{"Name":"SecretFallbacks","Unit":"Count"}]}`)
)

// Config says where lines go.
type Config struct {
	// Output receives one JSON line per entry.
	Output io.Writer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Writer writes entries. It is safe for concurrent use.
type Writer struct {
	log *slog.Logger
	now func() time.Time
}

// NewWriter returns a Writer.
func NewWriter(c Config) *Writer {
	if c.Now == nil {
		c.Now = time.Now
	}
	handler := slog.NewJSONHandler(c.Output, &slog.HandlerOptions{ReplaceAttr: withoutLevel})
	return &Writer{log: slog.New(handler), now: c.Now}
}

func withoutLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	return a
}

// Begin starts an entry.
func (w *Writer) Begin() *Entry { return &Entry{StartedAt: w.now().Round(0)} }

// Write closes the entry and writes its line.
func (w *Writer) Write(e *Entry) {
	now := w.now().Round(0)
	e.Latency = max(now.Sub(e.StartedAt), 0)
	l := line{attrs: make([]slog.Attr, 0, 40)}
	l.add(slog.Attr{Key: "_aws", Value: slog.GroupValue(
		slog.Int64("Timestamp", now.UnixMilli()),
		slog.Any("CloudWatchMetrics", directives(e)),
	)})
	l.who(e)
	l.what(e)
	l.provider(e)
	l.measures(e, now)
	w.log.LogAttrs(context.Background(), slog.LevelInfo, "audit", l.attrs...)
}

func directives(e *Entry) []json.RawMessage {
	ds := append(make([]json.RawMessage, 0, 4), directiveRequest)
	if e.Provider.Outcome != "" {
		ds = append(ds, directiveProvider)
	}
	if !e.ExpiresAt.IsZero() {
		ds = append(ds, directiveExpiry)
	}
	if e.SecretFallback {
		ds = append(ds, directiveFallback)
	}
	return ds
}

// line leaves out what is empty: a log is read by people too.
type line struct{ attrs []slog.Attr }

func (l *line) add(a slog.Attr) { l.attrs = append(l.attrs, a) }

func (l *line) text(key, value string) {
	if value != "" {
		l.add(slog.String(key, value))
	}
}

func (l *line) count(key string, value int64) {
	if value != 0 {
		l.add(slog.Int64(key, value))
	}
}

func (l *line) who(e *Entry) {
	l.text("request_id", e.RequestID)
	l.text("principal", e.PrincipalARN)
	l.text("principal_id", e.PrincipalID)
	l.text("account", e.Account)
	l.text("source_ip", e.SourceIP)
}

func (l *line) what(e *Entry) {
	l.add(slog.String("action", e.Action))
	l.add(slog.String("outcome", e.Outcome))
	l.add(slog.Int("status", e.Status))
	l.add(slog.String("source", orNone(e.Source)))
	l.text("connection", e.Connection)
	l.text("subject", e.Subject)
	l.text("generation", e.Generation)
	l.text("token_id", e.TokenID)
	if e.Stale {
		l.add(slog.Bool("stale", true))
	}
	if len(e.warnings) > 0 {
		l.add(slog.Any("warnings", e.warnings))
	}
	l.text("cause", e.cause)
}

func (l *line) provider(e *Entry) {
	if e.Provider.Outcome == "" {
		return
	}
	l.add(slog.String("provider_outcome", e.Provider.Outcome))
	l.count("provider_status", int64(e.Provider.Status))
	l.text("provider_error", e.Provider.Code)
	l.text("provider_description", e.Provider.Description)
	l.text("secret_version", e.SecretVersion)
	l.count("lease_seq", e.LeaseSeq)
}

func (l *line) measures(e *Entry, now time.Time) {
	l.add(slog.Int("Requests", 1))
	l.add(slog.Float64("Latency", milliseconds(e.Latency)))
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
}

func orNone(source string) string {
	if source == "" {
		return "none"
	}
	return source
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
