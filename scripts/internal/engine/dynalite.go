// Package engine finds and starts engines that share no code with ours: a
// DynamoDB for make chaos (one that is running already, or dynalite out of
// scripts/tools/engines), and for make test-aws DynamoDB Local and moto.
//
// The engines in this process will not do there: whoever wrote the stand-in and
// the store over it may have misread the same sentence twice.
package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Variable names the endpoint of an engine that is running already.
const Variable = "TOKENVEND_TEST_DYNAMODB"

// folder is where dynalite is declared, below the root of the tree.
const folder = "scripts/tools/engines"

// ErrMissing says that there is no engine, and how to get one.
var ErrMissing = errors.New("no DynamoDB to run against: start DynamoDB Local or dynalite and set " + Variable +
	"=http://127.0.0.1:PORT, or install Node.js with npm, and dynalite is fetched and started from " + folder)

// Config is what Open needs.
type Config struct {
	// Endpoint is that of a running engine; empty starts one.
	Endpoint string
	// Root is the folder of the tree.
	Root string
	// Progress gets what npm says.
	Progress io.Writer
}

// Open returns an endpoint, and what ends the engine if it was started here.
func Open(ctx context.Context, c Config) (endpoint string, end func(), err error) {
	if c.Endpoint != "" {
		return c.Endpoint, func() {}, nil
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return "", nil, ErrMissing
	}
	if err := c.install(ctx); err != nil {
		return "", nil, err
	}
	return c.start(ctx, node)
}

func (c Config) script() string {
	return filepath.Join(c.Root, folder, "node_modules", "dynalite", "cli.js")
}

// install fetches dynalite as the lock file has it, once.
func (c Config) install(ctx context.Context) error {
	if _, err := os.Stat(c.script()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return ErrMissing
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	cmd.Dir = filepath.Join(c.Root, folder)
	cmd.Stdout, cmd.Stderr = c.Progress, c.Progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm ci in %s: %w", folder, err)
	}
	return nil
}

func (c Config) start(ctx context.Context, node string) (string, func(), error) {
	port, err := FreePort()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(node, c.script(), "--host", "127.0.0.1", "--port", port, "--createTableMs", "0", "--deleteTableMs", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", nil, fmt.Errorf("start dynalite: %w", err)
	}
	end := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	ready := make(chan error, 1)
	go func() { ready <- listening(out) }()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		end()
		return "", nil, fmt.Errorf("start dynalite: %w", err)
	}
	return "http://127.0.0.1:" + port, end, nil
}

// listening returns once the engine says that it listens.
func listening(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening") {
			go func() { _, _ = io.Copy(io.Discard, out) }() // so that it never waits for a reader
			return nil
		}
	}
	return errors.New("it ended before it listened")
}

// FreePort finds a port for a program that cannot be told to take any.
func FreePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
