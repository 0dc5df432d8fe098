// Command connections is the Lambda function behind /connections, but for the
// tokens: it tells which connections there are and how they stand, and it
// starts, completes, imports and ends users' consents. This is its composition
// root.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func main() {
	handler, err := compose(os.LookupEnv, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "connections cannot start:\n%v\n", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

// compose builds the function from its environment. The directory's secrets are
// not cached: who asks how a connection stands has often just changed it. The
// core goes past its own cache for a consent.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, error) {
	parts, err := assembly.Load(lookup, output, config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.PublicBaseURL, config.LogLevel, config.ProviderAllowCIDRs)
	if err != nil {
		return nil, err
	}
	core := parts.Core()
	return gateway.Connections(gateway.ConnectionsConfig{
		Audit: parts.Audit, InvocationID: assembly.InvocationID, PublicBaseURL: parts.Settings.PublicBaseURL,
		Directory: vending.NewDirectory(vending.DirectoryConfig{
			Store: parts.Table, Secrets: parts.Secrets, Lister: parts.Secrets, Parser: parts.Parser,
		}),
		Grants:   core,
		BackChannel: consent.NewBackChannel(consent.BackChannelConfig{Sessions: parts.Sessions, Pending: parts.Table, Grants: core, Sealer: parts.Sealer}),
	}), nil
}
