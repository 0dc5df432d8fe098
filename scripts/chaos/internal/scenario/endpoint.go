package scenario

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// answer is the fault of a provider that answers everything with a status.
func answer(status int) sandbox.Fault { return sandbox.Fault{Status: status} }

// declare makes a connection to a token endpoint of the scenario's own.
func (e *env) declare(connection string, endpoint http.HandlerFunc) {
	e.declareAt(connection, e.Listen(e.Token(endpoint)))
}

// declareAt makes a connection to a token endpoint at an address.
func (e *env) declareAt(connection, address string) {
	text, _ := json.Marshal(map[string]string{ // strings only
		"provider": "oauth2", "token_url": address + "/token",
		"client_id": connection, "client_secret": rand.Text(),
	})
	e.must(e.PutSecret(connection, text))
}

// grant writes a token that lives for an hour.
func grant(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, rand.Text())
}

// trickle begins an answer at once and completes it after that time.
func trickle(after time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush()
		wait(r.Context(), after)
		grant(w)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
