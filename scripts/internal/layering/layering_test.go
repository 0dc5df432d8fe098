package layering_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRules checks the whole module.
func TestRules(t *testing.T) {
	graph := list(t)
	for _, rule := range Rules {
		t.Run(rule.Package, func(t *testing.T) {
			bound := 0
			for path := range graph {
				if !rule.AppliesTo(path) {
					continue
				}
				bound++
				for _, way := range rule.Broken(graph, path) {
					t.Errorf("forbidden import: %s", way)
				}
			}
			if bound == 0 {
				t.Error("the rule applies to no package")
			}
		})
	}
}

// list asks the go command for every package of the module and what it imports.
func list(t *testing.T) Graph {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	command.Dir = "../../.."
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	graph := Graph{}
	for decoder := json.NewDecoder(out); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		graph[p.ImportPath] = p.Imports
	}
	if err := command.Wait(); err != nil {
		t.Fatalf("go list: %v", err)
	}
	return graph
}

func TestBroken(t *testing.T) {
	const m = Module
	graph := Graph{
		m + "/pkg/core":   {"fmt", m + "/pkg/edge", "net/http"},
		m + "/pkg/edge":   {m + "/pkg/store"},
		m + "/pkg/store":  {"github.com/aws/sdk", "os"},
		m + "/pkg/stored": {"fmt"},
		"net/http":        {"os"},
		"fmt":             {"os"},
	}
	for _, c := range []struct {
		name string
		rule Rule
		path string
		want []string
	}{
		{"far away", Rule{Never: []string{"github.com/aws"}}, m + "/pkg/core",
			[]string{m + "/pkg/core > " + m + "/pkg/edge > " + m + "/pkg/store > github.com/aws/sdk"}},
		{"inside the module", Rule{Never: []string{"/pkg/store"}}, m + "/pkg/edge",
			[]string{m + "/pkg/edge > " + m + "/pkg/store"}},
		{"directly by this module", Rule{NeverDirectly: []string{"os"}}, m + "/pkg/core",
			[]string{m + "/pkg/core > " + m + "/pkg/edge > " + m + "/pkg/store > os"}},
		{"by the standard library", Rule{NeverDirectly: []string{"os"}}, m + "/pkg/stored", nil},
		{"a longer name is another package", Rule{Never: []string{"/pkg/stor"}}, m + "/pkg/edge", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.rule.Broken(graph, c.path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppliesTo(t *testing.T) {
	rule := Rule{Package: "pkg", Except: []string{"pkg/sandbox"}}
	for path, want := range map[string]bool{
		Module + "/pkg/oauth":                 true,
		Module + "/pkg/sandbox":               false,
		Module + "/pkg/sandbox/deep":          false,
		Module + "/pkg/sandboxed":             true,
		Module + "/pkgs":                      false,
		"github.com/another/module/pkg/oauth": false,
	} {
		if got := rule.AppliesTo(path); got != want {
			t.Errorf("applies to %s: %t, want %t", path, got, want)
		}
	}
}
