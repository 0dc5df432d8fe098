package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

// environment is a lookup that knows these variables.
func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	}
}

// without hides every engine of this machine.
func without(t *testing.T) {
	t.Helper()
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Chdir(t.TempDir())
}

func TestOpenTakesARunningEngine(t *testing.T) {
	without(t)
	server, err := engine.Open(t.Context(), engine.Config{Lookup: environment(map[string]string{engine.Variable: "http://127.0.0.1:1"})})
	if err != nil || server.URL != "http://127.0.0.1:1" {
		t.Fatalf("%+v, %v", server, err)
	}
	server.Close() // must not fail: it is not this process's
}

func TestOpenRefusesWhatIsNoAddress(t *testing.T) {
	without(t)
	for _, at := range []string{"127.0.0.1:8000", "localhost", "http://", "://"} {
		_, err := engine.Open(t.Context(), engine.Config{Lookup: environment(map[string]string{engine.Variable: at})})
		if err == nil || !strings.Contains(err.Error(), engine.Variable) {
			t.Errorf("%q: %v; want an error that names the variable", at, err)
		}
	}
}

func TestOpenWithoutAnEngine(t *testing.T) {
	without(t)
	for _, kind := range append(engine.Kinds(), "") {
		_, err := engine.Open(t.Context(), engine.Config{Lookup: environment(nil), Kind: kind})
		if !errors.Is(err, engine.ErrMissing) || !strings.Contains(err.Error(), "install.sh") || !strings.Contains(err.Error(), string(kind)) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestOpenReportsAProgramThatEnds(t *testing.T) {
	without(t)
	program := filepath.Join(t.TempDir(), "dynoxide")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Open(t.Context(), engine.Config{Lookup: environment(map[string]string{engine.BinaryVariable: program})})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestOpenStartsEachKind(t *testing.T) {
	for _, kind := range engine.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			server, err := engine.Open(t.Context(), engine.Config{Lookup: os.LookupEnv, Kind: kind, Output: t.Output()})
			if errors.Is(err, engine.ErrMissing) {
				t.Skipf("NOT RUN: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			if server.Name != string(kind) || !strings.HasPrefix(server.URL, "http://127.0.0.1:") {
				t.Errorf("%+v", server)
			}
		})
	}
}
