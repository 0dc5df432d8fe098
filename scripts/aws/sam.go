package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/docker"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/samcli"
)

// samEnv is SAM with a Docker Engine and the stack that the functions use.
type samEnv struct {
	*env
	docker *docker.Engine
	sam    *samcli.SAM
	stack  *stack
}

// sam has SAM validate, build and run the stack.
func (e *env) sam(ctx context.Context) {
	s := &samEnv{env: e}
	if !e.report.check(ctx, "SAM and a Docker Engine are installed", s.open) {
		return
	}
	e.report.check(ctx, "sam validate --lint", s.sam.Validate)
	if !e.report.check(ctx, "sam build", s.sam.Build) {
		return
	}
	for _, function := range s.sam.Functions() {
		e.report.check(ctx, "sam local invoke "+function, func(ctx context.Context) error { return s.invoke(ctx, function) })
	}
	s.events(ctx)
}

// open finds or starts everything, and prints the versions.
func (s *samEnv) open(ctx context.Context) (err error) {
	programs, err := s.install(ctx, "python")
	if err != nil {
		return err
	}
	if s.docker, err = docker.Open(ctx, docker.Config{Own: s.options.own, Progress: s.problems}); err != nil {
		return err
	}
	s.onClose(s.docker.Close)
	image, err := s.docker.Prepare(ctx, architecture())
	if err != nil {
		return err
	}
	if s.stack, err = openStack(ctx, s.docker, s.log); err != nil {
		return err
	}
	s.onClose(s.stack.Close)
	sts, err := s.moto(ctx)
	if err != nil {
		return err
	}
	s.onClose(sts.Close)
	s.sam, err = samcli.New(samcli.Config{
		Programs: programs, Root: s.root, Work: s.work, Architecture: architecture(), Output: s.log,
		Environment: append(s.docker.Environment(), credentials(sts.URL)...), Variables: s.stack.variables,
	})
	if err != nil {
		return err
	}
	version, err := s.sam.Version(ctx)
	s.report.note("%s, Docker Engine %s, %s, %s", version, s.docker.Version, image, s.stack.engine.Name)
	return err
}

// credentials are those of the functions. SAM asks STS for their account before
// every command. moto answers at once, where AWS is out of reach or would refuse.
func credentials(sts string) []string {
	return []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_SESSION_TOKEN=",
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL_STS=" + sts}
}

// architecture is this machine's, as SAM writes it.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// first are the events that show each function at its work.
var first = map[string]string{
	"vend": "vend-get-cold", "connections": "connections-list", "consent": "consent-page-unknown", "renew": "renew-schedule",
}

// invoke runs one event of a function in a container of its own.
func (s *samEnv) invoke(ctx context.Context, function string) error {
	name, known := first[function]
	if !known {
		return fmt.Errorf("no event is chosen for the function %s", function)
	}
	answer, err := s.sam.Invoke(ctx, function, filepath.Join(s.root, "events", name+".json"))
	if err != nil {
		return err
	}
	return s.judge(name, answer)
}

// events runs every saved event against warm containers. The order is that of
// the names: a few events change what later ones find.
func (s *samEnv) events(ctx context.Context) {
	var lambda *samcli.Lambda
	started := s.report.check(ctx, "sam local start-lambda", func(ctx context.Context) (err error) {
		lambda, err = s.sam.Start(ctx)
		return err
	})
	if !started {
		return
	}
	defer lambda.Close()
	files, _ := filepath.Glob("events/*.json") // the pattern is well formed
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		s.report.check(ctx, "event "+name, func(ctx context.Context) error {
			event, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("event: %w", err)
			}
			// The part of its name before the first hyphen is the function.
			function, _, _ := strings.Cut(name, "-")
			answer, err := lambda.Invoke(ctx, function, event)
			if err != nil {
				return err
			}
			return s.judge(name, answer)
		})
	}
}

// judge compares the status of an answer with the golden one, or with the one
// that the event has without the golden answer's history. Bodies are compared by
// the tests of the gateway.
func (s *samEnv) judge(name string, answer []byte) error {
	golden, err := os.ReadFile(filepath.Join(s.root, "events", "golden", name+".json"))
	if err != nil {
		return fmt.Errorf("golden answer: %w", err)
	}
	got, want := statusOf(answer), statusOf(golden)
	if other, found := withoutHistory[name]; found {
		want = other
	}
	if got != want {
		return fmt.Errorf("the answer has status %d, want %d", got, want)
	}
	return nil
}

// statusOf is the status of an answer; 0 when it has none, as a summary of the
// renewer.
func statusOf(answer []byte) int {
	var proxy struct{ StatusCode int }
	if json.Unmarshal(answer, &proxy) != nil {
		return -1
	}
	return proxy.StatusCode
}
