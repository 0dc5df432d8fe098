// Package engine finds and starts the database that tests use as DynamoDB:
// dynoxide, a program of its own that its authors test against real AWS, or
// dynalite, which needs Node.js. Both share no code with this project, so a
// misreading of DynamoDB's documentation cannot hide in code and test alike.
//
// It also starts moto, which serves Secrets Manager's protocol. No test of races
// may use moto.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The variables that name an engine.
const (
	// Variable is the endpoint of an engine that runs already.
	Variable = "TOKENVEND_TEST_DYNAMODB"
	// BinaryVariable is the path of dynoxide.
	BinaryVariable = "TOKENVEND_TEST_DYNOXIDE"
)

// Kind is an engine that Open can start.
type Kind string

// The kinds. Dynoxide starts faster and answers faster.
const (
	Dynoxide Kind = "dynoxide"
	Dynalite Kind = "dynalite"
)

// Kinds are all kinds, in the order in which Open looks for them.
func Kinds() []Kind { return []Kind{Dynoxide, Dynalite} }

// ErrMissing means that no engine is installed. It says how to get one.
var ErrMissing = errors.New("no DynamoDB to test against: run scripts/tools/engines/install.sh, or start one and set " +
	Variable + "=http://127.0.0.1:PORT")

// Config is what Open needs.
type Config struct {
	// Lookup reads the environment, as os.LookupEnv does; required.
	Lookup func(string) (string, bool)
	// Kind is the engine to start; empty is one that runs already, or the first
	// that is installed.
	Kind Kind
	// Output gets what the engine prints; nil drops it.
	Output io.Writer
}

// Open returns a running engine. A caller closes it, and must not count on an
// empty database: one that ran already may hold tables.
func Open(ctx context.Context, c Config) (*Server, error) {
	if at, set := c.Lookup(Variable); set && at != "" && c.Kind == "" {
		if u, err := url.Parse(at); err != nil || u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("%s is not the address of an engine, as http://127.0.0.1:8000", Variable)
		}
		return &Server{URL: at, Name: "the one of " + Variable}, nil
	}
	for _, kind := range Kinds() {
		if c.Kind != "" && c.Kind != kind {
			continue
		}
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		if cmd := command(kind, port, c.Lookup); cmd != nil {
			return serve(ctx, string(kind), port, c.Output, cmd)
		}
	}
	if c.Kind != "" {
		return nil, fmt.Errorf("%s is not installed: %w", c.Kind, ErrMissing)
	}
	return nil, ErrMissing
}

// command runs an engine at a port; nil when it is not installed.
func command(kind Kind, port string, lookup func(string) (string, bool)) *exec.Cmd {
	if kind == Dynoxide {
		if program := dynoxide(lookup); program != "" {
			return exec.Command(program, "serve", "--port", port, "--log", "quiet")
		}
		return nil
	}
	node, err := exec.LookPath("node")
	script := dynalite()
	if err != nil || script == "" {
		return nil
	}
	return exec.Command(node, script, "--host", "127.0.0.1", "--port", port,
		"--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0")
}

// dynoxide is the path of the program; empty when it is not installed.
func dynoxide(lookup func(string) (string, bool)) string {
	if program, set := lookup(BinaryVariable); set && program != "" {
		return program
	}
	if program, err := exec.LookPath("dynoxide"); err == nil {
		return program
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return existing(filepath.Join(cache, "tokenvend", "dynoxide", "bin", "dynoxide"))
}

// dynalite is the path of its script below the tree that the working directory
// is in; empty when it is not installed.
func dynalite() string {
	folder, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if script := existing(filepath.Join(folder, "scripts/tools/engines/node_modules/dynalite/cli.js")); script != "" {
			return script
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return ""
		}
		folder = parent
	}
}

func existing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// patience is how long an engine may take to start on a busy machine.
const patience = time.Minute

func serve(ctx context.Context, name, port string, output io.Writer, cmd *exec.Cmd) (*Server, error) {
	cmd.Stdout, cmd.Stderr = output, output
	s, err := Start(ctx, cmd, "http://127.0.0.1:"+port, patience)
	if err != nil {
		return nil, err
	}
	s.Name = name
	return s, nil
}

// FreePort finds a port for a program that cannot choose one itself.
func FreePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
