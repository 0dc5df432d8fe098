// Package assembly builds what the functions have in common out of their
// environment: clients, stores, the sealer and the core over them. Each
// function's main composes its handler from these parts; nothing else imports
// this package, and the core knows none of it.
package assembly

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Parts are ready to use; nothing has been called yet.
type Parts struct {
	Settings config.Config
	// Log is for what is not an audit line; LOG_LEVEL filters it.
	Log   *slog.Logger
	Audit *audit.Writer
	// Secrets reads and lists connections, uncached.
	Secrets *awssecretsmanager.Source
	// Table is the store; the methods of its wheel need permission to query.
	Table *awsdynamodb.Wheel
	// Sessions are those of consents, in the same table, and reach nothing else of it.
	Sessions *awsdynamodb.Sessions
	Parser   connection.Parser
	Sealer   *seal.Sealer
}

// Load reads the variables a function needs and builds its parts. Errors name
// every variable that is missing or malformed; no call is made.
func Load(lookup func(string) (string, bool), output io.Writer, needs ...config.Variable) (Parts, error) {
	settings, errOurs := config.Load(lookup, needs...)
	aws, errAWS := awsconfig.Load(lookup)
	if err := errors.Join(errOurs, errAWS); err != nil {
		return Parts{}, err
	}
	secrets, table := aws.SecretsManager(), aws.DynamoDB()
	records := awsdynamodb.Config{Client: table, Table: settings.TokenTable}
	return Parts{
		Settings: settings,
		Log:      slog.New(slog.NewJSONHandler(output, &slog.HandlerOptions{Level: settings.LogLevel})),
		Audit:    audit.NewWriter(audit.Config{Output: output}),
		Secrets:  awssecretsmanager.New(awssecretsmanager.Config{Client: secrets, Prefix: settings.SecretPrefix}),
		Table:    awsdynamodb.NewWheel(awsdynamodb.WheelConfig{Client: table, Store: awsdynamodb.New(records)}),
		Sessions: awsdynamodb.NewSessions(records),
		Parser:   connection.Parser{Egress: egress.Policy{Allow: settings.ProviderAllowCIDRs}},
		Sealer: seal.New(seal.Config{Keyset: func(ctx context.Context) (redact.Secret, error) {
			return awssecretsmanager.ReadText(ctx, secrets, settings.SealingSecretID)
		}}),
	}, nil
}

// InvocationID is Lambda's own name of an invocation.
func InvocationID(ctx context.Context) string {
	if invocation, ok := lambdacontext.FromContext(ctx); ok {
		return invocation.AwsRequestID
	}
	return ""
}

// Core returns the core over the parts. Secrets are cached in front of it for
// up to a minute; it goes past the cache where that matters.
func (p Parts) Core() *vending.Core {
	provider := oauth.New(oauth.Config{Egress: p.Parser.Egress})
	return vending.New(vending.Config{
		Store: p.Table, Secrets: clientsecret.NewCache(clientsecret.CacheConfig{Source: p.Secrets}),
		Parser: p.Parser, Minter: provider, Revoker: provider, Sealer: p.Sealer,
	})
}
