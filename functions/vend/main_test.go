package main

import (
	"bytes"
	"encoding/json"
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

	"github.com/google/go-cmp/cmp"
)

// canary stands for what an environment holds that must not be printed.
const canary = "canary-4xQ7vT2m"

// environment is a good one, changed as a test likes: an empty value unsets.
func environment(endpoint string, changes map[string]string) map[string]string {
	env := map[string]string{
		"TOKEN_TABLE": "tokens", "SEALING_SECRET_ID": "tokenvend-keyset", "LOG_LEVEL": "debug",
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": canary, "AWS_SESSION_TOKEN": canary,
		"AWS_ENDPOINT_URL": endpoint, "AWS_MAX_ATTEMPTS": "1",
	}
	maps.Copy(env, changes)
	maps.DeleteFunc(env, func(_, value string) bool { return value == "" })
	return env
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}
}

// services stand for Secrets Manager and DynamoDB, and keep what they were asked.
type services struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newServices(t *testing.T) *services {
	s := new(services)
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *services) answer(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.mu.Lock()
	s.asked = append(s.asked, operation)
	s.mu.Unlock()
	answer := `{}`
	if operation == "GetSecretValue" {
		answer = `{"Name":"tokenvend-keyset","VersionId":"v1","SecretString":"{\"primary\":\"k1\",\"k1\":\"` + strings.Repeat(canary, 3) + `\"}"}`
	}
	_, _ = io.WriteString(w, answer)
}

func (s *services) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.asked))
}

// badEnvironments are what stops the function, by the variable that it names.
func badEnvironments() map[string]map[string]string {
	return map[string]map[string]string{
		"TOKEN_TABLE":           {"TOKEN_TABLE": ""},
		"SEALING_SECRET_ID":     {"SEALING_SECRET_ID": "tokenvend/" + canary},
		"SECRET_PREFIX":         {"SECRET_PREFIX": canary},
		"LOG_LEVEL":             {"LOG_LEVEL": canary},
		"PROVIDER_ALLOW_CIDRS":  {"PROVIDER_ALLOW_CIDRS": canary},
		"AWS_REGION":            {"AWS_REGION": ""},
		"AWS_ACCESS_KEY_ID":     {"AWS_ACCESS_KEY_ID": ""},
		"AWS_SECRET_ACCESS_KEY": {"AWS_SECRET_ACCESS_KEY": ""},
		"AWS_ENDPOINT_URL":      {"AWS_ENDPOINT_URL": "https://" + canary + "@example.com"},
		"AWS_MAX_ATTEMPTS":      {"AWS_MAX_ATTEMPTS": canary},
	}
}

func TestBadEnvironment(t *testing.T) {
	aws := newServices(t)
	for variable, changes := range badEnvironments() {
		t.Run(variable, func(t *testing.T) {
			var out bytes.Buffer
			handler, _, err := compose(lookup(environment(aws.URL, changes)), &out)
			if handler != nil || err == nil || !strings.Contains(err.Error(), variable+": ") {
				t.Fatalf("handler %v, error %v; want an error that names %s", handler, err, variable)
			}
			if strings.Contains(err.Error(), canary) || out.Len() > 0 {
				t.Errorf("AZ-53 the error repeats a value, or something was printed: %v, %q", err, out.String())
			}
		})
	}
	t.Run("every problem at once", func(t *testing.T) {
		_, _, err := compose(lookup(nil), io.Discard)
		for _, variable := range []string{"TOKEN_TABLE", "SEALING_SECRET_ID", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
			if err == nil || !strings.Contains(err.Error(), variable+": ") {
				t.Errorf("%v does not name %s", err, variable)
			}
		}
	})
	if calls := aws.calls(); len(calls) > 0 {
		t.Errorf("called %v before the environment was found good", calls)
	}
}

func TestGoodEnvironment(t *testing.T) {
	t.Run("CR-35 INIT fetches the keyset and shakes hands with the table", func(t *testing.T) {
		aws := newServices(t)
		out := serve(t, environment(aws.URL, nil))
		if diff := cmp.Diff([]string{"GetItem", "GetSecretValue"}, aws.calls()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		if !strings.Contains(out, `"msg":"started"`) || strings.Contains(out, "during start") {
			t.Errorf("printed %s", out)
		}
	})
	t.Run("CR-35 what INIT cannot have does not stop the function", func(t *testing.T) {
		aws := newServices(t)
		aws.Close()
		out := serve(t, environment(aws.URL, nil))
		for _, want := range []string{"keyset not fetched during start", "table not reached during start"} {
			if !strings.Contains(out, want) {
				t.Errorf("not printed: %s", want)
			}
		}
	})
}

// serve starts the function, has one event refused, and returns what was printed.
func serve(t *testing.T, env map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	handler, parts, err := compose(lookup(env), &out)
	if err != nil {
		t.Fatal(err)
	}
	warmUp(parts)
	answer, err := handler.Invoke(t.Context(), []byte(`{"resource":"/connections/{connection}/token","path":"/connections/crm/token",
		"httpMethod":"GET","pathParameters":{"connection":"crm"},"requestContext":{"stage":"v1","requestId":"r1"}}`))
	var got struct{ StatusCode int }
	if err != nil || json.Unmarshal(answer, &got) != nil || got.StatusCode != http.StatusForbidden {
		t.Errorf("answer %s, %v; want 403 for want of an identity", answer, err)
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("INV-5 printed a secret")
	}
	return out.String()
}

// TestBuiltFunction runs the executable as Lambda would, but for its
// environment.
func TestBuiltFunction(t *testing.T) {
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bootstrap, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for variable, changes := range badEnvironments() {
		t.Run(variable, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), bootstrap)
			for name, value := range environment("http://127.0.0.1:9", changes) {
				command.Env = append(command.Env, name+"="+value)
			}
			var out, problems bytes.Buffer
			command.Stdout, command.Stderr = &out, &problems
			err := command.Run()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			if text := problems.String(); !strings.HasPrefix(text, "vend cannot start:\n") || !strings.Contains(text, variable+": ") {
				t.Errorf("stderr %q does not name %s", text, variable)
			}
			if out.Len() > 0 || strings.Contains(problems.String(), canary) {
				t.Errorf("INV-5 stdout %q, or a value on stderr: %q", out.String(), problems.String())
			}
		})
	}
}
