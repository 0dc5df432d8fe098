package gateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// TestSessionMismatch: a request for another's consent session is refused, stores
// nothing, and is marked in the audit line.
func TestSessionMismatch(t *testing.T) {
	for _, name := range []string{"connections-complete-other-principal", "connections-complete-other-connection", "connections-complete-other-subject",
		"consent-callback-other-browser", "consent-callback-no-cookie", "consent-callback-other-connection"} {
		t.Run("FI-45 "+name, func(t *testing.T) {
			w := newFixture(t)
			function, _, _ := strings.Cut(name, "-")
			w.send(function, name)
			if log := w.log.String(); !strings.Contains(log, `"session_mismatch"`) || strings.Contains(log, `"outcome":"ok"`) {
				t.Errorf("audit line %s", log)
			}
			if item, err := w.store.Get(t.Context(), tokenstore.Key{Connection: "studio"}, true); err != nil || item.Grant.Fingerprint != "" {
				t.Errorf("a grant is stored, or %v", err)
			}
			// The owner can still use it.
			owners := map[string]string{"connections": "connections-complete", "consent": "consent-callback"}
			if answer := w.send(function, owners[function]); !strings.Contains(answer, `"statusCode":200`) {
				t.Errorf("BI-31 the owner got %s", answer)
			}
		})
	}
}

// send sends one of the saved events to a function.
func (w *fixture) send(function, name string) string {
	w.t.Helper()
	payload, err := os.ReadFile(filepath.Join(eventFolder, name+".json"))
	w.must(err)
	answer, err := w.function(function).Invoke(w.t.Context(), payload)
	w.must(err)
	return string(answer)
}
