package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/flow"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/provision"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
	"github.com/tokenvend/tokenvend/scripts/internal/runtimehost"
	"github.com/tokenvend/tokenvend/scripts/internal/testcount"
)

// engines are the endpoints of what runs.
type engines struct {
	dynamoDB, secretsManager string
}

// test runs every section.
func (b *bench) test(ctx context.Context) error {
	e, err := b.openEngines(ctx)
	if err != nil {
		return err
	}
	for _, section := range []struct {
		name string
		run  func(context.Context, engines)
	}{
		{"the stores' conformance suites", b.conformance},
		{"the fleet's races and faults", b.races},
		{"the built functions as processes", b.processes},
		{"SAM", b.sam},
	} {
		if b.options.only.MatchString(section.name) {
			b.report.section(section.name)
			section.run(ctx, e)
		}
	}
	return errors.Join(b.report.end(b.options.require), ctx.Err())
}

// openEngines starts the engines. What cannot be had leaves its endpoint empty,
// and the sections that need it say so.
func (b *bench) openEngines(ctx context.Context) (e engines, err error) {
	b.report.section("engines")
	b.report.check(ctx, "DynamoDB Local starts", func(ctx context.Context) error {
		jars, err := b.tools.Jars(ctx)
		if err != nil {
			return err
		}
		server, err := engine.DynamoDBLocal(ctx, jars, b.log)
		if err != nil {
			return err
		}
		b.atEnd(server.Close)
		e.dynamoDB = server.URL
		b.report.note("%s at %s", version(jars, "DynamoDBLocal-"), server.URL)
		return nil
	})
	if e.dynamoDB == "" {
		b.report.check(ctx, "dynalite stands in for DynamoDB Local", func(ctx context.Context) error {
			at, end, err := engine.Open(ctx, engine.Config{Root: ".", Progress: b.progress})
			if err != nil {
				return provision.Missing("any DynamoDB", err.Error())
			}
			b.atEnd(end)
			e.dynamoDB = at
			return nil
		})
	}
	b.report.check(ctx, "moto starts, as Secrets Manager", func(ctx context.Context) error {
		server, err := b.moto(ctx)
		if err == nil {
			e.secretsManager = server.URL
		}
		return err
	})
	return e, ctx.Err()
}

// moto starts a server that ends with the bench.
func (b *bench) moto(ctx context.Context) (*engine.Server, error) {
	programs, err := b.tools.Python(ctx)
	if err != nil {
		return nil, err
	}
	server, err := engine.Moto(ctx, programs, b.log)
	if err == nil {
		b.atEnd(server.Close)
	}
	return server, err
}

// version is the name of the file that begins so, without its ending.
func version(folder, prefix string) string {
	found, _ := filepath.Glob(filepath.Join(folder, prefix+"*.jar")) // the pattern is well formed
	if len(found) == 0 {
		return prefix + "?"
	}
	return strings.TrimSuffix(filepath.Base(found[0]), ".jar")
}

// missing says which engine a section lacks; nil when it has all.
func (e engines) missing() error {
	if e.dynamoDB == "" || e.secretsManager == "" {
		return provision.Missing("an engine", "see above")
	}
	return nil
}

// conformance runs the suites of both stores against the engines.
func (b *bench) conformance(ctx context.Context, e engines) {
	b.report.check(ctx, "both stores against their engines", func(ctx context.Context) error {
		if err := e.missing(); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=5m",
			"./pkg/tokenstore/awsdynamodb", "./pkg/clientsecret/awssecretsmanager")
		cmd.Env = append(os.Environ(), "TOKENVEND_TEST_DYNAMODB="+e.dynamoDB, "TOKENVEND_TEST_SECRETS_MANAGER="+e.secretsManager,
			"AWS_ACCESS_KEY_ID="+cloud.Credentials, "AWS_SECRET_ACCESS_KEY="+cloud.Credentials)
		cmd.Stderr = b.progress
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return fmt.Errorf("go test: %w", err)
		}
		counts, err := testcount.Read(out, b.report.out)
		if err = errors.Join(err, cmd.Wait()); err != nil {
			return fmt.Errorf("go test: %w", err)
		}
		b.report.add(counts)
		b.report.note("%s", counts)
		return nil
	})
}

// racing are the scenarios of the fleet that are about the table under many
// processes, and take little time.
const racing = `^(FI-01|FI-03|FI-04|FI-06|FI-07|FI-2[6-9]|FI-3[0-2]|FI-34|FI-36|FI-40) `

