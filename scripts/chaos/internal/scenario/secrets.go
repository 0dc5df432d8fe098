package scenario

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// secrets are the scenarios of secrets that change or cannot be read.
func secrets() []Scenario {
	return []Scenario{
		{ID: "FI-21", Title: "the provider has the new secret and AWSCURRENT has not moved", run: rotatedAhead},
		{ID: "FI-22", Title: "AWSCURRENT has moved and only the previous secret works", run: rotatedBehind},
		{ID: "FI-23", Title: "a new secret revokes existing tokens", run: rotatedHard},
		{ID: "FI-34", Title: "Secrets Manager throttles, fails, denies, cannot decrypt", run: secretsDown},
		{ID: "FI-36", Title: "the keyset is denied", run: keysetDenied},
		{ID: "FI-36", Title: "the keyset lacks the key", run: keyMissing},
		{ID: "FI-49", Title: "the connection is deleted while it is refreshed", run: deletedInFlight},
		{ID: "FI-49", Title: "a process whose cache has the deleted connection is asked", run: deletedRemembered},
	}
}

func rotatedAhead(ctx context.Context, e *env) {
	e.must(e.Register("rotated"))
	e.must(e.Provider.Rotate("rotated", sandbox.Rotation{}))
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf("rotated")) {
		e.expectOutcome(a, "502 provider_rejected")
	}
	e.expectCalls(1, 2)
	e.resetCounts()
	e.must(e.PutSecret("rotated", e.Provider.Connections()["rotated"]))
	e.expectOutcome(e.ask(ctx, e.vend(5), fleet.TokenOf("rotated")), "200") // cold: its cache is empty
	e.expectCalls(1, 1)
}

func rotatedBehind(ctx context.Context, e *env) {
	e.must(e.Register("rotated"))
	var declared map[string]any
	e.must(json.Unmarshal(e.Provider.Connections()["rotated"], &declared))
	declared["client_secret"] = "not-registered-yet-7c1d"
	next, err := json.Marshal(declared)
	e.must(err)
	e.must(e.PutSecret("rotated", next))
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf("rotated")) {
		e.expectOutcome(a, "200")
	}
	e.expectCalls(2, 2)
	e.expect(strings.Contains(e.log.tail(), `"SecretFallbacks":1`), "no metric counts the fallback")
}

func rotatedHard(ctx context.Context, e *env) {
	old := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.expectOutcome(old, "200")
	e.must(e.Provider.Rotate(crm, sandbox.Rotation{}))
	e.must(e.PutSecret(crm, e.Provider.Connections()[crm]))
	done := e.renew(ctx, fleet.SecretChanged(crm))
	e.expect(done.Reissued == 1, "%d tokens were reissued, not 1", done.Reissued)
	next := e.ask(ctx, e.vend(1), fleet.TokenOf(crm))
	e.expectOutcome(next, "200")
	e.expect(next.TokenID != old.TokenID, "FI-23: a revoked token was served")
	e.expectCalls(2, 2)
}

func secretsDown(ctx context.Context, e *env) {
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.resetCounts()
	for _, fault := range []struct {
		status  int
		code    string
		outcome string
	}{
		{400, "ThrottlingException", "503 store_unavailable"},
		{500, "InternalServiceError", "503 store_unavailable"},
		{400, "DecryptionFailure", "503 store_unavailable"},
		{400, "AccessDeniedException", "500 connection_misconfigured"},
	} {
		e.Gate.Set(fleet.Secret, fleet.Arrived, func(c fleet.Call) fleet.Decision {
			if c.Subject != "agile-now" && c.Subject != crm {
				return fleet.Decision{}
			}
			return fleet.Decision{Status: fault.status, Code: fault.code}
		})
		e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf("agile-now")), fault.outcome, "503 store_unavailable")
		e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(crm)), "200")
	}
	e.expectCalls(0, 0)
}

func keysetDenied(ctx context.Context, e *env) {
	e.withoutKeyset(ctx, func() {
		e.Secrets.Refuse(fleet.SealingSecret, &awsjson.Error{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "injected"})
	})
}

func keyMissing(ctx context.Context, e *env) {
	e.withoutKeyset(ctx, func() { e.must(e.AddKey("k2")) })
}

// withoutKeyset expects a process with a cached token to serve it, a cold one to
// refuse, and the stored item to stay.
func (e *env) withoutKeyset(ctx context.Context, lose func()) {
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	before := e.item(ctx, crm)
	e.resetCounts()
	lose()
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(crm)), "503 store_unavailable")
	e.expect(reflect.DeepEqual(before, e.item(ctx, crm)), "FI-36: the stored item was changed")
	e.expectCalls(0, 0)
}

// deletedInFlight deletes the secret after the provider has answered. The token
// must not be served.
func deletedInFlight(ctx context.Context, e *env) {
	e.renew(ctx, fleet.SecretChanged(crm))     // records the secret
	e.mint(ctx, crm, time.Hour-10*time.Second) // an hour's token with seconds left: it is replaced
	asked, release := e.heldAtCommit(ctx, e.vend(0), crm)
	defer release()
	e.delete(ctx, crm)
	release()
	e.expectOutcome(<-asked, "404 connection_not_found")
	e.expectNoToken(ctx, crm)
}

// deletedRemembered asks a process whose cache still holds the secret.
func deletedRemembered(ctx context.Context, e *env) {
	e.renew(ctx, fleet.SecretChanged(crm))
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.delete(ctx, crm)
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.Ask{Method: "POST", Path: "/connections/" + crm + "/token", Body: `{"rejected_token_id":"0000000000000000"}`}),
		"404 connection_not_found")
	e.expectNoToken(ctx, crm)
}

func (e *env) delete(ctx context.Context, connection string) {
	e.must(e.DeleteSecret(connection))
	e.renew(ctx, fleet.SecretChanged(connection))
}

// expectNoToken asks another process for the token of a deleted connection. One that
// was minted meanwhile may be stored, and is not served.
func (e *env) expectNoToken(ctx context.Context, connection string) {
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(connection)), "404 connection_not_found")
}
