// Package awsfake serves AWS's protocols on loopback for tests: a Secrets
// Manager in memory, a table that can be scanned, or a DynamoDB engine behind a
// proxy. A [fault.Gate] stands before both services, and a [fault.Line] below
// each.
//
// Nothing here reads DynamoDB's expressions: what depends on conditional writes
// is tested on an engine of package engine.
package awsfake

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/secrets"
)

// headerTimeout bounds how long a client may take over a request's head.
const headerTimeout = 10 * time.Second

// Config is what Start needs. The zero Config serves a Secrets Manager and a
// [Table].
type Config struct {
	// DynamoDB is the endpoint of an engine; empty serves a Table instead.
	DynamoDB string
	// Gate configures the gate. The zero value takes operations as steps.
	Gate fault.Config
}

// Services are the running services. Close ends them.
type Services struct {
	SecretsManager *secrets.Engine
	// DynamoDB is nil in front of an engine.
	DynamoDB *Table
	// Gate stands before both.
	Gate *fault.Gate
	// The lines take a service away.
	DynamoDBLine, SecretsManagerLine *fault.Line

	servers []*http.Server
}

// Start starts both services.
func Start(c Config) (*Services, error) {
	s := &Services{SecretsManager: secrets.New(secrets.Config{}), Gate: fault.NewGate(c.Gate)}
	dynamoDB, err := s.dynamoDB(c.DynamoDB)
	if err != nil {
		return nil, err
	}
	if s.DynamoDBLine, err = s.serve(dynamoDB); err != nil {
		return nil, fmt.Errorf("start DynamoDB: %w", err)
	}
	if s.SecretsManagerLine, err = s.serve(s.SecretsManager); err != nil {
		return nil, errors.Join(fmt.Errorf("start Secrets Manager: %w", err), s.Close())
	}
	return s, nil
}

func (s *Services) dynamoDB(endpoint string) (http.Handler, error) {
	if endpoint != "" {
		return Proxy(endpoint)
	}
	s.DynamoDB = newTable()
	return s.DynamoDB, nil
}

func (s *Services) serve(service http.Handler) (*fault.Line, error) {
	line, err := fault.Listen()
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: s.Gate.Before(service), ReadHeaderTimeout: headerTimeout,
		ErrorLog: log.New(io.Discard, "", 0)} // a client that is killed resets its connection
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(line) }()
	return line, nil
}

// Proxy passes requests on to an engine.
func Proxy(endpoint string) (http.Handler, error) {
	to, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint of DynamoDB: %w", err)
	}
	return &httputil.ReverseProxy{
		// dynalite ends idle connections after five seconds. A request that was held
		// at the gate for longer must not meet one.
		Transport:    &http.Transport{IdleConnTimeout: time.Second, MaxIdleConnsPerHost: 64},
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}, nil
}

// Environment are the SDK's variables, as NAME=value, for a process that uses
// these services. Any credentials are accepted.
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
