// Package fromenv fills in a service from a function's environment: the table
// in DynamoDB, secrets and keyset in Secrets Manager.
package fromenv

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
)

// Function is a service as one function has it, and what its main needs beside.
type Function struct {
	assembly.Service
	Settings config.Config
	// Log is for what is not an audit line; LOG_LEVEL filters it.
	Log *slog.Logger
}

// Load reads the variables that a function needs and returns its service;
// nothing has been called yet. Errors name every variable that is missing or
// malformed. SEALING_SECRET_ID names the function's only keyset: that of the
// consent function differs from the others'.
func Load(lookup func(string) (string, bool), output io.Writer, needs ...config.Variable) (Function, error) {
	settings, errOurs := config.Load(lookup, needs...)
	aws, errAWS := awsconfig.Load(lookup)
	if err := errors.Join(errOurs, errAWS); err != nil {
		return Function{}, err
	}
	secrets := aws.SecretsManager()
	table := awsdynamodb.New(awsdynamodb.Config{Client: aws.DynamoDB(), Table: settings.TokenTable})
	references := awssecretsmanager.References{Client: secrets, Allowed: clientsecret.Allowed{
		Patterns: settings.SecretReferences, Keysets: []string{settings.SealingSecretID},
	}}
	sealer := seal.New(seal.Config{Keyset: func(ctx context.Context) (redact.Secret, error) {
		return awssecretsmanager.ReadText(ctx, secrets, settings.SealingSecretID)
	}})
	return Function{
		Settings: settings,
		Log:      slog.New(slog.NewJSONHandler(output, &slog.HandlerOptions{Level: settings.LogLevel})),
		Service: assembly.Service{
			Store:         table,
			Sessions:      table,
			Secrets:       awssecretsmanager.New(awssecretsmanager.Config{Client: secrets, Prefix: settings.SecretPrefix}),
			CacheSecrets:  true,
			Parser:        connection.Parser{Egress: egress.Policy{Allow: settings.ProviderAllowCIDRs}},
			References:    references,
			Sealer:        sealer,
			FrontSealer:   sealer,
			Audit:         audit.NewWriter(audit.Config{Output: output, Namespace: settings.MetricsNamespace, Metrics: audit.Metrics(settings.Monitoring)}),
			InvocationID:  invocationID,
			PublicBaseURL: settings.PublicBaseURL,
		},
	}, nil
}

// invocationID is Lambda's own name of an invocation.
func invocationID(ctx context.Context) string {
	if invocation, ok := lambdacontext.FromContext(ctx); ok {
		return invocation.AwsRequestID
	}
	return ""
}
