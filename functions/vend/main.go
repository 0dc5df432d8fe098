// Command vend is the Lambda function behind …/token: it vends access tokens.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/assembly/fromenv"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func main() {
	handler, function, err := compose(os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "vend cannot start:\n%v\n", err)
		os.Exit(1)
	}
	warmUp(function)
	lambda.Start(handler)
}

// compose builds the function from its environment.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, fromenv.Function, error) {
	function, err := fromenv.Load(lookup, output, config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.LogLevel, config.MetricsNamespace, config.Monitoring, config.ProviderAllowCIDRs, config.SecretReferences)
	if err != nil {
		return nil, function, err
	}
	return function.Vend(function.Core()), function, nil
}

// warmUpBudget bounds what INIT waits for; Lambda allows it ten seconds.
const warmUpBudget = 3 * time.Second

// warmUp fetches the keyset and makes the table's TLS handshake during INIT,
// side by side, where the CPU is not throttled. A failure stops nothing: the
// first call that needs the keyset or the table tries again.
func warmUp(f fromenv.Function) {
	ctx, cancel := context.WithTimeout(context.Background(), warmUpBudget)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.Sealer.Prefetch(ctx); err != nil {
			f.Log.Warn("keyset not fetched during start", "cause", err.Error())
		}
	})
	wg.Go(func() {
		if _, err := f.Store.Get(ctx, tokenstore.Key{}, false); err != nil {
			f.Log.Warn("table not reached during start", "cause", err.Error())
		}
	})
	wg.Wait()
	f.Log.Debug("started", "warm_up_ms", time.Since(began).Milliseconds())
}
