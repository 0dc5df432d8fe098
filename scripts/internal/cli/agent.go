package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/cli/agent"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

// agentName is how a Lambda layer calls the program: Lambda gives an extension no
// arguments.
const agentName = "tokenvend-agent"

// The variables of the agent.
const (
	agentSecretVariable = "TOKENVEND_AGENT_TOKEN"
	agentFileVariable   = "TOKENVEND_AGENT_TOKEN_FILE"
	agentAddrVariable   = "TOKENVEND_AGENT_ADDR"
	agentNamesVariable  = "TOKENVEND_AGENT_CONNECTIONS"
	agentAllowVariable  = "TOKENVEND_AGENT_ALLOW"
	runtimeAPIVariable  = "AWS_LAMBDA_RUNTIME_API"
)

const defaultAgentAddr = "127.0.0.1:7070"

// agentCommand serves tokens to a workload beside it.
type agentCommand struct {
	Addr       string   `placeholder:"ADDRESS" help:"Address to listen on, on loopback; 127.0.0.1:7070 otherwise."`
	Connection []string `sep:"none" placeholder:"NAME" help:"A connection that may be used; all that IAM allows otherwise. May be repeated."`
	Allow      []string `sep:"none" placeholder:"NAME=URL" help:"Where /to/NAME forwards requests with NAME's token: https://HOST/PREFIX. May be repeated, once for each NAME."`
	TokenFile  string   `placeholder:"FILE" help:"File with the agent's token. It is made if it does not exist."`
}

func (agentCommand) details() string {
	return `A program on this machine gets tokens from http://127.0.0.1:7070/connections/NAME/token,
as from the service, and sends requests with a token to http://127.0.0.1:7070/to/NAME/PATH.
Each request must have the agent's token in the header ` + agent.SecretHeader + `. The token is in
the file of --token-file or in the variable; otherwise the command makes a file and prints
its path. Under /to, the header X-Tokenvend-Subject names one of many users.

Environment variables, for where there are no arguments
  ` + agentSecretVariable + `        the agent's token, of at least 16 characters
  ` + agentFileVariable + `   --token-file
  ` + agentAddrVariable + `         --addr
  ` + agentNamesVariable + `  --connection, names separated by commas
  ` + agentAllowVariable + `        --allow, separated by commas

With ` + runtimeAPIVariable + ` the command is a Lambda extension: it gets the tokens of the
named connections while the function initializes, for two seconds at the most, and a
mistake in its settings is the answer to requests instead of the end of the function.
`
}

// Run serves until ctx ends, or as an extension until the environment does.
func (c agentCommand) Run(ctx context.Context, s *session) error {
	c = c.withVariables(s)
	if api := s.variable(runtimeAPIVariable); api != "" {
		return c.extend(ctx, s, api)
	}
	listener, err := listenLocally(ctx, c.Addr, defaultAgentAddr)
	if err != nil {
		return err
	}
	defer listener.Close()
	configured, end, err := c.configure(ctx, s)
	if err != nil {
		return err
	}
	defer end()
	fmt.Fprintf(s.Out, "listening on http://%s\n", listener.Addr())
	return serveLocally(ctx, listener, agent.New(configured))
}

// withVariables completes the flags.
func (c agentCommand) withVariables(s *session) agentCommand {
	c.Addr = cmp.Or(c.Addr, s.variable(agentAddrVariable), defaultAgentAddr)
	list := func(flag []string, variable string) []string {
		if len(flag) > 0 {
			return flag
		}
		return strings.FieldsFunc(s.variable(variable), func(r rune) bool { return r == ',' || r == ' ' })
	}
	c.Connection, c.Allow = list(c.Connection, agentNamesVariable), list(c.Allow, agentAllowVariable)
	if c.TokenFile == "" && s.variable(agentSecretVariable) == "" {
		c.TokenFile = s.variable(agentFileVariable)
	}
	return c
}

// configure reads the flags, and returns what to do at the end.
func (c agentCommand) configure(ctx context.Context, s *session) (configured agent.Config, end func(), err error) {
	configured = agent.Config{Connections: c.Connection, Now: s.Now}
	for _, name := range c.Connection {
		if _, err := connection.ParseName(name); err != nil {
			return configured, nil, usage("--connection: %w", err)
		}
	}
	if configured.Upstreams, err = c.upstreams(); err != nil {
		return configured, nil, err
	}
	if configured.Client, err = s.tokens(ctx); err != nil {
		return configured, nil, err
	}
	configured.Secret, end, err = c.secret(s)
	return configured, end, err
}

func (c agentCommand) upstreams() (map[string]agent.Upstream, error) {
	all := map[string]agent.Upstream{}
	for _, text := range c.Allow {
		name, address, _ := strings.Cut(text, "=")
		if _, err := connection.ParseName(name); err != nil {
			return nil, usage("--allow %s: write --allow NAME=https://HOST/PREFIX: %w", text, err)
		}
		if _, repeated := all[name]; repeated {
			return nil, usage("--allow: %s has two upstreams; run another agent for the second", name)
		}
		if len(c.Connection) > 0 && !slices.Contains(c.Connection, name) {
			return nil, usage("--allow: %s is none of the names of --connection", name)
		}
		upstream, err := agent.ParseUpstream(address)
		if err != nil {
			return nil, usage("--allow %s: %w", text, err)
		}
		all[name] = upstream
	}
	return all, nil
}

// secret returns the agent's token; one that is made ends with the agent.
func (c agentCommand) secret(s *session) (secret redact.Secret, end func(), err error) {
	end = func() {}
	if c.TokenFile != "" {
		secret, err = agent.FromFile(c.TokenFile)
		return secret, end, err
	}
	if given := s.variable(agentSecretVariable); given != "" {
		if secret, err = agent.FromText(given); err != nil {
			err = usage("%s: %w", agentSecretVariable, err)
		}
		return secret, end, err
	}
	secret, path, end, err := agent.Make()
	if err == nil {
		fmt.Fprintf(s.Out, "token in %s\n", path)
	}
	return secret, end, err
}

// maxWarm bounds what the extension adds to the function's initialization.
const maxWarm = 2 * time.Second

// extend serves as an extension. It listens before it registers, so that the function
// finds it. No error ends it, because that would end the function too.
func (c agentCommand) extend(ctx context.Context, s *session, api string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	report := func(err error) {
		if err != nil {
			fmt.Fprintf(s.Err, "%s: %v\n", agentName, err)
		}
	}
	warm := func(context.Context) error { return nil }
	var handler http.Handler
	configured, end, err := c.configure(ctx, s)
	if report(err); err == nil {
		defer end()
		warm = func(ctx context.Context) error { return configured.Client.Warm(ctx, c.Connection...) }
		handler = agent.New(configured)
	} else {
		handler = misconfigured(err)
	}
	listener, err := listenLocally(ctx, c.Addr, defaultAgentAddr)
	if report(err); err == nil {
		served := make(chan error, 1)
		go func() { served <- serveLocally(ctx, listener, handler) }()
		defer func() { cancel(); report(<-served) }()
	}
	err = agent.Extension{API: api, Name: agentName}.Run(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, maxWarm)
		defer cancel()
		report(warm(ctx))
	})
	if report(err); err != nil {
		<-ctx.Done()
	}
	return nil
}

// misconfigured answers every request with what is wrong.
func misconfigured(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		(&localhttp.Problem{Status: http.StatusInternalServerError, Code: "agent_misconfigured", Detail: err.Error()}).Write(w)
	})
}
