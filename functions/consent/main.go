// Command consent is the Lambda function behind the two public pages: the
// consent page and the redirect URI. Its callers are not authenticated, so it
// reads and writes consent sessions under a keyset of its own and nothing else:
// no connection's secret, no grant, no token.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/assembly/fromenv"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
)

func main() {
	handler, err := compose(os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "consent cannot start:\n%v\n", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

// compose builds the function from its environment. SEALING_SECRET_ID names
// another keyset than the other functions': this one seals and opens the forms
// of its own page only.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, error) {
	function, err := fromenv.Load(lookup, output, config.TokenTable, config.SealingSecretID, config.LogLevel, config.MetricsNamespace, config.Monitoring)
	if err != nil {
		return nil, err
	}
	return function.Consent(function.FrontChannel(), pages.New()), nil
}
