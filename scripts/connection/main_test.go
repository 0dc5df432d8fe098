package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
)

const (
	canary  = "canary-of-a-client-secret"
	machine = `{"provider":"oauth2","client_id":"app","client_secret":"` + canary + `","token_url":"https://login.example.com/token"}`
	user    = `{"provider":"oauth2","grant_type":"authorization_code","client_id":"app","client_secret":"` + canary + `",` +
		`"token_url":"https://login.example.com/token","authorization_url":"https://login.example.com/authorize"REDIRECT}`
)

// outputs is what SAM lists of a stack.
const outputs = `[{"OutputKey":"Url","OutputValue":"https://abc123.execute-api.us-east-1.amazonaws.com/v1"},
{"OutputKey":"Curl","OutputValue":"curl https://abc123.execute-api.us-east-1.amazonaws.com/v1/connections/NAME/token"},
{"OutputKey":"CallerStatement","OutputValue":"{\"Resource\":[\"arn:aws:execute-api:us-east-1:111122223333:abc123/v1/GET/connections/NAME/token\"]}"}]`

var update = flag.Bool("update", false, "keep what is printed as the golden output")

// bench is an account on loopback and what a command is run with.
type bench struct {
	*awsfake.Services
	variables map[string]string
}

func newBench(t *testing.T) bench {
	t.Helper()
	services, err := awsfake.Start(awsfake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.Close() })
	b := bench{services, map[string]string{}}
	for _, variable := range services.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		b.variables[name] = value
	}
	return b
}

// run runs the command line, and returns exit code and all that it printed.
func (b bench) run(t *testing.T, in string, args ...string) (int, string) {
	t.Helper()
	var said bytes.Buffer
	code := run(t.Context(), args, world{
		in: strings.NewReader(in), out: &said, problems: &said, now: time.Now,
		lookup: func(name string) (string, bool) { value, set := b.variables[name]; return value, set },
		sam:    func(context.Context, ...string) ([]byte, error) { return []byte(outputs), nil },
	})
	if strings.Contains(said.String(), canary) {
		t.Errorf("AZ-53 it shows the client secret:\n%s", said.String())
	}
	return code, said.String()
}

func (b bench) must(t *testing.T, in string, args ...string) string {
	t.Helper()
	code, said := b.run(t, in, args...)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	return said
}

