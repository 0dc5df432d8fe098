// Package samcli runs SAM CLI on the template: build, validate, and the three
// ways it has of running functions on a laptop.
package samcli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/container"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

// Config is what a SAM needs. Every field is required.
type Config struct {
	// Programs is the folder that sam is in.
	Programs string
	// Root is the folder with the template, absolute.
	Root string
	// Work is a folder for what SAM makes; nothing is written to Root.
	Work string
	// Architecture is that of the functions as SAM writes it: x86_64 or arm64.
	Architecture string
	// Environment is added to that of this process: where the Docker Engine is,
	// and the credentials that the functions get.
	Environment []string
	// Output gets what SAM and the functions say.
	Output io.Writer
}

// SAM is the template, built.
type SAM struct {
	config Config
	names  map[string]string // logical names by the functions' folders
}

// New reads the template. Nothing is built yet.
func New(c Config) (*SAM, error) {
	text, err := os.ReadFile(filepath.Join(c.Root, "template.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	names := LogicalNames(string(text))
	if len(names) == 0 {
		return nil, errors.New("the template has no function whose CodeUri is functions/NAME/")
	}
	return &SAM{config: c, names: names}, nil
}

// Functions are the folders of the template's functions.
func (s *SAM) Functions() []string {
	var all []string
	for folder := range s.names {
		all = append(all, folder)
	}
	return all
}

// Version is what SAM says of itself.
func (s *SAM) Version(ctx context.Context) (string, error) {
	out, err := s.run(ctx, "--version")
	return strings.TrimSpace(string(out)), err
}

// Validate has SAM and cfn-lint judge the template.
func (s *SAM) Validate(ctx context.Context) error {
	_, err := s.run(ctx, "validate", "--lint", "--template", filepath.Join(s.config.Root, "template.yaml"))
	return err
}

// Build has SAM build every function as it does for a deployment, and lets the
// built template take endpoints of engines.
func (s *SAM) Build(ctx context.Context) error {
	_, err := s.run(ctx, "build", "--template", filepath.Join(s.config.Root, "template.yaml"), "--build-dir", s.folder(), s.parameters())
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.folder(), "template.yaml"))
	if err != nil {
		return fmt.Errorf("read the built template: %w", err)
	}
	local, err := WithEndpoints(string(text))
	if err != nil {
		return err
	}
	return os.WriteFile(s.template(), []byte(local), 0o644)
}

func (s *SAM) folder() string   { return filepath.Join(s.config.Work, "build") }
func (s *SAM) template() string { return filepath.Join(s.folder(), "local.yaml") }
func (s *SAM) parameters() string {
	return "--parameter-overrides=Architecture=" + s.config.Architecture
}

// Bootstrap is what was built of a function.
func (s *SAM) Bootstrap(function string) string {
	return filepath.Join(s.folder(), s.names[function], "bootstrap")
}

// Invoke runs a function once, in a container of its own, and returns its answer.
func (s *SAM) Invoke(ctx context.Context, function, event string, environment map[string]map[string]string) ([]byte, error) {
	args, err := s.local("invoke", environment, s.names[function], "--event", event)
	if err != nil {
		return nil, err
	}
	out, err := s.run(ctx, args...)
	return bytes.TrimSpace(out), err
}

// local are the arguments of a command that runs functions. The parameters come
// last: they would take what follows them for more of them.
func (s *SAM) local(command string, environment map[string]map[string]string, more ...string) ([]string, error) {
	byName := make(map[string]map[string]string, len(environment))
	for function, variables := range environment {
		byName[s.names[function]] = variables
	}
	text, err := json.Marshal(byName)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text) // so that commands that run side by side share no file with another text
	file := filepath.Join(s.config.Work, "environment-"+hex.EncodeToString(sum[:6])+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the functions' environment: %w", err)
	}
	args := append([]string{"local", command}, more...)
	return append(args, "--template", s.template(), "--env-vars", file, "--skip-pull-image",
		"--add-host", container.HostName+":host-gateway", s.parameters()), nil
}

// patience is how long SAM may take until it serves: it adds its emulator to
// the image the first time.
const patience = 3 * time.Minute

// Lambda serves Lambda's own API for invocations; its containers stay warm.
func (s *SAM) Lambda(ctx context.Context, environment map[string]map[string]string) (*engine.Server, error) {
	return s.serve(ctx, "start-lambda", environment)
}

// API serves the template's REST API, without its authorization, which SAM does
// not play.
func (s *SAM) API(ctx context.Context, environment map[string]map[string]string) (*engine.Server, error) {
	return s.serve(ctx, "start-api", environment)
}

func (s *SAM) serve(ctx context.Context, command string, environment map[string]map[string]string) (*engine.Server, error) {
	port, err := engine.FreePort()
	if err != nil {
		return nil, err
	}
	args, err := s.local(command, environment, "--host", "127.0.0.1", "--port", port, "--warm-containers", "EAGER")
	if err != nil {
		return nil, err
	}
	cmd := s.command(context.WithoutCancel(ctx), args...)
	cmd.Stdout, cmd.Stderr = s.config.Output, s.config.Output
	return engine.Start(ctx, cmd, "http://127.0.0.1:"+port, patience)
}

func (s *SAM) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.config.Programs, "sam"), args...)
	cmd.Dir = s.config.Work
	cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false -tags=lambda.norpc -ldflags=-s")
	cmd.Env = append(cmd.Env, s.config.Environment...)
	return cmd
}

// run returns what SAM printed; what it said beside goes to Output, and its end
// into the error.
func (s *SAM) run(ctx context.Context, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(&said, s.config.Output)
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()+"\n"+said.String()), "\n")
		return out.Bytes(), fmt.Errorf("sam %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err,
			strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return out.Bytes(), nil
}

// Function is a function behind Lambda's API for invocations, as API Gateway
// calls it.
type Function struct {
	url string
}

// Function returns the function that server runs.
func (s *SAM) Function(server *engine.Server, function string) Function {
	return Function{url: server.URL + "/2015-03-31/functions/" + s.names[function] + "/invocations"}
}

// Invoke returns the answer to one event.
func (f Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(event))
	if err != nil {
		return nil, fmt.Errorf("invoke: %w", err)
	}
	request.Close = true // SAM's server answers late on a connection that was used before
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("invoke: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("invoke: %w", err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("invoke: Lambda's API answered %d", response.StatusCode)
	case response.Header.Get("X-Amz-Function-Error") != "":
		return nil, errors.New("invoke: the function failed")
	}
	return answer, nil
}
