// Package cloud plays a deployed stack for built functions, on engines that
// share no code with ours: its table in a DynamoDB, its secrets in a Secrets
// Manager, the sandbox as every provider, and API Gateway in front.
//
// Whatever a function reaches is reached through a [Gate], so that an engine
// can be made to throttle or fail without being asked.
package cloud

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// Prefix is SECRET_PREFIX, the default one.
const Prefix = "tokenvend/"

// The secrets with the keysets: the functions', and the public function's own.
const (
	mainKeyset    = "sealing/main"
	consentKeyset = "sealing/consent"
)

// Region is where everything is.
const Region = "us-east-1"

// Credentials are an access key, and its secret, that every engine takes.
const Credentials = "tokenvend"

var anyone = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: Credentials, SecretAccessKey: Credentials}, nil
})

// Config is what Open needs.
type Config struct {
	// DynamoDB and SecretsManager are the engines' endpoints.
	DynamoDB, SecretsManager string
	// Listen opens a port that the functions reach at host; nil is loopback.
	Listen func(ctx context.Context) (l net.Listener, host string, err error)
	// Bare leaves the sandbox's connections out.
	Bare bool
	// Networks is PROVIDER_ALLOW_CIDRS; empty is loopback.
	Networks string
}

// Cloud is one stack. Its methods are not for concurrent use, its parts are.
type Cloud struct {
	// TableGate and SecretsGate stand before the engines.
	TableGate, SecretsGate *Gate
	// Provider is the sandbox, and ProviderURL where the functions reach it.
	Provider    *sandbox.Sandbox
	ProviderURL string
	// Table is TOKEN_TABLE.
	Table string

	dynamo               *dynamodb.Client
	secrets              *secretsmanager.Client
	tableURL, secretsURL string
	networks, publicURL  string
	listen               func(ctx context.Context) (net.Listener, string, error)
	closers              []func()
}

// Open makes the table and the secrets, and puts the sandbox's connections
// among them. Close must be called, also after an error.
func Open(ctx context.Context, c Config) (*Cloud, error) {
	cloud := &Cloud{
		Provider: sandbox.New(sandbox.Config{LocalRedirects: true}), Table: "tokenvend-" + rand.Text(),
		dynamo:   dynamodb.New(dynamodb.Options{BaseEndpoint: &c.DynamoDB, Region: Region, Credentials: anyone}),
		secrets:  secretsmanager.New(secretsmanager.Options{BaseEndpoint: &c.SecretsManager, Region: Region, Credentials: anyone}),
		networks: c.Networks, listen: c.Listen,
	}
	if cloud.listen == nil {
		cloud.listen, cloud.networks = Loopback, "127.0.0.0/8"
	}
	if err := cloud.openGates(ctx, c); err != nil {
		return cloud, err
	}
	if err := cloud.makeTable(ctx); err != nil {
		return cloud, err
	}
	for _, keyset := range []string{mainKeyset, consentKeyset} {
		if err := cloud.put(ctx, keyset, fmt.Sprintf(`{"primary":"k1","k1":%q}`, rand.Text()+rand.Text())); err != nil {
			return cloud, err
		}
	}
	if c.Bare {
		return cloud, nil
	}
	for name, text := range cloud.Provider.Connections() {
		if err := cloud.PutSecret(ctx, name, string(text)); err != nil {
			return cloud, err
		}
	}
	return cloud, nil
}

// Loopback listens where only this machine is.
func Loopback(context.Context) (net.Listener, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return l, "127.0.0.1", err
}

// openGates lets the functions reach the engines and the provider.
func (c *Cloud) openGates(ctx context.Context, config Config) (err error) {
	if c.TableGate, c.tableURL, err = c.openGate(ctx, config.DynamoDB); err != nil {
		return err
	}
	if c.SecretsGate, c.secretsURL, err = c.openGate(ctx, config.SecretsManager); err != nil {
		return err
	}
	if c.ProviderURL, err = c.Serve(ctx, c.Provider); err != nil {
		return err
	}
	c.Provider.SetBaseURL(c.ProviderURL)
	return nil
}

func (c *Cloud) openGate(ctx context.Context, endpoint string) (*Gate, string, error) {
	to, err := url.Parse(endpoint)
	if err != nil {
		return nil, "", fmt.Errorf("endpoint of an engine: %w", err)
	}
	gate := NewGate(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	at, err := c.Serve(ctx, gate)
	return gate, at, err
}

// Serve serves a handler where the functions reach it until the cloud is
// closed, and returns its URL.
func (c *Cloud) Serve(ctx context.Context, h http.Handler) (string, error) {
	l, host, err := c.listen(ctx)
	if err != nil {
		return "", fmt.Errorf("listen for functions: %w", err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // it ends when the cloud closes
	c.closers = append(c.closers, func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	return "http://" + net.JoinHostPort(host, port), err
}

// Close ends what the cloud listens on, and removes its table. The secrets stay
// with their engine.
func (c *Cloud) Close() {
	_, _ = c.dynamo.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &c.Table}) // it goes with its engine at the latest
	for _, end := range c.closers {
		end()
	}
}

// Delegated is the sandbox's connection of authorization_code.
const Delegated = "creative-force-user"

// SetPublicURL says under which URL the API is reached: to the functions that
// are started from now on, and to the provider that sends browsers back there.
func (c *Cloud) SetPublicURL(u string) error {
	c.publicURL = u
	return c.Provider.SetRedirectURIs(Delegated, u+"/callback/"+Delegated)
}

// Environment is what a function needs beside what Lambda sets.
func (c *Cloud) Environment(function string) map[string]string {
	keyset := mainKeyset
	if function == "consent" {
		keyset = consentKeyset
	}
	return map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": c.tableURL, "AWS_ENDPOINT_URL_SECRETS_MANAGER": c.secretsURL,
		"TOKEN_TABLE": c.Table, "SECRET_PREFIX": Prefix, "SEALING_SECRET_ID": keyset, "PUBLIC_BASE_URL": c.publicURL,
		"LOG_LEVEL": "info", "PROVIDER_ALLOW_CIDRS": c.networks,
	}
}

// PutSecret makes a connection's secret, or gives it another version.
func (c *Cloud) PutSecret(ctx context.Context, connection, text string) error {
	return c.put(ctx, Prefix+connection, text)
}

func (c *Cloud) put(ctx context.Context, name, text string) error {
	_, err := c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &text})
	if errors.As(err, new(*types.ResourceNotFoundException)) {
		_, err = c.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text})
	}
	if err != nil {
		return fmt.Errorf("put secret %s: %w", name, err)
	}
	return nil
}

// DeleteSecret removes a connection's secret at once. One that is not there is
// no error.
func (c *Cloud) DeleteSecret(ctx context.Context, connection string) error {
	_, err := c.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{
		SecretId: aws.String(Prefix + connection), ForceDeleteWithoutRecovery: aws.Bool(true)})
	if err != nil && !errors.As(err, new(*types.ResourceNotFoundException)) {
		return fmt.Errorf("delete secret %s: %w", connection, err)
	}
	return nil
}
