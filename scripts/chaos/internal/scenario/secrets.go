package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

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

func rotatedAhead(ctx context.Context, e *env) error {
	if err := e.Register("rotated"); err != nil {
		return err
	}
	if err := e.Provider.Rotate("rotated", sandbox.Rotation{}); err != nil {
		return err
	}
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf("rotated")) {
		e.expectOutcome(a, "502 provider_rejected")
	}
	e.expectCalls(1, 2)
	e.resetCounts()
	if err := e.PutSecret("rotated", e.Provider.Connections()["rotated"]); err != nil {
		return err
	}
	e.expectOutcome(e.ask(ctx, e.vend(5), fleet.TokenOf("rotated")), "200") // cold: its cache is empty
	e.expectCalls(1, 1)
	return nil
}

func rotatedBehind(ctx context.Context, e *env) error {
	if err := e.Register("rotated"); err != nil {
		return err
	}
	var declared map[string]any
	if err := json.Unmarshal(e.Provider.Connections()["rotated"], &declared); err != nil {
		return fmt.Errorf("read a declaration: %w", err)
	}
	declared["client_secret"] = "not-registered-yet-7c1d"
	next, err := json.Marshal(declared)
	if err != nil {
		return fmt.Errorf("write a declaration: %w", err)
	}
	if err := e.PutSecret("rotated", next); err != nil {
		return err
	}
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf("rotated")) {
		e.expectOutcome(a, "200")
	}
	e.expectCalls(2, 2)
	e.expect(strings.Contains(e.log.tail(), `"SecretFallbacks":1`), "no metric counts the fallback")
	return nil
}

func rotatedHard(ctx context.Context, e *env) error {
	old := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
	e.expectOutcome(old, "200")
	if err := e.Provider.Rotate(crm, sandbox.Rotation{}); err != nil {
		return err
	}
	if err := e.PutSecret(crm, e.Provider.Connections()[crm]); err != nil {
		return err
	}
	done, err := e.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(crm))
	if err != nil {
		return err
	}
	e.expect(done.Reissued == 1, "%d tokens were reissued, not 1", done.Reissued)
	next := e.ask(ctx, e.vend(1), fleet.TokenOf(crm))
	e.expectOutcome(next, "200")
	e.expect(next.TokenID != old.TokenID, "FI-23: a revoked token was served")
	e.expectCalls(2, 2)
	return nil
}

func secretsDown(ctx context.Context, e *env) error {
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
	return nil
}

func keysetDenied(ctx context.Context, e *env) error {
	return e.withoutKeyset(ctx, func() error {
		e.Secrets.Refuse(fleet.SealingSecret, &awsjson.Error{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "injected"})
		return nil
	})
}

func keyMissing(ctx context.Context, e *env) error {
	return e.withoutKeyset(ctx, func() error { return e.AddKey("k2") })
}

// withoutKeyset expects a process with a cached token to serve it, a cold one to
// refuse, and the stored item to stay.
func (e *env) withoutKeyset(ctx context.Context, lose func() error) error {
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	before, err := e.Item(ctx, crm)
	if err != nil {
		return err
	}
	e.resetCounts()
	if err := lose(); err != nil {
		return err
	}
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(crm)), "503 store_unavailable")
	after, err := e.Item(ctx, crm)
	e.expect(reflect.DeepEqual(before, after), "FI-36: the stored item was changed")
	e.expectCalls(0, 0)
	return err
}

// deletedInFlight deletes the secret after the provider has answered. The token
// must not be stored.
func deletedInFlight(ctx context.Context, e *env) error {
	if _, err := e.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(crm)); err != nil {
		return err // records the secret
	}
	if _, err := e.Mint(ctx, crm, 3590_000_000_000); err != nil { // an hour's token with seconds left: it is replaced
		return err
	}
	met, release := e.Gate.Hold(fleet.Commit, fleet.Arrived)
	defer release()
	asked := e.asking(ctx, e.vend(0), fleet.TokenOf(crm))
	select {
	case <-met:
	case a := <-asked:
		return fmt.Errorf("no commit came: %s", a.Outcome())
	}
	if err := e.delete(ctx, crm); err != nil {
		return err
	}
	release()
	e.expectOutcome(<-asked, "404 connection_not_found")
	return e.expectNoToken(ctx, crm)
}

// deletedRemembered asks a process whose cache still holds the secret.
func deletedRemembered(ctx context.Context, e *env) error {
	if _, err := e.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(crm)); err != nil {
		return err
	}
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
	if err := e.delete(ctx, crm); err != nil {
		return err
	}
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.Ask{Method: "POST", Path: "/connections/" + crm + "/token", Body: `{"rejected_token_id":"0000000000000000"}`}),
		"404 connection_not_found")
	return e.expectNoToken(ctx, crm)
}

func (e *env) delete(ctx context.Context, connection string) error {
	if err := e.DeleteSecret(connection); err != nil {
		return err
	}
	_, err := e.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(connection))
	return err
}

func (e *env) expectNoToken(ctx context.Context, connection string) error {
	item, err := e.Item(ctx, connection)
	e.expect(item["token_id"] == nil, "FI-49: a deleted connection has a token again")
	return err
}
