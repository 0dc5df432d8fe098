package audit

import (
	"log/slog"
	"time"
)

// Run is the summary of one run of the renewer.
type Run struct {
	// Action is tick, or change for the event of one changed secret.
	Action string
	// Due counts the items found in the due slots. Each of them was renewed,
	// skipped (nothing to do, or another process did it), failed or left over.
	Due, Renewed, Skipped, LeftOver int
	// Failed counts failures by error code.
	Failed map[string]int
	// Recorded counts the declaration records that were written, and Reissued the tokens
	// of a replaced declaration that were replaced at once.
	Recorded, Reissued int
	Duration           time.Duration
}

// WriteRun writes the line of one run.
func (w *Writer) WriteRun(r Run) {
	failed := 0
	for _, n := range r.Failed {
		failed += n
	}
	l := line{attrs: make([]slog.Attr, 0, 16)}
	l.add(slog.String("action", r.Action))
	l.add(slog.Int("RenewalsDue", r.Due))
	l.add(slog.Int("Renewed", r.Renewed))
	l.add(slog.Int("RenewalsSkipped", r.Skipped))
	l.add(slog.Int("RenewalsFailed", failed))
	if failed > 0 {
		l.add(slog.Any("failed_by_class", r.Failed))
	}
	l.add(slog.Int("RenewalsLeftOver", r.LeftOver))
	l.add(slog.Int("TokensReissued", r.Reissued))
	l.add(slog.Int("RecordsWritten", r.Recorded))
	l.add(slog.Float64("RunDuration", milliseconds(r.Duration)))
	w.emit(w.now().Round(0), "run", l, w.metrics.ofRun(r)...)
}
