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

// secrets are the cases of secrets that change, and of those that cannot be had.
func secrets() []Scenario {
	return []Scenario{
		{ID: "FI-21", Title: "the new secret is live and AWSCURRENT has not moved", run: rotatedAhead},
		{ID: "FI-22", Title: "AWSCURRENT has moved and only the previous secret works", run: rotatedBehind},
		{ID: "FI-23", Title: "a new secret kills the tokens that exist", run: rotatedHard},
		{ID: "FI-34", Title: "Secrets Manager throttles, fails, denies, cannot decrypt", run: secretsDown},
		{ID: "FI-36", Title: "the keyset is denied", run: keysetDenied},
		{ID: "FI-36", Title: "the keyset lacks the key", run: keyGone},
		{ID: "FI-49", Title: "the connection is deleted while it is refreshed", run: deletedInFlight},
		{ID: "FI-49", Title: "a process that remembers the deleted connection is asked", run: deletedRemembered},
	}
}

func rotatedAhead(ctx context.Context, s *stage) error {
	if err := s.Register(ctx, "rotated"); err != nil {
		return err
	}
	if err := s.Provider.Rotate("rotated", sandbox.Rotation{}); err != nil {
		return err
	}
	for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf("rotated")) {
		s.expectOutcome(a, "502 provider_rejected")
	}
	s.expectCalls(1, 2)
	s.newAct()
	if err := s.PutSecret(ctx, "rotated", s.Provider.Connections()["rotated"]); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(5), fleet.TokenOf("rotated")), "200") // cold: nothing is remembered there
	s.expectCalls(1, 1)
	return nil
}

func rotatedBehind(ctx context.Context, s *stage) error {
	if err := s.Register(ctx, "rotated"); err != nil {
		return err
	}
	var declared map[string]any
	if err := json.Unmarshal(s.Provider.Connections()["rotated"], &declared); err != nil {
		return fmt.Errorf("read a declaration: %w", err)
	}
	declared["client_secret"] = "not-registered-yet-7c1d"
	next, err := json.Marshal(declared)
	if err != nil {
		return fmt.Errorf("write a declaration: %w", err)
	}
	if err := s.PutSecret(ctx, "rotated", next); err != nil {
		return err
	}
	for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf("rotated")) {
		s.expectOutcome(a, "200")
	}
	s.expectCalls(2, 2)
	s.expect(strings.Contains(s.log.tail(), `"SecretFallbacks":1`), "no metric tells of the fallback")
	return nil
}

func rotatedHard(ctx context.Context, s *stage) error {
	old := s.ask(ctx, s.vend(0), fleet.TokenOf(crm))
	s.expectOutcome(old, "200")
	if err := s.Provider.Rotate(crm, sandbox.Rotation{}); err != nil {
		return err
	}
	if err := s.PutSecret(ctx, crm, s.Provider.Connections()[crm]); err != nil {
		return err
	}
	done, err := s.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(crm))
	if err != nil {
		return err
	}
	s.expect(done.Reissued == 1, "%d tokens were reissued, not 1", done.Reissued)
	next := s.ask(ctx, s.vend(1), fleet.TokenOf(crm))
	s.expectOutcome(next, "200")
	s.expect(next.TokenID != old.TokenID, "FI-23: a dead token was served")
	s.expectCalls(2, 2)
	return nil
}

func secretsDown(ctx context.Context, s *stage) error {
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	s.newAct()
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
		s.Gate.Set(fleet.Secret, fleet.Arrived, func(c fleet.Call) fleet.Decision {
			if c.Subject != "agile-now" && c.Subject != crm {
				return fleet.Decision{}
			}
			return fleet.Decision{Status: fault.status, Code: fault.code}
		})
		s.expectOutcome(s.ask(ctx, s.vend(1), fleet.TokenOf("agile-now")), fault.outcome, "503 store_unavailable")
		s.expectOutcome(s.ask(ctx, s.vend(1), fleet.TokenOf(crm)), "200")
	}
	s.expectCalls(0, 0)
	return nil
}

func keysetDenied(ctx context.Context, s *stage) error {
	return s.withoutKeyset(ctx, func() error {
		s.Secrets.Refuse(fleet.SealingSecret, &awsjson.Error{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "injected"})
		return nil
	})
}

func keyGone(ctx context.Context, s *stage) error {
	return s.withoutKeyset(ctx, func() error { return s.AddKey(ctx, "k2") })
}

// withoutKeyset has a process that remembers serve, one that does not refuse,
// and nothing stored change.
func (s *stage) withoutKeyset(ctx context.Context, lose func() error) error {
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	before, err := s.Item(ctx, crm)
	if err != nil {
		return err
	}
	s.newAct()
	if err := lose(); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	s.expectOutcome(s.ask(ctx, s.vend(1), fleet.TokenOf(crm)), "503 store_unavailable")
	after, err := s.Item(ctx, crm)
	s.expect(reflect.DeepEqual(before, after), "FI-36: the stored item was changed")
	s.expectCalls(0, 0)
	return err
}

// deletedInFlight deletes the secret after the provider has answered. Nothing
// of the token may stay.
func deletedInFlight(ctx context.Context, s *stage) error {
	if _, err := s.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(crm)); err != nil {
		return err // the ledger knows the connection now
	}
	if _, err := s.Mint(ctx, crm, 3590_000_000_000); err != nil { // an hour's token with seconds left: it is replaced
		return err
	}
	met, release := s.Gate.Hold(fleet.Commit, fleet.Arrived)
	defer release()
	asked := s.asking(ctx, s.vend(0), fleet.TokenOf(crm))
	select {
	case <-met:
	case a := <-asked:
		return fmt.Errorf("no commit came: %s", a.Outcome())
	}
	if err := s.delete(ctx, crm); err != nil {
		return err
	}
	release()
	s.expectOutcome(<-asked, "404 connection_not_found")
	return s.expectNoToken(ctx, crm)
}

// deletedRemembered asks a process whose cache still holds the secret.
func deletedRemembered(ctx context.Context, s *stage) error {
	if _, err := s.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(crm)); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
	if err := s.delete(ctx, crm); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.Ask{Method: "POST", Path: "/connections/" + crm + "/token", Body: `{"rejected_token_id":"0000000000000000"}`}),
		"404 connection_not_found")
	return s.expectNoToken(ctx, crm)
}

func (s *stage) delete(ctx context.Context, connection string) error {
	if err := s.DeleteSecret(ctx, connection); err != nil {
		return err
	}
	_, err := s.Process(fleet.Renew, 0).Send(ctx, fleet.SecretChanged(connection))
	return err
}

func (s *stage) expectNoToken(ctx context.Context, connection string) error {
	item, err := s.Item(ctx, connection)
	s.expect(item["token_id"] == nil, "FI-49: a deleted connection has a token again")
	return err
}