func (b bench) secret(t *testing.T, name string) string {
	t.Helper()
	var out struct{ SecretString string }
	if err := b.SecretsManager.Call("GetSecretValue", map[string]any{"SecretId": name}, &out); err != nil {
		t.Fatal(err)
	}
	return out.SecretString
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestAdd(t *testing.T) {
	b := newBench(t)
	golden(t, "add.txt", b.must(t, machine, "add", "-yes", "crm"))
	if got := b.secret(t, "tokenvend/crm"); got != machine {
		t.Errorf("the secret holds %q", got)
	}
	golden(t, "add-user.txt", b.must(t, strings.Replace(user, "REDIRECT", "", 1), "add", "-yes", "-stack", "tokenvend", "crm-user"))
	b.must(t, strings.Replace(user, "REDIRECT", "", 1), "add", "-yes", "-replace", "-stack", "tokenvend", "crm-user") // BI-54 its own is not another's
	golden(t, "add-member.txt", b.must(t, machine+"\n", "add", "-yes", "erp.eu"))
	if code, said := b.run(t, machine, "add", "-yes", "erp.eu"); code != exitFailed || !strings.Contains(said, "-replace") {
		t.Errorf("BI-41 the same member again: %d, %s", code, said)
	}
	b.must(t, strings.Replace(machine, `"app"`, `"app-us"`, 1), "add", "-yes", "erp.us")
	b.must(t, strings.Replace(machine, `"app"`, `"app-eu"`, 1), "add", "-yes", "-replace", "erp.eu")
	want := `{"connections":{"eu":` + strings.Replace(machine, `"app"`, `"app-eu"`, 1) + `,"us":` + strings.Replace(machine, `"app"`, `"app-us"`, 1) + `}}`
	if diff := cmp.Diff(want, b.secret(t, "tokenvend/erp")); diff != "" {
		t.Errorf("the bundle (-want +got):\n%s", diff)
	}
}

func TestAddRefuses(t *testing.T) {
	b := newBench(t)
	b.must(t, strings.Replace(user, "REDIRECT", `,"redirect_uri":"https://app.example.com/back"`, 1), "add", "-yes", "taken")
	b.must(t, strings.Replace(user, "REDIRECT", "", 1), "add", "-yes", "-stack", "tokenvend", "own")
	b.must(t, machine, "add", "-yes", "bundle.one")
	if err := b.PutSecret("tokenvend/broken", `{"provider":1}`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, in, want string
		args           []string
	}{
		{"BI-54 the redirect URI of another", strings.Replace(user, "REDIRECT", `,"redirect_uri":"https://app.example.com/back"`, 1), "is that of the connection taken", []string{"add", "-yes", "other"}},
		{"BI-54 the callback of another", strings.Replace(user, "REDIRECT", `,"redirect_uri":"https://abc123.execute-api.us-east-1.amazonaws.com/v1/callback/own"`, 1), "is that of the connection own", []string{"add", "-yes", "-stack", "tokenvend", "other"}},
		{"BI-40 no JSON", "nonsense", "standard input", []string{"add", "-yes", "other"}},
		{"BI-42 a token URL that is not https", strings.Replace(machine, "https://", "http://", 1), `"token_url"`, []string{"add", "-yes", "other"}},
		{"BI-52 an unknown member", strings.Replace(machine, "client_id", "clientid", 1), `"clientid"`, []string{"add", "-yes", "other"}},
		{"a connection that is there", machine, "exists already", []string{"add", "-yes", "taken"}},
		{"a bundle as a connection", machine, "is a bundle", []string{"add", "-yes", "bundle"}},
		{"BI-41 a member of a connection", machine, "holds the one connection", []string{"add", "-yes", "taken.one"}},
		{"a bundle as a draft", `{"connections":{}}`, "one by one", []string{"add", "-yes", "other"}},
		{"nobody to ask", machine, "nothing has been done", []string{"add", "other"}},
		{"BI-05 a name that is none", machine, "name", []string{"add", "-yes", "Other"}},
		{"two names", machine, "one connection", []string{"add", "a", "b"}},
		{"no command", machine, "add or test", []string{"other"}},
		{"a folder and a stack", machine, "no stack", []string{"add", "-folder", "x", "-stack", "y", "other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, said := b.run(t, c.in, c.args...)
			if code == 0 || !strings.Contains(said, c.want) {
				t.Errorf("exit code %d, want it to say %q:\n%s", code, c.want, said)
			}
			if err := b.SecretsManager.Call("DescribeSecret", map[string]any{"SecretId": "tokenvend/other"}, nil); err == nil {
				t.Error("the secret has been made")
			}
		})
	}
}

func TestAddFromFileAsks(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "crm.json")
	if err := os.WriteFile(file, []byte(machine), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := b.run(t, "no\n", "add", "-file", file, "crm"); code != exitFailed || !strings.Contains(said, "nothing has been done") {
		t.Errorf("declined: %d, %s", code, said)
	}
	b.must(t, "y\n", "add", "-file", file, "crm")
	if got := b.secret(t, "tokenvend/crm"); got != machine {
		t.Errorf("the secret holds %q", got)
	}
}

func TestAddNeedsCredentials(t *testing.T) {
	b := newBench(t)
	delete(b.variables, "AWS_ACCESS_KEY_ID")
	b.variables["SECRET_PREFIX"] = "*"
	if code, said := b.run(t, machine, "add", "-yes", "crm"); code != exitFailed || !strings.Contains(said, "export-credentials") || !strings.Contains(said, "SECRET_PREFIX: ") {
		t.Errorf("%d, %s", code, said)
	}
}

// provider is a token endpoint that answers so.
func provider(t *testing.T, status int, answer string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTry(t *testing.T) {
	b := newBench(t)
	b.variables["PROVIDER_ALLOW_CIDRS"] = "127.0.0.0/8"
	gated := func(url string) string {
		return `{"provider":"oauth2","client_id":"app","client_secret":"` + canary + `","token_url":"` + url + `/token",` +
			`"callers":[{"principal":"arn:aws:iam::111122223333:role/app"}]}`
	}
	good := provider(t, 200, `{"access_token":"`+canary+`","token_type":"Bearer","expires_in":3600,"scope":"a"}`)
	said := b.must(t, gated(good), "add", "-yes", "-try", "crm")
	if !strings.Contains(said, "The provider gave a token: ") || !strings.Contains(said, `scope "a"`) {
		t.Errorf("it does not tell of the token:\n%s", said)
	}
	bad := provider(t, 401, `{"error":"invalid_client","error_description":"no such application"}`)
	code, said := b.run(t, gated(bad), "add", "-yes", "-try", "other")
	if code != exitFailed || !strings.Contains(said, "401 invalid_client") || !strings.Contains(said, "no such application") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	if err := b.SecretsManager.Call("DescribeSecret", map[string]any{"SecretId": "tokenvend/other"}, nil); err == nil {
		t.Error("a connection that does not work has been added")
	}
}

func TestFolder(t *testing.T) {
	b, folder := newBench(t), t.TempDir()
	local := strings.Replace(machine, "https://login.example.com", "http://127.0.0.1:1", 1)
	b.must(t, local, "add", "-yes", "-folder", folder, "erp.eu")
	b.must(t, local, "add", "-yes", "-folder", folder, "erp.us")
	path := filepath.Join(folder, "erp.json")
	text, err := os.ReadFile(path)
	if err != nil || string(text) != `{"connections":{"eu":`+local+`,"us":`+local+`}}` {
		t.Errorf("%v, %s", err, text)
	}
	if found, err := os.Stat(path); err != nil || found.Mode().Perm() != 0o600 {
		t.Errorf("AZ-53 the file is for everybody: %v, %v", found.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
		t.Errorf("drafts are left: %q", left)
	}
	if code, said := b.run(t, local, "add", "-yes", "-folder", filepath.Join(folder, "away"), "crm"); code != exitFailed || !strings.Contains(said, "no folder") {
		t.Errorf("%d, %s", code, said)
	}
}

func TestTest(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name, answer string
		status, code int
	}{
		{"test.txt", `{"access_token":"` + canary + `","token_type":"Bearer","expires_in":2315,"scope":"cfgateway","expires_at":"2026-01-01T12:38:35Z","refresh_in":1415,"token_id":"9f86d081884c7d65","stale":true,"expires_in_assumed":true}`, 200, 0},
		{"test-refused.txt", `{"error":"connection_misconfigured","detail":"member \"scope\": is none"}`, 500, exitFailed},
		{"test-elsewhere.txt", `{}`, 200, exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, said := b.run(t, "", "test", "-url", provider(t, c.status, c.answer), "-subject", "joe", "crm")
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			golden(t, c.name, said)
		})
	}
	if code, said := b.run(t, "", "test", "-subject", "default", "crm"); code != exitUsage || !strings.Contains(said, "leave -subject out") {
		t.Errorf("%d, %s", code, said)
	}
}

func TestHelp(t *testing.T) {
	b := newBench(t)
	for _, args := range [][]string{{"-help"}, {"add", "-h"}, {"test", "--help"}} {
		if said := b.must(t, "", args...); said != help {
			t.Errorf("%q: %s", args, said)
		}
	}
}
