// Command vend is the Lambda function behind …/token: it hands access tokens to
// callers. This is its composition root; there is nothing else to it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func main() {
	handler, parts, err := compose(os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "vend cannot start:\n%v\n", err)
		os.Exit(1)
	}
	warmUp(parts)
	lambda.Start(handler)
}

// compose builds the function from its environment. From the outside in: the
// gateway checks who asks and for what, and writes the audit line; the core
// judges the connection's callers before it serves even a remembered token;
// secrets are cached behind it, because only a refresh needs them.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, assembly.Parts, error) {
	parts, err := assembly.Load(lookup, output, config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.LogLevel, config.ProviderAllowCIDRs)
	if err != nil {
		return nil, parts, err
	}
	return gateway.Vend(gateway.VendConfig{Tokens: parts.Core(), Audit: parts.Audit, InvocationID: assembly.InvocationID}), parts, nil
}

// warmUpBudget bounds what INIT waits for; Lambda allows it ten seconds.
const warmUpBudget = 3 * time.Second

// warmUp fetches the keyset and makes the table's TLS handshake during INIT,
// side by side, where the CPU is not throttled. What fails is tried again by
// the first caller who needs it, so it stops nothing here.
func warmUp(parts assembly.Parts) {
	ctx, cancel := context.WithTimeout(context.Background(), warmUpBudget)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := parts.Sealer.Prefetch(ctx); err != nil {
			parts.Log.Warn("keyset not fetched during start", "cause", err.Error())
		}
	})
	wg.Go(func() {
		if _, err := parts.Table.Get(ctx, tokenstore.Key{}, false); err != nil {
			parts.Log.Warn("table not reached during start", "cause", err.Error())
		}
	})
	wg.Wait()
	parts.Log.Debug("started", "warm_up_ms", time.Since(began).Milliseconds())
}
