// Command consent is the Lambda function behind the two public pages: the one
// that asks for consent, and the provider's way back. Everybody may call it, so
// it is given the sessions of consents, a keyset of its own, and nothing else:
// no connection's secret, no grant, no token. This is its composition root.
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
// another keyset than the other functions': what this one seals, and opens, are
// the forms of its own page.
func compose(lookup func(string) (string, bool), output io.Writer) (*gateway.Handler, error) {
	parts, err := assembly.Load(lookup, output, config.TokenTable, config.SealingSecretID, config.LogLevel)
	if err != nil {
		return nil, err
	}
	return gateway.Consent(gateway.ConsentConfig{
		FrontChannel:  consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: parts.Sessions, Sealer: parts.Sealer}),
		Pages: pages.New(), Audit: parts.Audit, InvocationID: assembly.InvocationID,
	}), nil
}
