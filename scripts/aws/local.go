package main

import (
	"context"
	"fmt"
	"net"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
)

// localAddress is where make sam-local serves the API.
const localAddress = "127.0.0.1:8080"

// serve runs the stack under SAM until ctx ends.
func (b *bench) serve(ctx context.Context) error {
	l, err := net.Listen("tcp", localAddress)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	e, err := b.openEngines(ctx)
	if err != nil {
		return err
	}
	u := &under{bench: b, engines: e}
	if err := u.open(ctx); err != nil {
		return err
	}
	fmt.Fprintln(b.progress, "sam build")
	if err := u.sam.Build(ctx); err != nil {
		return err
	}
	fmt.Fprintln(b.progress, "sam local start-lambda")
	stack, err := u.openLambda(ctx, l)
	if err != nil {
		return err
	}
	b.greet(stack.API.URL, stack.Cloud)
	<-ctx.Done()
	return nil
}

// greet prints what to try.
func (b *bench) greet(url string, c *cloud.Cloud) {
	curl := fmt.Sprintf("curl --aws-sigv4 aws:amz:%s:execute-api --user %s:%s", cloud.Region, cloud.CallerKey, cloud.CallerSecret)
	fmt.Fprintf(b.report.out, `
The functions run in containers; what they say is in %[1]s.

  %[2]s %[3]s/connections
  %[2]s %[3]s/connections/creative-force/token
  %[2]s -X DELETE %[3]s/connections/creative-force/token

The sandbox that plays the providers, and its levers: %[4]s/

listening on %[3]s
`, b.options.log, curl, url, c.ProviderURL)
}
