// Command renew is the Lambda function behind the schedule and Secrets
// Manager's change events: it renews what is due, and drops or reissues what a
// change made invalid.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/assembly/fromenv"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/renewal"
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
	function, err := fromenv.Load(lookup, output, config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.LogLevel, config.MetricsNamespace, config.Monitoring, config.ProviderAllowCIDRs, config.SecretReferences)
	if err != nil {
		return nil, err
	}
	return &renewal.Handler{
		SecretPrefix: function.Settings.SecretPrefix,
		Refused:      func(reason string) { function.Log.Warn("event refused", "reason", reason) },
		Renewer:      function.Renewer(function.Core()),
	}, nil
}