// races plays them on DynamoDB Local.
func (b *bench) races(ctx context.Context, e engines) {
	b.report.check(ctx, "chaos "+racing, func(ctx context.Context) error {
		if e.dynamoDB == "" {
			return e.missing()
		}
		cmd := exec.CommandContext(ctx, "go", "run", "./scripts/chaos", "-figures=false", "-run", racing)
		cmd.Env = append(os.Environ(), engine.Variable+"="+e.dynamoDB)
		cmd.Stdout, cmd.Stderr = b.log, b.report.out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("chaos: %w", err)
		}
		return nil
	})
}

// processes runs what make build makes under a host of the Runtime API, behind
// the gateway, and asks it everything.
func (b *bench) processes(ctx context.Context, e engines) {
	var stack flow.Stack
	built := b.report.check(ctx, "functions are built and started", func(ctx context.Context) (err error) {
		if err := errors.Join(e.missing(), b.build(ctx)); err != nil {
			return err
		}
		stack, err = b.openProcesses(ctx, e)
		return err
	})
	if !built {
		return
	}
	for _, check := range stack.Checks() {
		b.report.check(ctx, check.Name, check.Run)
	}
	for _, name := range functions() {
		b.report.check(ctx, name+" that lacks a variable ends at once and names it", func(ctx context.Context) error {
			return lacking(ctx, b.bootstrap(name))
		})
	}
}

func (b *bench) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "scripts/build.sh")
	cmd.Stdout, cmd.Stderr = b.log, b.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	return nil
}

// functions are the folders below functions/.
func functions() []string {
	folders, _ := filepath.Glob("functions/*/main.go") // the pattern is well formed
	for i, folder := range folders {
		folders[i] = filepath.Base(filepath.Dir(folder))
	}
	return folders
}

// timeout of the functions, the longest of the template's.
const timeout = 55 * time.Second

// bootstrap is what make build made of a function.
func (b *bench) bootstrap(function string) string {
	return filepath.Join(b.root, "build", function, "bootstrap")
}

// openProcesses has one process for each function, and the API before them.
func (b *bench) openProcesses(ctx context.Context, e engines) (flow.Stack, error) {
	c, err := cloud.Open(ctx, cloud.Config{DynamoDB: e.dynamoDB, SecretsManager: e.secretsManager})
	b.atEnd(c.Close)
	if err != nil {
		return flow.Stack{}, err
	}
	hosts := map[string]localgateway.Function{}
	api, err := b.openFront(ctx, c, hosts)
	if err != nil {
		return flow.Stack{}, err
	}
	for _, name := range functions() {
		host := runtimehost.New(runtimehost.Config{Bootstrap: b.bootstrap(name), Name: name, Timeout: timeout,
			Env: assignments(c.Environment(name)), Output: b.log})
		b.atEnd(host.Close)
		hosts[name] = host
	}
	return stackOf(c, api, hosts), nil
}

// assignments are variables as a process takes them. Empty ones are left out.
func assignments(variables map[string]string) []string {
	all := []string{"AWS_ACCESS_KEY_ID=" + cloud.Credentials, "AWS_SECRET_ACCESS_KEY=" + cloud.Credentials}
	for name, value := range variables {
		if value != "" {
			all = append(all, name+"="+value)
		}
	}
	return all
}

func stackOf(c *cloud.Cloud, url string, functions map[string]localgateway.Function) flow.Stack {
	return flow.Stack{
		Cloud: c, Renew: functions["renew"], Consent: functions["consent"] != nil,
		API: flow.Curl{URL: url, User: cloud.CallerKey + ":" + cloud.CallerSecret, Region: cloud.Region},
	}
}

// lacking starts a function without TOKEN_TABLE.
func lacking(ctx context.Context, bootstrap string) error {
	var said strings.Builder
	host := runtimehost.New(runtimehost.Config{Bootstrap: bootstrap, Output: &said,
		Env: assignments(map[string]string{"SEALING_SECRET_ID": "any"})})
	defer host.Close()
	err := host.Start(ctx)
	switch {
	case err == nil:
		return errors.New("it started")
	case !strings.Contains(said.String(), "TOKEN_TABLE"):
		return fmt.Errorf("it ended without naming TOKEN_TABLE: %w", err)
	}
	return nil
}
