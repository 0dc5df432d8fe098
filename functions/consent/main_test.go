package main

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// canary stands for what an environment holds that must not be printed.
const canary = "canary-4xQ7vT2m"

// environment is a good one, changed as a test likes: an empty value unsets.
func environment(endpoint string, changes map[string]string) map[string]string {
	env := map[string]string{
		"TOKEN_TABLE": "tokens", "SEALING_SECRET_ID": "tokenvend-consent-keyset",
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

// services stand for Secrets Manager and DynamoDB, and count what they are asked.
func services(t *testing.T) (url string, calls *atomic.Int64) {
	calls = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(server.Close)
	return server.URL, calls
}

// badEnvironments are what stops the function, by the variable that it names.
func badEnvironments() map[string]map[string]string {
	return map[string]map[string]string{
		"TOKEN_TABLE":           {"TOKEN_TABLE": ""},
		"SEALING_SECRET_ID":     {"SEALING_SECRET_ID": ""},
		"LOG_LEVEL":             {"LOG_LEVEL": canary},
		"AWS_REGION":            {"AWS_REGION": ""},
		"AWS_ACCESS_KEY_ID":     {"AWS_ACCESS_KEY_ID": ""},
		"AWS_SECRET_ACCESS_KEY": {"AWS_SECRET_ACCESS_KEY": ""},
		"AWS_ENDPOINT_URL":      {"AWS_ENDPOINT_URL": "https://" + canary + "@example.com"},
		"AWS_MAX_ATTEMPTS":      {"AWS_MAX_ATTEMPTS": canary},
	}
}

func TestBadEnvironment(t *testing.T) {
	url, calls := services(t)
	for variable, changes := range badEnvironments() {
		t.Run(variable, func(t *testing.T) {
			var out bytes.Buffer
			handler, err := compose(lookup(environment(url, changes)), &out)
			if handler != nil || err == nil || !strings.Contains(err.Error(), variable+": ") {
				t.Fatalf("handler %v, error %v; want an error that names %s", handler, err, variable)
			}
			if strings.Contains(err.Error(), canary) || out.Len() > 0 {
				t.Errorf("AZ-53 the error repeats a value, or something was printed: %v, %q", err, out.String())
			}
		})
	}
	if calls.Load() > 0 {
		t.Error("called AWS before the environment was found good")
	}
}

func TestGoodEnvironment(t *testing.T) {
	url, calls := services(t)
	var out bytes.Buffer
	handler, err := compose(lookup(environment(url, nil)), &out)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := handler.Invoke(t.Context(), []byte(`{"resource":"/connections/{connection}/token","path":"/connections/crm/token",
		"httpMethod":"GET","pathParameters":{"connection":"crm"},"requestContext":{"stage":"v1"}}`))
	if err != nil || !strings.Contains(string(answer), `"statusCode":404`) || !strings.Contains(string(answer), "<!DOCTYPE html>") {
		t.Errorf("answer %s, %v; want a page with 404 for what is not its business", answer, err)
	}
	answer, err = handler.Invoke(t.Context(), []byte(`{"resource":"/callback/{connection}","path":"/callback/crm","httpMethod":"GET",
		"pathParameters":{"connection":"crm"},"requestContext":{"stage":"v1"}}`))
	if err != nil || !strings.Contains(string(answer), `"statusCode":400`) {
		t.Errorf("answer %s, %v; want 400 for a callback without a state", answer, err)
	}
	if calls.Load() > 0 {
		t.Error("called AWS for what names no session")
	}
	if strings.Contains(out.String(), canary) || !strings.Contains(out.String(), `"outcome":"invalid_request"`) {
		t.Errorf("INV-5 printed %s", out.String())
	}
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
			if text := problems.String(); !strings.HasPrefix(text, "consent cannot start:\n") || !strings.Contains(text, variable+": ") {
				t.Errorf("stderr %q does not name %s", text, variable)
			}
			if out.Len() > 0 || strings.Contains(problems.String(), canary) {
				t.Errorf("INV-5 stdout %q, or a value on stderr: %q", out.String(), problems.String())
			}
		})
	}
}
