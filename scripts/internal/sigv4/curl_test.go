package sigv4_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// curl signs with an independent implementation. Versions before 8.x sign the target
// as typed instead of in canonical form, so they fail, here as against AWS, for an
// unsorted query, a query with "+", "/", ":", "," or lower-case escapes, a name without
// "=", an escaped path, and -G. The rows are what every version signs correctly.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed: the verifier is not checked against a foreign signer")
	}
	server := httptest.NewServer(acceptor(t))
	defer server.Close()
	for _, c := range []struct {
		name   string
		target string
		args   []string
		want   string
	}{
		{"plain", "/v1/connections", nil, "user"},
		{"query", "/v1/connections?limit=1&next=x", nil, "user"},
		{"query with escapes", "/v1/connections/crm/token?min_ttl=60&scope=a%20b%2Fc%C3%A9~", nil, "user"},
		{"headers", "/", []string{"-H", "X-B:  two   words ", "-H", "X-A: 1", "-H", "User-Agent: mine"}, "user"},
		{"double slashes", "//connections", nil, "user"},
		{"body", "/v1/connections/crm/token", []string{"--json", `{"min_ttl":60}`}, "user"},
		{"body with a type of its own", "/", []string{"-d", "{}", "-H", "Content-Type: application/json"}, "user"},
		{"method", "/v1/connections/crm/token", []string{"-X", "DELETE"}, "user"},
		{"wrong secret", "/", []string{"--user", "user:guess"}, invalid},
		{"unknown key", "/", []string{"--user", "unknown:guess"}, unknownKey},
		{"wrong service", "/", []string{"--aws-sigv4", "aws:amz:us-east-1:s3"}, invalid},
	} {
		t.Run("BI-01 "+c.name, func(t *testing.T) {
			if got := run(t, curl, server.URL+c.target, c.args...); got != c.want {
				t.Errorf("curl %s: %q, want %q", c.target, got, c.want)
			}
		})
	}
}

// run calls curl as the user, unless args say otherwise.
func run(t *testing.T, curl, target string, args ...string) string {
	t.Helper()
	all := append([]string{"-q", "-sS", "--noproxy", "*", "--path-as-is", "--max-time", "10",
		"--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "user:user-secret"}, args...)
	var stderr strings.Builder
	command := exec.CommandContext(t.Context(), curl, append(all, target)...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, stderr.String())
	}
	return string(out)
}

// acceptor responds with the signer, or with the type of the refusal.
func acceptor(t *testing.T) http.Handler {
	verifier := newVerifier(time.Now)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verified, err := verifier.Verify(r)
		if err != nil {
			_, _ = io.WriteString(w, refusalOf(t, err).Type)
			return
		}
		_, _ = io.WriteString(w, verified.KeyID)
	})
}
