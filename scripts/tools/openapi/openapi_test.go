// Package openapi_test holds the API to its description, and the description to
// the tools that read it: a fuzzer that is derived from it, and generated clients
// in three languages that compile and vend.
package openapi_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/localproc"
)

const (
	// pythonVariable names the folder of the Python environment that install.sh
	// makes. Without it these tests are skipped.
	pythonVariable = "TOKENVEND_TEST_OPENAPI"
	file           = "../../../pkg/gateway/openapi.yaml"
	connection     = "cliquify"
)

// Generators and checks in Go, which run from their modules.
const (
	oapiCodegen = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
	oasdiff     = "github.com/oasdiff/oasdiff@v1.38.0"
)

func python(t *testing.T) string {
	t.Helper()
	folder := os.Getenv(pythonVariable)
	if folder == "" {
		t.Skipf("NOT RUN: scripts/tools/openapi/install.sh installs what these tests run; set %s to the folder that it prints", pythonVariable)
	}
	return filepath.Join(folder, "bin")
}

// start starts the local service with its sandbox and returns the API's URL.
func start(t *testing.T) *localproc.Run {
	t.Helper()
	program, err := localproc.Build(t.Context(), "../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := localproc.Start(context.WithoutCancel(t.Context()), program, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Stop() })
	return run
}

// runIn runs a program in a folder and returns its output. A failure ends the test.
func runIn(t *testing.T, folder string, environment []string, program string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir, command.Env = folder, append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestFuzz sends what the description allows, and what it forbids. Every answer is
// described, no answer is a 500, and what is forbidden is refused. Undeclared
// methods are not judged: API Gateway answers those of the public pages with 403.
func TestFuzz(t *testing.T) {
	tool := filepath.Join(python(t), "schemathesis")
	run := start(t)
	out := runIn(t, ".", []string{"SCHEMATHESIS_HOOKS=hooks", "PYTHONDONTWRITEBYTECODE=1"}, tool, "run", file, "--url", run.URL,
		"--seed", "1", "--max-examples", "25", "--phases", "examples,coverage,fuzzing", "--generation-database", "none",
		"--continue-on-failure", "--no-color", "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"+
			"response_headers_conformance,response_schema_conformance,negative_data_rejection")
	tested := regexp.MustCompile(`Tested: (\d+)`).FindStringSubmatch(out)
	if tested == nil || tested[1] != "19" {
		t.Errorf("not every operation was tested:\n%s", out)
	}
	if log := run.Log(); strings.Contains(log, `"outcome":"internal_error"`) {
		t.Error("a request ended in an internal_error")
	}
}

var tokenID = regexp.MustCompile(`^[0-9a-f]{16}$`)

func judge(t *testing.T, vended string) {
	t.Helper()
	if !tokenID.MatchString(vended) {
		t.Errorf("the client printed %q instead of a token id", vended)
	}
}

func TestPythonClient(t *testing.T) {
	tools := python(t)
	run, folder := start(t), t.TempDir()
	runIn(t, ".", nil, filepath.Join(tools, "openapi-python-client"), "generate", "--path", file, "--meta", "none",
		"--output-path", filepath.Join(folder, "generated"))
	judge(t, runIn(t, ".", nil, filepath.Join(tools, "python"), "client.py", folder, run.URL, connection))
}

func TestTypeScriptClient(t *testing.T) {
	python(t)
	run, folder := start(t), t.TempDir()
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("client.ts")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "client.ts"), source)
	write(t, filepath.Join(folder, "package.json"), []byte(`{"type":"module"}`))
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(modules, ".bin")
	runIn(t, ".", nil, filepath.Join(bin, "openapi-typescript"), file, "--output", filepath.Join(folder, "api.ts"))
	runIn(t, folder, nil, filepath.Join(bin, "tsc"), "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext",
		"--types", "node", "client.ts")
	judge(t, runIn(t, folder, nil, "node", "client.js", run.URL, connection))
}

// goModule pins what a generated client needs.
const goModule = `module generated

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.47.7
	github.com/oapi-codegen/runtime v1.9.0
)
`

func TestGoClient(t *testing.T) {
	python(t)
	run, folder := start(t), t.TempDir()
	source, err := os.ReadFile("client.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "main.go"), source)
	write(t, filepath.Join(folder, "go.mod"), []byte(goModule))
	if err := os.Mkdir(filepath.Join(folder, "api"), 0o755); err != nil {
		t.Fatal(err)
	}
	runIn(t, ".", nil, "go", "run", oapiCodegen, "-generate", "types,client", "-package", "api",
		"-o", filepath.Join(folder, "api", "api.gen.go"), file)
	judge(t, runIn(t, folder, []string{"GOFLAGS=-mod=mod"}, "go", "run", ".", run.URL, connection))
}

// TestBreakingChanges compares the description with that of the newest release.
func TestBreakingChanges(t *testing.T) {
	python(t)
	tag, err := exec.CommandContext(t.Context(), "git", "describe", "--tags", "--abbrev=0").Output()
	if err != nil {
		t.Skip("NOT RUN: there is no tag to compare with")
	}
	former, err := exec.CommandContext(t.Context(), "git", "show", strings.TrimSpace(string(tag))+":pkg/gateway/openapi.yaml").Output()
	if err != nil {
		t.Skipf("NOT RUN: %s has no description", strings.TrimSpace(string(tag)))
	}
	path := filepath.Join(t.TempDir(), "former.yaml")
	write(t, path, former)
	runIn(t, ".", nil, "go", "run", oasdiff, "breaking", "--fail-on", "ERR", path, file)
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
