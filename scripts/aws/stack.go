package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/docker"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

// The names of what the functions use.
const (
	table         = "tokens"
	prefix        = "tokenvend/"
	mainKeyset    = "sealing/main"
	consentKeyset = "sealing/consent"
)

// private are the networks that the engine's bridge, or Docker Desktop's virtual
// machine, has its addresses in.
const private = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"

// stack is what the functions reach: a table in an engine, secrets, and the
// authorization servers of the saved events.
type stack struct {
	engine                         *engine.Server
	tableURL, secretsURL, provider string
	closers                        []func()
}

// openStack starts it all, reachable from containers.
func openStack(ctx context.Context, d *docker.Engine, log io.Writer) (s *stack, err error) {
	s = &stack{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.engine, err = engine.Open(ctx, engine.Config{Lookup: os.LookupEnv, Output: log}); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.engine.Close)
	if err := engine.CreateTable(ctx, engine.Client(s.engine.URL), table); err != nil {
		return nil, err
	}
	aws, err := awsfake.Start(awsfake.Config{DynamoDB: s.engine.URL})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() { _ = aws.Close() })
	for url, service := range map[*string]http.Handler{
		&s.provider: http.HandlerFunc(answer), &s.tableURL: forward(aws.DynamoDBLine.URL()), &s.secretsURL: forward(aws.SecretsManagerLine.URL()),
	} {
		if *url, err = s.serve(ctx, d, service); err != nil {
			return nil, err
		}
	}
	return s, s.fill(aws)
}

// fill makes keysets and connections.
func (s *stack) fill(aws *awsfake.Services) error {
	const key = `{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`
	secrets := map[string]string{mainKeyset: key, consentKeyset: strings.ReplaceAll(key, "0123", "3210")}
	for name, text := range declarations(s.provider) {
		secrets[prefix+name] = text
	}
	for name, text := range secrets {
		if err := aws.PutSecret(name, text); err != nil {
			return fmt.Errorf("put secret %s: %w", name, err)
		}
	}
	return nil
}

// serve serves a handler where containers reach it, and returns its URL there.
func (s *stack) serve(ctx context.Context, d *docker.Engine, h http.Handler) (string, error) {
	l, host, err := d.Listen(ctx)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // it ends with the stack
	s.closers = append(s.closers, func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	return "http://" + net.JoinHostPort(host, port), err
}

func forward(to string) http.Handler {
	target, err := url.Parse(to)
	if err != nil {
		panic(err) // the URL of a listener of this process
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
}

// Close ends everything.
func (s *stack) Close() {
	for _, end := range s.closers {
		end()
	}
}

// variables are a function's, beside those that Lambda sets.
func (s *stack) variables(function string) map[string]string {
	keyset := mainKeyset
	if function == "consent" {
		keyset = consentKeyset
	}
	return map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": s.tableURL, "AWS_ENDPOINT_URL_SECRETS_MANAGER": s.secretsURL,
		"TOKEN_TABLE": table, "SECRET_PREFIX": prefix, "SEALING_SECRET_ID": keyset,
		"PUBLIC_BASE_URL": "https://abcdefghij.execute-api.eu-west-1.amazonaws.com/v1",
		"LOG_LEVEL":       "info", "PROVIDER_ALLOW_CIDRS": private, "METRICS_NAMESPACE": "tokenvend/test",
	}
}
