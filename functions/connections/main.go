// Command connections is the Lambda function behind /connections: it tells
// which connections there are and how they stand. This is its composition root.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
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

// compose builds the function from its environment. Secrets are not cached: who
// asks how a connection stands has often just changed it.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, error) {
	settings, err := config.Load(lookup, config.TokenTable, config.SecretPrefix, config.ProviderAllowCIDRs)
	if err != nil {
		return nil, err
	}
	aws, err := awsconfig.Load(lookup)
	if err != nil {
		return nil, err
	}
	secrets := awssecretsmanager.New(awssecretsmanager.Config{Client: aws.SecretsManager(), Prefix: settings.SecretPrefix})
	return gateway.Connections(gateway.ConnectionsConfig{
		Audit: audit.NewWriter(audit.Config{Output: output}),
		Directory: vending.NewDirectory(vending.DirectoryConfig{
			Store:   awsdynamodb.New(awsdynamodb.Config{Client: aws.DynamoDB(), Table: settings.TokenTable}),
			Secrets: secrets, Lister: secrets,
			Parser: connection.Parser{Egress: egress.Policy{Allow: settings.ProviderAllowCIDRs}},
		}),
	}), nil
}
