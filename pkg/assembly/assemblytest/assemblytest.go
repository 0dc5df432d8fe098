// Package assemblytest checks that every function validates its environment at
// start: an invalid one stops it before any call, with a message that names the
// variable and shows no value.
package assemblytest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Canary is the value of the secret variables; it must not be printed.
const Canary = "canary-4xQ7vT2m"

// Environment returns a valid environment with changes; an empty value unsets a
// variable.
func Environment(endpoint string, changes map[string]string) map[string]string {
	env := map[string]string{
		"TOKEN_TABLE": "tokens", "SEALING_SECRET_ID": "tokenvend-keyset", "LOG_LEVEL": "debug",
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": Canary, "AWS_SESSION_TOKEN": Canary,
		"AWS_ENDPOINT_URL": endpoint, "AWS_MAX_ATTEMPTS": "1",
	}
	maps.Copy(env, changes)
	maps.DeleteFunc(env, func(_, value string) bool { return value == "" })
	return env
}

// Lookup reads env as os.LookupEnv reads the process's.
func Lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}
}

// Services is a fake of Secrets Manager and DynamoDB that records the operations.
type Services struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

// NewServices starts Services for the duration of a test.
func NewServices(t *testing.T) *Services {
	s := new(Services)
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *Services) answer(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.mu.Lock()
	s.asked = append(s.asked, operation)
	s.mu.Unlock()
	answer := `{}`
	if operation == "GetSecretValue" {
		answer = `{"Name":"tokenvend-keyset","VersionId":"v1","SecretString":"{\"primary\":\"k1\",\"k1\":\"` + strings.Repeat(Canary, 3) + `\"}"}`
	}
	_, _ = io.WriteString(w, answer)
}

// Calls returns the recorded operations, sorted.
func (s *Services) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.asked))
}

// Function is a Lambda function whose start is checked.
type Function struct {
	Name string
	// Compose is its composition root; only its error is used.
	Compose func(lookup func(string) (string, bool), output io.Writer) error
	// Bad are invalid environments, by the variable that is wrong, in addition to
	// those that are invalid for every function.
	Bad map[string]map[string]string
}

func (f Function) bad() map[string]map[string]string {
	all := map[string]map[string]string{
		"TOKEN_TABLE":           {"TOKEN_TABLE": ""},
		"SEALING_SECRET_ID":     {"SEALING_SECRET_ID": ""},
		"LOG_LEVEL":             {"LOG_LEVEL": Canary},
		"MONITORING":            {"MONITORING": Canary},
		"METRICS_NAMESPACE":     {"METRICS_NAMESPACE": Canary + `"`},
		"AWS_REGION":            {"AWS_REGION": ""},
		"AWS_ACCESS_KEY_ID":     {"AWS_ACCESS_KEY_ID": ""},
		"AWS_SECRET_ACCESS_KEY": {"AWS_SECRET_ACCESS_KEY": ""},
		"AWS_ENDPOINT_URL":      {"AWS_ENDPOINT_URL": "https://" + Canary + "@example.com"},
		"AWS_MAX_ATTEMPTS":      {"AWS_MAX_ATTEMPTS": Canary},
	}
	maps.Copy(all, f.Bad)
	return all
}

// Refuses checks that the composition root, and then the built executable, refuse
// each invalid environment.
func (f Function) Refuses(t *testing.T) {
	t.Run("composed", f.refusesComposed)
	t.Run("built", f.refusesBuilt)
}

func (f Function) refusesComposed(t *testing.T) {
	aws := NewServices(t)
	for variable, changes := range f.bad() {
		t.Run(variable, func(t *testing.T) {
			var out bytes.Buffer
			err := f.Compose(Lookup(Environment(aws.URL, changes)), &out)
			if err == nil || !strings.Contains(err.Error(), variable+": ") {
				t.Fatalf("error %v; want one that names %s", err, variable)
			}
			if strings.Contains(err.Error(), Canary) || out.Len() > 0 {
				t.Errorf("AZ-53 the error repeats a value, or something was printed: %v, %q", err, out.String())
			}
		})
	}
	t.Run("every problem at once", func(t *testing.T) {
		err := f.Compose(Lookup(nil), io.Discard)
		for _, variable := range []string{"TOKEN_TABLE", "SEALING_SECRET_ID", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
			if err == nil || !strings.Contains(err.Error(), variable+": ") {
				t.Errorf("%v does not name %s", err, variable)
			}
		}
	})
	if calls := aws.Calls(); len(calls) > 0 {
		t.Errorf("called %v before the environment was found good", calls)
	}
}

func (f Function) refusesBuilt(t *testing.T) {
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bootstrap, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for variable, changes := range f.bad() {
		t.Run(variable, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), bootstrap)
			for name, value := range Environment("http://127.0.0.1:9", changes) {
				command.Env = append(command.Env, name+"="+value)
			}
			var out, problems bytes.Buffer
			command.Stdout, command.Stderr = &out, &problems
			err := command.Run()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			if text := problems.String(); !strings.HasPrefix(text, f.Name+" cannot start:\n") || !strings.Contains(text, variable+": ") {
				t.Errorf("stderr %q does not name %s", text, variable)
			}
			if out.Len() > 0 || strings.Contains(problems.String(), Canary) {
				t.Errorf("INV-5 stdout %q, or a value on stderr: %q", out.String(), problems.String())
			}
		})
	}
}
