// Command connections is the Lambda function behind /connections, except for
// tokens: it lists connections and their states, and it starts, completes,
// imports and ends users' consents.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/assembly/fromenv"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/gateway"
)

func main() {
	handler, err := compose(os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "connections cannot start:\n%v\n", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

// compose builds the function from its environment.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, error) {
	function, err := fromenv.Load(lookup, output, config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.PublicBaseURL, config.LogLevel, config.MetricsNamespace, config.Monitoring, config.ProviderAllowCIDRs, config.SecretReferences)
	if err != nil {
		return nil, err
	}
	return function.Connections(function.Core()), nil
}
