// Command serve runs DynamoDB and Secrets Manager stand-ins on this machine, for
// use by hand, until it is interrupted. It prints the variables that point an
// SDK, or a bootstrap, at them:
//
//	go run ./scripts/internal/loopback/serve -dynamodb 127.0.0.1:8000 -secretsmanager 127.0.0.1:8001
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback"
)

func main() {
	var c settings
	flag.StringVar(&c.DynamoDBAddr, "dynamodb", "127.0.0.1:8000", "loopback `address` of DynamoDB")
	flag.StringVar(&c.SecretsManagerAddr, "secretsmanager", "127.0.0.1:8001", "loopback `address` of Secrets Manager")
	flag.StringVar(&c.table, "table", "tokens", "`name` of the table to make, as the template does; empty for none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, c); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

type settings struct {
	loopback.Config
	table string
}

// run serves until ctx ends.
func run(ctx context.Context, out io.Writer, c settings) error {
	services, err := loopback.Start(c.Config)
	if err != nil {
		return err
	}
	defer func() { _ = services.Close() }()
	variables := services.Environment()
	if c.table != "" {
		if err := services.CreateTokenTable(c.table); err != nil {
			return err
		}
		variables = append(variables, "TOKEN_TABLE="+c.table)
	}
	for _, variable := range variables {
		if _, err := fmt.Fprintln(out, "export "+variable); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
