// Package fleet runs the built functions as a fleet on one machine: real
// bootstraps as processes, each with one invocation at a time, against one
// table, one Secrets Manager and one faulty provider over sockets.
//
// A process can be frozen, thawed and killed at a named point of its work. The
// functions have no hooks for that: the points are their requests to the engines
// and the provider, which a [fault.Gate] holds. The access key that signs a
// request names its process.
//
// Every answer is checked against the invariants, and everything that leaves a
// process is searched for secrets. [Fleet.Violations] returns what was found.
package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/secrets"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

// Config is what a Fleet is made of.
type Config struct {
	// Bootstraps is the folder that Build filled.
	Bootstraps string
	// DynamoDB is the endpoint of an engine; required.
	DynamoDB string
	// Output gets what the processes print; nil drops it. Either way it is searched
	// for secrets.
	Output io.Writer
	// Environment is added to that of every process.
	Environment []string
}

// Fleet is the engines, the provider and the processes. It is safe for
// concurrent use.
type Fleet struct {
	// Provider is the sandbox that serves every authorization server.
	Provider *sandbox.Sandbox
	// Gate stands before the engines and the provider.
	Gate *fault.Gate
	// TableLine leads to the table. A cut makes it unreachable.
	TableLine *fault.Line
	// Secrets is the Secrets Manager.
	Secrets *secrets.Engine

	aws     *awsfake.Services
	config  Config
	table   string
	dynamo  *dynamodb.Client
	secrets *secretsmanager.Client
	env     []string
	issued  issued
	leaks   *leaks

	mu         sync.Mutex
	holder     string
	processes  map[string]*Process
	violations []string
	closers    []func()
}

// Start opens engines and provider, and puts the sandbox's connections into
// Secrets Manager. It starts no process. Close must be called, also after an error.
func Start(ctx context.Context, c Config) (*Fleet, error) {
	if c.Output == nil {
		c.Output = io.Discard
	}
	f := &Fleet{config: c, leaks: newLeaks(), processes: map[string]*Process{}, issued: issued{tokens: map[string]issue{}}}
	if err := f.openServices(ctx); err != nil {
		return f, err
	}
	f.env = append([]string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + f.TableLine.URL(), "AWS_ENDPOINT_URL_SECRETS_MANAGER=" + f.aws.SecretsManagerLine.URL(),
		"AWS_SECRET_ACCESS_KEY=" + secretKey, "TOKEN_TABLE=" + f.table,
		"SEALING_SECRET_ID=" + SealingSecret, "LOG_LEVEL=debug", "PROVIDER_ALLOW_CIDRS=127.0.0.0/8",
		"PUBLIC_BASE_URL=" + PublicBaseURL,
	}, c.Environment...)
	return f, f.fill()
}

// observe sees every request to the table, to Secrets Manager and to the
// provider.
func (f *Fleet) observe(c Call, body []byte) {
	f.leaks.look("a request to the table or to Secrets Manager", body)
	if c.Step == Acquire && c.Phase == Done && c.Status == http.StatusOK {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.holder = c.From
	}
}

// Holder is the process that took a lease last.
func (f *Fleet) Holder() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holder
}

// fill makes the keyset and the sandbox's connections.
func (f *Fleet) fill() error {
	if err := f.AddKey("k1"); err != nil {
		return err
	}
	for name, text := range f.Provider.Connections() {
		if err := f.PutSecret(name, text); err != nil {
			return err
		}
	}
	return nil
}

// AddKey replaces the keyset by one with a single key of that name.
func (f *Fleet) AddKey(id string) error {
	key := rand.Text() + rand.Text()
	f.leaks.watch(key)
	return f.aws.PutSecret(SealingSecret, fmt.Sprintf(`{"primary":%q,%q:%q}`, id, id, key))
}

// Register adds a client to the sandbox's plain server, and its secret.
func (f *Fleet) Register(connection string) error {
	if err := f.Provider.Register(sandbox.Client{Connection: connection}); err != nil {
		return err
	}
	return f.PutSecret(connection, f.Provider.Connections()[connection])
}

// openServices makes the table, and opens Secrets Manager and the provider.
func (f *Fleet) openServices(ctx context.Context) (err error) {
	f.table, f.dynamo = "fleet-"+rand.Text(), engine.Client(f.config.DynamoDB)
	if err := engine.CreateTable(ctx, f.dynamo, f.table); err != nil {
		return err
	}
	f.aws, err = awsfake.Start(awsfake.Config{DynamoDB: f.config.DynamoDB, Gate: fault.Config{Classify: classify, Observe: f.observe}})
	if err != nil {
		return err
	}
	f.closers = append(f.closers, func() { _ = f.aws.Close() })
	f.Gate, f.TableLine, f.Secrets = f.aws.Gate, f.aws.DynamoDBLine, f.aws.SecretsManager
	direct := f.Listen(f.Secrets)
	f.secrets = secretsmanager.New(secretsmanager.Options{BaseEndpoint: &direct, Region: "us-east-1", Credentials: credentials})
	f.Provider = sandbox.New(sandbox.Config{})
	f.Provider.SetBaseURL(f.Listen(f.Token(f.Provider)))
	return nil
}

// Listen serves a handler on loopback until the fleet is closed, and returns its
// URL.
func (f *Fleet) Listen(h http.Handler) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	f.closers = append(f.closers, func() { _ = server.Config.Close() })
	return server.URL
}

// Unserved is an address that refuses connections.
func Unserved() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// Violations returns the invariants found broken so far. It also searches every
// stored item.
func (f *Fleet) Violations(ctx context.Context) ([]string, error) {
	err := f.sweepItems(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(f.leaks.all(), f.violations...), err
}

// violated records a violation; a repeated text is recorded once.
func (f *Fleet) violated(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(f.violations, text) {
		f.violations = append(f.violations, text)
	}
}

// Close kills every process, frozen ones too, and closes the engines.
func (f *Fleet) Close() {
	f.mu.Lock()
	processes := f.processes
	f.processes = nil
	f.mu.Unlock()
	for _, p := range processes {
		p.host.Close()
	}
	for _, c := range f.closers {
		c()
	}
}
