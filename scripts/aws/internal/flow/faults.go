package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
)

// The ways in which the engines fail.
var (
	throttledTable = cloud.Failure{Status: http.StatusBadRequest, Code: "ProvisionedThroughputExceededException"}
	missingTable   = cloud.Failure{Status: http.StatusBadRequest, Code: "ResourceNotFoundException"}
	failingSecrets = cloud.Failure{Status: http.StatusInternalServerError, Code: "InternalServiceError"}
	deniedSecret   = cloud.Failure{Status: http.StatusBadRequest, Code: "AccessDeniedException"}
	leavingSecret  = cloud.Failure{Status: http.StatusBadRequest, Code: "InvalidRequestException"}
)

// faults are steps during which an engine is throttled, denies or fails. Each
// leaves it mended.
func (s Stack) faults() []Check {
	return []Check{
		{"FI-26 a table that throttles leaves a warm function serving", s.during(s.Cloud.TableGate, throttledTable, s.servedWarm)},
		{"FI-27 without a table a token is minted once, and no grant is touched", s.during(s.Cloud.TableGate, missingTable, s.mintedOnce)},
		{"FI-34 Secrets Manager failing leaves cached tokens served, and no other minted", s.secretsFail},
		{"FI-34 a denied secret is that connection's trouble alone", s.aloneWith("denied", deniedSecret)},
		{"FI-35 a secret that is to be deleted is that connection's trouble alone", s.aloneWith("leaving", leavingSecret)},
	}
}

// during has an engine fail that way while the step runs.
func (s Stack) during(gate *cloud.Gate, f cloud.Failure, step func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(plain[0]), ""); err != nil {
			return err
		}
		gate.Fail(f)
		defer gate.Mend()
		return step(ctx)
	}
}

func (s Stack) servedWarm(ctx context.Context) error {
	_, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(plain[0]), "")
	return err
}

// register makes a connection that nobody has used.
func (s Stack) register(ctx context.Context, connection string) error {
	if err := s.Cloud.Provider.Register(sandbox.Client{Connection: connection}); err != nil {
		return err
	}
	return s.Cloud.PutSecret(ctx, connection, string(s.Cloud.Provider.Connections()[connection]))
}

func (s Stack) mintedOnce(ctx context.Context) error {
	const name = "tableless"
	if err := s.register(ctx, name); err != nil {
		return err
	}
	for range 3 {
		if _, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(name), ""); err != nil {
			return err
		}
	}
	if calls := s.Cloud.Provider.TokenRequests(name); calls != 1 {
		return fmt.Errorf("the provider was asked %d times, want 1", calls)
	}
	if !s.Consent {
		return nil
	}
	_, err := s.API.expect(ctx, http.StatusServiceUnavailable, "store_unavailable", http.MethodGet, tokenOf(delegated), "")
	return err
}

func (s Stack) secretsFail(ctx context.Context) error {
	const name = "secretless"
	if err := s.register(ctx, name); err != nil {
		return err
	}
	err := s.during(s.Cloud.SecretsGate, failingSecrets, func(ctx context.Context) error {
		if err := s.servedWarm(ctx); err != nil {
			return err
		}
		_, err := s.API.expect(ctx, http.StatusServiceUnavailable, "store_unavailable", http.MethodGet, tokenOf(name), "")
		return err
	})(ctx)
	return errors.Join(err, s.never(name))
}

// aloneWith makes a connection whose secret fails that way, for as long as it
// and another are asked for.
func (s Stack) aloneWith(name string, f cloud.Failure) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := s.register(ctx, name); err != nil {
			return err
		}
		f.Naming = `"` + cloud.Prefix + name + `"`
		err := s.during(s.Cloud.SecretsGate, f, func(ctx context.Context) error {
			_, err := s.API.expect(ctx, http.StatusInternalServerError, "connection_misconfigured", http.MethodGet, tokenOf(name), "")
			return errors.Join(err, s.servedWarm(ctx))
		})(ctx)
		return errors.Join(err, s.never(name))
	}
}

// never is an error when the provider was asked for the connection.
func (s Stack) never(connection string) error {
	if calls := s.Cloud.Provider.TokenRequests(connection); calls != 0 {
		return fmt.Errorf("the provider was asked %d times although the secret could not be read", calls)
	}
	return nil
}
