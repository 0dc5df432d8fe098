// Command vend is the Lambda function behind …/token: it hands access tokens to
// callers. This is its composition root; there is nothing else to it.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func main() {
	handler, err := compose(os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "vend cannot start:\n%v\n", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

// compose builds the function from its environment.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, error) {
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
	secrets := aws.SecretsManager()
	store := awsdynamodb.New(awsdynamodb.Config{Client: aws.DynamoDB(), Table: settings.TokenTable})
	sealer := seal.New(seal.Config{Keyset: func(ctx context.Context) (redact.Secret, error) {
		return awssecretsmanager.ReadText(ctx, secrets, settings.SealingSecretID)
	}})
	policy := egress.Policy{Allow: settings.ProviderAllowCIDRs}
	provider := oauth.New(oauth.Config{Egress: policy})
	warmUp(log, store, sealer)
	// From the outside in: the gateway checks who asks and what; the core judges
	// the connection's callers before it serves even a remembered token; secrets
	// are cached behind it, because only a refresh needs them.
	return gateway.Vend(gateway.VendConfig{
		Audit: audit.NewWriter(audit.Config{Output: output}),
		Tokens: vending.New(vending.Config{
			Store: store,
			Secrets: clientsecret.NewCache(clientsecret.CacheConfig{
				Source: awssecretsmanager.New(awssecretsmanager.Config{Client: secrets, Prefix: settings.SecretPrefix}),
			}),
			Parser: connection.Parser{Egress: policy},
			Minter: provider, Revoker: provider, Sealer: sealer,
		}),
	}), nil
}

// warmUpBudget bounds what INIT waits for; Lambda allows it ten seconds.
const warmUpBudget = 3 * time.Second

// warmUp fetches the keyset and makes the table's TLS handshake during INIT,
// side by side, where the CPU is not throttled. What fails is tried again by
// the first caller who needs it, so it stops nothing here.
func warmUp(log *slog.Logger, store vending.Reader, sealer *seal.Sealer) {
	ctx, cancel := context.WithTimeout(context.Background(), warmUpBudget)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := sealer.Prefetch(ctx); err != nil {
			log.Warn("keyset not fetched during start", "cause", err.Error())
		}
	})
	wg.Go(func() {
		if _, err := store.Get(ctx, tokenstore.Key{}, false); err != nil {
			log.Warn("table not reached during start", "cause", err.Error())
		}
	})
	wg.Wait()
	log.Debug("started", "warm_up_ms", time.Since(began).Milliseconds())
}
