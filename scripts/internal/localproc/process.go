// Package localproc starts the local service as a process, as make run does, and
// calls its API with a key.
//
// Tests use it where only the network connects them to the service: in browsers, and
// with other authorization servers.
package localproc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// Build compiles the command tokenvend of the tree at root into a folder, and returns
// the program's path.
func Build(ctx context.Context, root, folder string) (string, error) {
	program := filepath.Join(folder, "tokenvend")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./scripts/tokenvend")
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build scripts/tokenvend: %w\n%s", err, said)
	}
	return program, nil
}

// Run is a running local service.
type Run struct {
	// URL is the API's, with its stage and without a slash at the end.
	URL string
	// Sandbox is the URL of its sandbox providers.
	Sandbox string
	// Greeting is its output until it listened.
	Greeting string

	command *exec.Cmd
	log     *journal
	printed chan struct{}
}

// Start starts the program on free ports and waits until it listens. An empty
// folder of connections means the sandbox's own. The process ends with ctx, or when
// Stop is called.
func Start(ctx context.Context, program, connections string) (*Run, error) {
	r := &Run{command: exec.CommandContext(ctx, program, "dev"), log: new(journal), printed: make(chan struct{})}
	r.command.Env = append(os.Environ(), "TOKENVEND_ADDR=127.0.0.1:0", "TOKENVEND_SANDBOX_ADDR=127.0.0.1:0", "TOKENVEND_CONSOLE_ADDR=127.0.0.1:0")
	if connections != "" {
		r.command.Env = append(r.command.Env, "TOKENVEND_CONNECTIONS="+connections)
	}
	r.command.Stderr = r.log
	out, err := r.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a local run: %w", err)
	}
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("start a local run: %w", err)
	}
	lines := bufio.NewReader(out)
	if err := r.Await(lines); err != nil {
		_ = r.command.Process.Kill() // it may have ended by itself
		_ = r.command.Wait()
		return nil, fmt.Errorf("%w; it printed: %s", err, r.Log())
	}
	go func() {
		defer close(r.printed)
		_, _ = io.Copy(r.log, lines)
	}()
	return r, nil
}

// Await reads a greeting to its last line, and takes the URLs from it.
func (r *Run) Await(greeting *bufio.Reader) error {
	for {
		line, err := greeting.ReadString('\n')
		r.Greeting += line
		if url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on "); found {
			r.URL = url
			break
		}
		if err != nil {
			return errors.New("the local run ended before it listened")
		}
	}
	_, levers, _ := strings.Cut(strings.ToLower(r.Greeting), "\nmake the sandbox fail")
	if levers == "" {
		_, levers, _ = strings.Cut(strings.ToLower(r.Greeting), "\nsandbox providers")
	}
	if r.Sandbox = regexp.MustCompile(`http://[0-9.]+:[0-9]+`).FindString(levers); r.Sandbox == "" {
		return errors.New("the greeting does not tell where the sandbox listens")
	}
	return nil
}

// Log is its output after the greeting.
func (r *Run) Log() string { return r.log.String() }

// Stop ends the process and waits for it. Its exit code must be 0.
func (r *Run) Stop() error {
	if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the local run: %w", err)
	}
	<-r.printed
	if err := r.command.Wait(); err != nil {
		return fmt.Errorf("end the local run: %w", err)
	}
	return nil
}

// journal keeps the output. It is safe for concurrent use.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(text []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(text)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
