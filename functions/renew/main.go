// Command renew is the Lambda function behind the schedule and Secrets
// Manager's change events: it renews what is due, and drops or reissues what a
// change made invalid. This is its composition root.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func main() {
	handler, err := compose(os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "renew cannot start:\n%v\n", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

// compose builds the function from its environment.
func compose(lookup func(string) (string, bool), output io.Writer) (*renewal.Handler, error) {
	settings, err := config.Load(lookup, config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.LogLevel, config.ProviderAllowCIDRs)
	if err != nil {
		return nil, err
	}
	aws, err := awsconfig.Load(lookup)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewJSONHandler(output, &slog.HandlerOptions{Level: settings.LogLevel}))
	secrets, table := aws.SecretsManager(), aws.DynamoDB()
	source := awssecretsmanager.New(awssecretsmanager.Config{Client: secrets, Prefix: settings.SecretPrefix})
	wheel := awsdynamodb.NewWheel(awsdynamodb.WheelConfig{Client: table,
		Store: awsdynamodb.New(awsdynamodb.Config{Client: table, Table: settings.TokenTable})})
	policy := egress.Policy{Allow: settings.ProviderAllowCIDRs}
	provider := oauth.New(oauth.Config{Egress: policy})
	return &renewal.Handler{
		SecretPrefix: settings.SecretPrefix,
		Refused:      func(reason string) { log.Warn("event refused", "reason", reason) },
		Renewer: renewal.New(renewal.Config{
			Index: wheel, Notes: wheel, Versions: source,
			Audit: audit.NewWriter(audit.Config{Output: output}),
			Core: vending.New(vending.Config{
				Store: wheel, Secrets: clientsecret.NewCache(clientsecret.CacheConfig{Source: source}),
				Parser: connection.Parser{Egress: policy}, Minter: provider, Revoker: provider,
				Sealer: seal.New(seal.Config{Keyset: func(ctx context.Context) (redact.Secret, error) {
					return awssecretsmanager.ReadText(ctx, secrets, settings.SealingSecretID)
				}}),
			}),
		}),
	}, nil
}
