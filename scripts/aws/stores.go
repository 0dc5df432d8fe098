package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

// tokens runs the conformance suite of the token store on every engine.
func (e *env) tokens(ctx context.Context) {
	for _, kind := range engine.Kinds() {
		e.report.check(ctx, "the token store's suite on "+string(kind), func(ctx context.Context) error {
			server, err := engine.Open(ctx, engine.Config{Lookup: os.LookupEnv, Kind: kind, Output: e.log})
			if err != nil {
				return err
			}
			defer server.Close()
			return e.suite(ctx, "./pkg/tokenstore/awsdynamodb", engine.Variable+"="+server.URL)
		})
	}
}

// secrets runs the suite of the source of secrets on moto.
func (e *env) secrets(ctx context.Context) {
	e.report.check(ctx, "the secret source's suite on moto", func(ctx context.Context) error {
		server, err := e.moto(ctx)
		if err != nil {
			return err
		}
		defer server.Close()
		return e.suite(ctx, "./pkg/clientsecret/awssecretsmanager", "TOKENVEND_TEST_SECRETS_MANAGER="+server.URL)
	})
}

func (e *env) suite(ctx context.Context, pkg, variable string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=5m", pkg)
	cmd.Env = append(os.Environ(), variable, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go test %s: %w\n%s", pkg, err, out)
	}
	return nil
}

func (e *env) moto(ctx context.Context) (*engine.Server, error) {
	programs, err := e.install(ctx, "python")
	if err != nil {
		return nil, err
	}
	return engine.Moto(ctx, programs, e.log)
}

// install returns the folder of the programs of one of install.sh's environments of
// Python, which it makes in the user's cache the first time.
func (e *env) install(ctx context.Context, name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache: %w", err)
	}
	if _, err := exec.LookPath("python3"); err != nil {
		return "", fmt.Errorf("python3 is %w: apt-get install python3 python3-venv", errMissing)
	}
	install := exec.CommandContext(ctx, filepath.Join(e.root, "scripts/tools/engines/install.sh"), name)
	install.Stdout, install.Stderr = e.log, e.problems
	if err := install.Run(); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	return filepath.Join(cache, "tokenvend", name, "bin"), nil
}
