package audit

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Config configures a Writer.
type Config struct {
	// Output receives one JSON line per entry, each with one call of Write.
	Output io.Writer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Namespace is the CloudWatch namespace of every metric, in characters that JSON
	// does not escape; empty means DefaultNamespace. Stacks of one region need
	// different ones: CloudWatch adds up metrics of the same name.
	Namespace string
	// Metrics says which metrics are published; empty means AllMetrics. The lines have
	// the same members in any case.
	Metrics Metrics
}

// Writer writes entries. It is safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	output io.Writer
	now    func() time.Time
	drafts sync.Pool
	// directive is how each metric directive begins.
	directive string
	metrics   Metrics
}

// draft holds the buffers of one line.
type draft struct {
	encoded bytes.Buffer
	handler slog.Handler
	line    []byte
}

// NewWriter returns a Writer.
func NewWriter(c Config) *Writer {
	if c.Now == nil {
		c.Now = time.Now
	}
	w := &Writer{output: c.Output, now: c.Now, directive: `{"Namespace":"` + cmp.Or(c.Namespace, DefaultNamespace) + `",`,
		metrics: cmp.Or(c.Metrics, AllMetrics)}
	w.drafts.New = func() any {
		d := new(draft)
		d.handler = slog.NewJSONHandler(&d.encoded, &slog.HandlerOptions{ReplaceAttr: withoutLevel})
		return d
	}
	return w
}

func withoutLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	return a
}

// Begin starts an entry.
func (w *Writer) Begin() *Entry { return &Entry{StartedAt: w.now().Round(0)} }

// Write completes the entry and writes its line.
func (w *Writer) Write(e *Entry) {
	now := w.now().Round(0)
	e.Latency = max(now.Sub(e.StartedAt), 0)
	l := line{attrs: make([]slog.Attr, 0, 40)}
	l.who(e)
	l.what(e)
	l.provider(e)
	l.measures(e, now)
	w.emit(now, "audit", l, w.metrics.directives(e)...)
}

// emit writes one line: the metric directives, followed by the attributes as
// log/slog encodes them.
func (w *Writer) emit(now time.Time, message string, l line, directives ...string) {
	d := w.drafts.Get().(*draft)
	defer w.drafts.Put(d)
	d.encoded.Reset()
	record := slog.NewRecord(now, slog.LevelInfo, message, 0)
	record.AddAttrs(l.attrs...)
	if err := d.handler.Handle(context.Background(), record); err != nil {
		return // writing to memory does not fail
	}
	d.line = append(d.line[:0], '{')
	if len(directives) > 0 {
		d.embed(now, w.directive, directives)
	}
	d.line = append(d.line, d.encoded.Bytes()[1:]...) // after its opening brace
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.output.Write(d.line) // a failure cannot be reported anywhere
}

// embed appends the member of the embedded metric format.
func (d *draft) embed(now time.Time, begin string, directives []string) {
	d.line = append(d.line, `"_aws":{"Timestamp":`...)
	d.line = strconv.AppendInt(d.line, now.UnixMilli(), 10)
	d.line = append(d.line, `,"CloudWatchMetrics":[`...)
	for i, directive := range directives {
		if i > 0 {
			d.line = append(d.line, ',')
		}
		d.line = append(d.line, begin...)
		d.line = append(d.line, directive[1:]...) // after its opening brace
	}
	d.line = append(d.line, "]},"...)
}

// line collects the members of a line and omits empty ones.
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
	l.text("generation", e.SecretIncarnation)
	l.text("token_id", e.TokenID)
	if e.Stale {
		l.add(slog.Bool("stale", true))
	}
	if len(e.warnings) > 0 {
		l.add(slog.Any("warnings", e.warnings))
	}
	if len(e.departures) > 0 {
		l.add(slog.Any("response_departures", e.departures))
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
	l.count("refresh_token_unsaved_ms", e.Unsaved.Milliseconds())
}

func orNone(source string) string {
	if source == "" {
		return "none"
	}
	return source
}
