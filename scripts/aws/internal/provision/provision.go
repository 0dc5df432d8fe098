// Package provision gets the tools that the real engines and SAM come as, in
// the versions that scripts/tools/engines pins: jars from Maven Central, Python
// packages from PyPI.
//
// They are kept in the user's cache folder, one folder per content of the file
// that pins them, so that another version never meets the leftovers of the
// last one. A folder that was not finished is made again.
package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrMissing says that a program which this machine must bring is not there.
// The text around it tells which, and how to get it.
var ErrMissing = errors.New("missing on this machine")

// Missing is an ErrMissing: what is not there, and how to get it.
func Missing(what, remedy string) error { return fmt.Errorf("%s is %w: %s", what, ErrMissing, remedy) }

// Config is what a Store needs.
type Config struct {
	// Pins is the folder with pom.xml and requirements.txt.
	Pins string
	// Cache is where the tools are kept.
	Cache string
	// Progress gets what the package tools say.
	Progress io.Writer
}

// Store gets tools and keeps them.
type Store struct{ config Config }

// New returns a Store. Nothing is fetched yet.
func New(c Config) *Store { return &Store{c} }

// The remedies, by the program that is missing.
const (
	javaRemedy   = "apt-get install openjdk-17-jre-headless, or any Java from 17 on"
	mavenRemedy  = "apt-get install maven"
	pythonRemedy = "apt-get install python3 python3-venv"
)

// Jars returns the folder of DynamoDB Local's jars and native libraries.
func (s *Store) Jars(ctx context.Context) (string, error) {
	if err := present("java", javaRemedy); err != nil {
		return "", err
	}
	return s.keep(ctx, "dynamodb-local", "pom.xml", func(ctx context.Context, pin, folder string) error {
		if err := present("mvn", mavenRemedy); err != nil {
			return err
		}
		return s.run(ctx, "mvn", "--batch-mode", "--quiet", "--file", pin, "dependency:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory="+folder)
	})
}

// Python returns the folder of the programs in a virtual environment that has
// SAM CLI, cfn-lint and moto.
func (s *Store) Python(ctx context.Context) (string, error) {
	folder, err := s.keep(ctx, "python", "requirements.txt", func(ctx context.Context, pin, folder string) error {
		if err := present("python3", pythonRemedy); err != nil {
			return err
		}
		if err := s.run(ctx, "python3", "-m", "venv", "--clear", folder); err != nil {
			return fmt.Errorf("%w (%s)", err, pythonRemedy)
		}
		return s.run(ctx, filepath.Join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", pin)
	})
	return filepath.Join(folder, "bin"), err
}

func present(program, remedy string) error {
	if _, err := exec.LookPath(program); err != nil {
		return Missing(program, remedy)
	}
	return nil
}

// marker is in a folder that was finished. A virtual environment knows its own
// path, so it cannot be made elsewhere and moved.
const marker = ".complete"

// keep returns the folder for what the pin file says, and has it filled unless
// that is done.
func (s *Store) keep(ctx context.Context, name, pin string, fill func(ctx context.Context, pin, folder string) error) (string, error) {
	pin, err := filepath.Abs(filepath.Join(s.config.Pins, pin))
	if err != nil {
		return "", fmt.Errorf("find what pins %s: %w", name, err)
	}
	text, err := os.ReadFile(pin)
	if err != nil {
		return "", fmt.Errorf("read what pins %s: %w", name, err)
	}
	sum := sha256.Sum256(text)
	folder := filepath.Join(s.config.Cache, name+"-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(folder, marker)); err == nil {
		return folder, nil
	}
	fmt.Fprintf(s.config.Progress, "getting %s, into %s\n", name, folder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("folder for %s: %w", name, err)
	}
	if err := fill(ctx, pin, folder); err != nil {
		return "", fmt.Errorf("get %s: %w", name, err)
	}
	return folder, os.WriteFile(filepath.Join(folder, marker), nil, 0o644)
}

// run shows what the program says, and the end of it in the error.
func (s *Store) run(ctx context.Context, program string, args ...string) error {
	var said strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout = io.MultiWriter(s.config.Progress, &said)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, lastLine(said.String()))
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
