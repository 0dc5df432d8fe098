// Package loopback runs stand-ins for the two AWS services on this machine:
// DynamoDB and Secrets Manager, each behind its own protocol, so that the built
// bootstraps run against them as they run in the cloud.
//
// The engines are in dynamo and secrets, what breaks them is in fault, and this
// package puts the three together behind two ports. Nothing here is shipped.
package loopback

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/dynamo"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/secrets"
)

// anyPort lets the system choose.
const anyPort = "127.0.0.1:0"

// headerTimeout bounds how long a client may take over a request's head.
const headerTimeout = 10 * time.Second

// Config is what the services are started with. The zero Config starts both on
// ports that the system chooses.
type Config struct {
	// DynamoDBAddr and SecretsManagerAddr are loopback addresses; empty means
	// 127.0.0.1 and any port.
	DynamoDBAddr, SecretsManagerAddr string
	// DynamoDB and SecretsManager configure the engines.
	DynamoDB       dynamo.Config
	SecretsManager secrets.Config
	// Seed makes faults that strike a fraction repeatable.
	Seed uint64
}

// Services are the running services. Close ends them.
type Services struct {
	DynamoDB       *dynamo.Engine
	SecretsManager *secrets.Engine
	// DynamoDBFaults and SecretsManagerFaults break single requests.
	DynamoDBFaults, SecretsManagerFaults *fault.Injector
	// DynamoDBLine and SecretsManagerLine take a service away altogether.
	DynamoDBLine, SecretsManagerLine *fault.Line

	servers []*http.Server
}

// Start starts both services.
func Start(c Config) (*Services, error) {
	s := &Services{DynamoDB: dynamo.New(c.DynamoDB), SecretsManager: secrets.New(c.SecretsManager)}
	s.DynamoDBFaults = fault.New(fault.Config{Service: s.DynamoDB, Seed: c.Seed})
	s.SecretsManagerFaults = fault.New(fault.Config{Service: s.SecretsManager, Seed: c.Seed})
	var err error
	if s.DynamoDBLine, err = s.serve(c.DynamoDBAddr, s.DynamoDBFaults); err != nil {
		return nil, fmt.Errorf("start DynamoDB: %w", err)
	}
	if s.SecretsManagerLine, err = s.serve(c.SecretsManagerAddr, s.SecretsManagerFaults); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("start Secrets Manager: %w", err)
	}
	return s, nil
}

func (s *Services) serve(address string, handler http.Handler) (*fault.Line, error) {
	if address == "" {
		address = anyPort
	}
	line, err := fault.Listen(address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(line) }()
	return line, nil
}

// Environment are the SDK's variables, as NAME=value, for a process that is to
// use these services. The credentials are as good as any.
func (s *Services) Environment() []string {
	return []string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + s.DynamoDBLine.URL(),
		"AWS_ENDPOINT_URL_SECRETS_MANAGER=" + s.SecretsManagerLine.URL(),
		"AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=local",
		"AWS_SECRET_ACCESS_KEY=local",
	}
}

// Close ends the services and every connection to them.
func (s *Services) Close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
