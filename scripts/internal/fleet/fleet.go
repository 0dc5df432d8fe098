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
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/secrets"
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
	// The lines lead to the table, to Secrets Manager and to the provider. A cut
	// line makes its service unreachable.
	TableLine, SecretsLine, ProviderLine *fault.Line
	// Secrets is the Secrets Manager.
	Secrets *secrets.Engine

	config  Config
	table   string
	dynamo  *dynamodb.Client
	secrets *secretsmanager.Client
	env     []string
	issued  issued
	leaks   *leaks
	guard   *guard

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
	f.Gate = fault.NewGate(fault.Config{Classify: classify, Observe: f.observe})
	var err error
	if f.guard, err = startGuard(); err != nil {
		return f, err
	}
	table, err := f.openTable(ctx, c.DynamoDB)
	if err != nil {
		return f, err
	}
	f.Secrets = secrets.New(secrets.Config{})
	direct := f.Listen(f.Secrets)
	f.secrets = secretsmanager.New(secretsmanager.Options{BaseEndpoint: &direct, Region: "us-east-1", Credentials: credentials})
	f.Provider = sandbox.New(sandbox.Config{})
	if err := f.openLines(table); err != nil {
		return f, err
	}
	f.Provider.SetBaseURL(f.ProviderLine.URL())
	f.env = append([]string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + f.TableLine.URL(), "AWS_ENDPOINT_URL_SECRETS_MANAGER=" + f.SecretsLine.URL(),
		"AWS_SECRET_ACCESS_KEY=" + secretKey, "TOKEN_TABLE=" + f.table,
		"SEALING_SECRET_ID=" + SealingSecret, "LOG_LEVEL=debug", "PROVIDER_ALLOW_CIDRS=127.0.0.0/8",
		"PUBLIC_BASE_URL=" + PublicBaseURL,
	}, c.Environment...)
	return f, f.fill(ctx)
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
func (f *Fleet) fill(ctx context.Context) error {
	if err := f.AddKey(ctx, "k1"); err != nil {
		return err
	}
	for name, text := range f.Provider.Connections() {
		if err := f.PutSecret(ctx, name, text); err != nil {
			return err
		}
	}
	return nil
}

// AddKey replaces the keyset by one with a single key of that name.
func (f *Fleet) AddKey(ctx context.Context, id string) error {
	key := rand.Text() + rand.Text()
	f.leaks.watch(key)
	return f.putSecret(ctx, SealingSecret, fmt.Sprintf(`{"primary":%q,%q:%q}`, id, id, key))
}

// Register adds a client to the sandbox's plain server, and its secret.
func (f *Fleet) Register(ctx context.Context, connection string) error {
	if err := f.Provider.Register(sandbox.Client{Connection: connection}); err != nil {
		return err
	}
	return f.PutSecret(ctx, connection, f.Provider.Connections()[connection])
}

// openLines lets the processes reach table, Secrets Manager and provider.
func (f *Fleet) openLines(table http.Handler) error {
	for _, end := range []struct {
		line  **fault.Line
		serve http.Handler
	}{
		{&f.TableLine, f.Gate.Before(table)},
		{&f.SecretsLine, f.Gate.Before(f.Secrets)},
		{&f.ProviderLine, f.Token(f.Provider)},
	} {
		line, err := fault.Listen()
		if err != nil {
			return err
		}
		*end.line = line
		f.serve(line, end.serve)
	}
	return nil
}

// Listen serves a handler on loopback until the fleet is closed, and returns its
// URL.
func (f *Fleet) Listen(h http.Handler) string {
	on, err := fault.Listen()
	if err != nil {
		panic("fleet: no port is free on loopback: " + err.Error())
	}
	f.serve(on, h)
	return on.URL()
}

func (f *Fleet) serve(on net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(on) }() // it ends when the fleet closes
	f.closers = append(f.closers, func() { _ = server.Close() })
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
	if f.guard != nil {
		f.guard.close()
	}
}
