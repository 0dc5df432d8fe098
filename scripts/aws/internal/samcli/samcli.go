// Package samcli runs SAM CLI on the template: it validates and builds it, and
// runs its functions in containers.
package samcli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/docker"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

// Config is what New needs. Every field is required.
type Config struct {
	// Programs is the folder that sam is in.
	Programs string
	// Root is the folder with the template, absolute.
	Root string
	// Work is a folder for what SAM makes. Nothing is written to Root.
	Work string
	// Architecture is the functions', as SAM writes it: x86_64 or arm64.
	Architecture string
	// Environment is added to SAM's: the Docker Engine's address and credentials.
	Environment []string
	// Variables are those of a function.
	Variables func(function string) map[string]string
	// Output gets what SAM and the functions print.
	Output io.Writer
}

// SAM is the template, once Build has built it.
type SAM struct {
	config Config
	names  map[string]string // logical names by the functions' folders
}

// New reads the template. It builds nothing.
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

// Functions are the folders of the template's functions, in order.
func (s *SAM) Functions() []string { return slices.Sorted(maps.Keys(s.names)) }

// Version is SAM's own.
func (s *SAM) Version(ctx context.Context) (string, error) {
	out, err := s.run(ctx, "--version")
	return strings.TrimSpace(string(out)), err
}

// Validate has SAM and cfn-lint check the template.
func (s *SAM) Validate(ctx context.Context) error {
	_, err := s.run(ctx, "validate", "--lint", "--template", filepath.Join(s.config.Root, "template.yaml"))
	return err
}

// Build has SAM build every function as for a deployment, and makes a copy of
// the built template that declares the variables of the engines.
func (s *SAM) Build(ctx context.Context) error {
	folder := filepath.Join(s.config.Work, "build")
	_, err := s.run(ctx, "build", "--template", filepath.Join(s.config.Root, "template.yaml"), "--build-dir", folder, s.parameters())
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(folder, "template.yaml"))
	if err != nil {
		return fmt.Errorf("read the built template: %w", err)
	}
	local, err := WithEndpoints(string(text))
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(s.template(), []byte(local), 0o644), s.writeVariables())
}

func (s *SAM) template() string  { return filepath.Join(s.config.Work, "build", "local.yaml") }
func (s *SAM) variables() string { return filepath.Join(s.config.Work, "environment.json") }
func (s *SAM) parameters() string {
	return "--parameter-overrides=Architecture=" + s.config.Architecture
}

func (s *SAM) writeVariables() error {
	byName := make(map[string]map[string]string, len(s.names))
	for folder, name := range s.names {
		byName[name] = s.config.Variables(folder)
	}
	text, err := json.Marshal(byName)
	if err != nil {
		return err
	}
	return os.WriteFile(s.variables(), text, 0o600)
}

// Invoke runs a function once, in a container of its own, and returns its answer.
func (s *SAM) Invoke(ctx context.Context, function, event string) ([]byte, error) {
	out, err := s.run(ctx, s.local("invoke", s.names[function], "--event", event)...)
	return bytes.TrimSpace(out), err
}

// local are the arguments of a command that runs functions. The parameters come
// last: they would take what follows for more parameters.
func (s *SAM) local(command string, more ...string) []string {
	args := append([]string{"local", command}, more...)
	return append(args, "--template", s.template(), "--env-vars", s.variables(), "--skip-pull-image",
		"--add-host", docker.HostName+":host-gateway", s.parameters())
}

// startTimeout is how long SAM may take until it serves: the first time it adds
// its emulator to the image.
const startTimeout = 3 * time.Minute

// Lambda is Lambda's API for invocations, with warm containers.
type Lambda struct {
	*engine.Server
	names map[string]string
}

// Start serves every function.
func (s *SAM) Start(ctx context.Context) (*Lambda, error) {
	port, err := engine.FreePort()
	if err != nil {
		return nil, err
	}
	cmd := s.command(context.WithoutCancel(ctx), s.local("start-lambda", "--host", "127.0.0.1", "--port", port, "--warm-containers", "EAGER")...)
	cmd.Stdout, cmd.Stderr = s.config.Output, s.config.Output
	server, err := engine.Start(ctx, cmd, "http://127.0.0.1:"+port, startTimeout)
	return &Lambda{Server: server, names: s.names}, err
}

// Invoke returns a function's answer to one event.
func (l *Lambda) Invoke(ctx context.Context, function string, event []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		l.URL+"/2015-03-31/functions/"+l.names[function]+"/invocations", bytes.NewReader(event))
	if err != nil {
		return nil, fmt.Errorf("invoke: %w", err)
	}
	request.Close = true // SAM answers late on a connection that was used before
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

func (s *SAM) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.config.Programs, "sam"), args...)
	cmd.Dir = s.config.Work
	cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "CGO_ENABLED=0", "GOFLAGS="+lambdahost.GoFlags)
	cmd.Env = append(cmd.Env, s.config.Environment...)
	return cmd
}

// run returns what SAM printed on standard output. The rest goes to Output, and
// its end into the error.
func (s *SAM) run(ctx context.Context, args ...string) ([]byte, error) {
	var out, rest bytes.Buffer
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(&rest, s.config.Output)
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()+"\n"+rest.String()), "\n")
		return out.Bytes(), fmt.Errorf("sam %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err,
			strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return out.Bytes(), nil
}
