package cli_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/cli"
)

const (
	canary  = "canary-of-a-client-secret"
	machine = `{"provider":"oauth2","client_id":"app","client_secret":"` + canary + `","token_url":"https://login.example.com/token"}`
	user    = `{"provider":"oauth2","grant_type":"authorization_code","client_id":"app","client_secret":"` + canary + `",` +
		`"token_url":"https://login.example.com/token","authorization_url":"https://login.example.com/authorize"REDIRECT}`
)

// userWith is a delegated connection with a redirect URI, or without one.
func userWith(redirect string) string {
	if redirect != "" {
		redirect = `,"redirect_uri":"` + redirect + `"`
	}
	return strings.Replace(user, "REDIRECT", redirect, 1)
}

// add returns the arguments that add a connection to the stack tokenvend.
func add(args ...string) []string {
	return append([]string{"connections", "add", "--yes", "--stack", "tokenvend"}, args...)
}

func newConnections(t *testing.T) *fixture {
	f := newFixture(t)
	f.canary = canary
	return f
}

func TestAdd(t *testing.T) {
	f := newConnections(t)
	golden(t, "add.txt", f.must(t, machine, add("crm")...))
	if got := f.secret(t, "tokenvend/crm"); got != machine {
		t.Errorf("the secret holds %q", got)
	}
	golden(t, "add-user.txt", f.must(t, userWith(""), add("crm-user")...))
	f.must(t, userWith(""), add("--replace", "crm-user")...) // BI-54 a connection does not conflict with itself
	golden(t, "add-member.txt", f.must(t, machine+"\n", add("erp.eu")...))
	for _, name := range []string{"desk-one", "desk-two"} { // BI-54 no browser brings a response there
		f.must(t, userWith("urn:ietf:wg:oauth:2.0:oob"), add(name)...)
	}
	f.fails(t, 1, "--replace", machine, add("erp.eu")...) // BI-41
	f.must(t, strings.Replace(machine, `"app"`, `"app-us"`, 1), add("erp.us")...)
	f.must(t, strings.Replace(machine, `"app"`, `"app-eu"`, 1), add("--replace", "erp.eu")...)
	want := `{"connections":{"eu":` + strings.Replace(machine, `"app"`, `"app-eu"`, 1) + `,"us":` + strings.Replace(machine, `"app"`, `"app-us"`, 1) + `}}`
	if diff := cmp.Diff(want, f.secret(t, "tokenvend/erp")); diff != "" {
		t.Errorf("BI-41 the bundle (-want +got):\n%s", diff)
	}
}

// TestAddToTheNamedStack has production's variables in the shell while the operator
// names another stack.
func TestAddToTheNamedStack(t *testing.T) {
	f := newConnections(t)
	f.must(t, machine, add("crm")...)
	other := strings.Replace(machine, `"app"`, `"staging-app"`, 1)
	toStaging := []string{"connections", "add", "--yes", "--replace", "--stack", "staging", "crm"}
	t.Run("its prefix is used", func(t *testing.T) {
		f.must(t, other, toStaging...)
		if f.secret(t, "staging/crm") != other || f.secret(t, "tokenvend/crm") != machine {
			t.Error("the secret of the other stack was written")
		}
	})
	for variable, value := range map[string]string{
		"SECRET_PREFIX": "tokenvend/", "PROVIDER_ALLOW_CIDRS": "10.0.0.0/8", "TOKEN_TABLE": "production-tokens",
		"PUBLIC_BASE_URL": "https://tokens.example.com", "SEALING_SECRET_ID": "production-keyset", "TOKENVEND_URL": "https://tokens.example.com/v1",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			f.fails(t, 1, variable+` is "`+value+`", but the output `, strings.Replace(machine, `"app"`, `"wrong"`, 1), toStaging...)
			if f.secret(t, "tokenvend/crm") != machine || f.secret(t, "staging/crm") != other {
				t.Error("a secret was written")
			}
		})
	}
	t.Run("the stack must be named", func(t *testing.T) {
		f.fails(t, 2, "--stack, or a local run's folder with --dir", machine, "connections", "add", "--yes", "--replace", "crm")
	})
}

func TestAddRefuses(t *testing.T) {
	f := newConnections(t)
	f.must(t, userWith("https://app.example.com/back"), add("taken")...)
	f.must(t, userWith(""), add("own")...)
	f.must(t, machine, add("bundle.one")...)
	if err := f.PutSecret("tokenvend/broken", `{"provider":1}`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, in, want string
		code           int
		args           []string
	}{
		{"BI-54 the redirect URI of another", userWith("https://app.example.com/back"), "is that of the connection taken", 1, add("other")},
		{"BI-54 the callback of another", userWith("https://tokenvend.execute-api.us-east-1.amazonaws.com/v1/callback/own"), "is that of the connection own", 1, add("other")},
		{"BI-40 no JSON", "nonsense", "standard input", 1, add("other")},
		{"BI-42 a token URL that is not https", strings.Replace(machine, "https://", "http://", 1), `"token_url"`, 1, add("other")},
		{"BI-52 an unknown member", strings.Replace(machine, "client_id", "clientid", 1), `"clientid"`, 1, add("other")},
		{"an existing connection", machine, "already exists", 1, add("taken")},
		{"a bundle as a connection", machine, "is a bundle", 1, add("bundle")},
		{"BI-41 a member of a connection", machine, "holds one connection and is not a bundle", 1, add("taken.one")},
		{"a bundle as a draft", `{"connections":{}}`, "one by one", 1, add("other")},
		{"no confirmation", machine, "nothing was changed", 1, []string{"connections", "add", "--stack", "tokenvend", "other"}},
		{"BI-05 an invalid name", machine, "name", 2, add("Other")},
		{"two names", machine, "unexpected argument b", 2, add("a", "b")},
		{"no command", machine, "connections --help", 2, []string{"connections", "other"}},
		{"a folder and a stack", machine, "--dir is for a local run", 2, add("--dir", "x", "other")},
		{"a URL", machine, "connections add does not use --url", 2, add("--url", "https://a.example", "other")},
		{"another stack", machine, "there is no stack away", 1, []string{"connections", "add", "--yes", "--stack", "away", "other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.fails(t, c.code, c.want, c.in, c.args...)
			if f.hasSecret("tokenvend/other") {
				t.Error("the secret was created")
			}
		})
	}
}

func TestAddFromFileAsks(t *testing.T) {
	f := newConnections(t)
	file := filepath.Join(t.TempDir(), "crm.json")
	if err := os.WriteFile(file, []byte(machine), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"connections", "add", "--stack", "tokenvend", "--file", file, "crm"}
	f.fails(t, 1, "nothing was changed", "no\n", args...)
	f.must(t, "y\n", args...)
	if got := f.secret(t, "tokenvend/crm"); got != machine {
		t.Errorf("the secret holds %q", got)
	}
}

// TestAddInterrupted cancels while standard input is read.
func TestAddInterrupted(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errors strings.Builder
	code := cli.Run(ctx, add("crm"), cli.Env{In: reader, Out: io.Discard, Err: &errors, Lookup: os.LookupEnv, Program: "tokenvend"})
	if code != 130 || errors.String() != "interrupted\n" {
		t.Errorf("exit code %d: %s", code, &errors)
	}
}

func TestAddNeedsCredentials(t *testing.T) {
	f := newConnections(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	f.fails(t, 1, "set AWS_ACCESS_KEY_ID", machine, add("crm")...)
	f.fails(t, 1, "nowhere", machine, add("--profile", "nowhere", "crm")...)
	t.Setenv("AWS_REGION", "")
	f.fails(t, 1, "set AWS_REGION", machine, add("crm")...)
}

// provider is a token endpoint with one response.
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
	f := newConnections(t)
	f.stacks["tokenvend"]["ProviderAllowCidrs"] = "127.0.0.0/8"
	gated := func(url string) string {
		return `{"provider":"oauth2","client_id":"app","client_secret":"` + canary + `","token_url":"` + url + `/token",` +
			`"callers":[{"principal":"arn:aws:iam::111122223333:role/app"}]}`
	}
	good := provider(t, 200, `{"access_token":"`+canary+`","token_type":"Bearer","expires_in":3600,"scope":"a"}`)
	out := f.must(t, gated(good), add("--try", "crm")...)
	if !strings.Contains(out, "The provider issued a token: ") || !strings.Contains(out, `scope "a"`) {
		t.Errorf("the token is not described:\n%s", out)
	}
	bad := provider(t, 401, `{"error":"invalid_client","error_description":"no such application"}`)
	f.fails(t, 1, "401 invalid_client", gated(bad), add("--try", "other")...)
	f.fails(t, 1, "no such application", gated(bad), add("--try", "other")...)
	if f.hasSecret("tokenvend/other") {
		t.Error("a connection that does not work was added")
	}
}

func TestAddToFolder(t *testing.T) {
	f, folder := newConnections(t), t.TempDir()
	local := strings.Replace(machine, "https://login.example.com", "http://127.0.0.1:1", 1)
	toFolder := []string{"connections", "add", "--yes", "--dir", folder}
	f.must(t, local, append(toFolder, "erp.eu")...)
	f.must(t, local, append(toFolder, "erp.us")...)
	path := filepath.Join(folder, "erp.json")
	text, err := os.ReadFile(path)
	if err != nil || string(text) != `{"connections":{"eu":`+local+`,"us":`+local+`}}` {
		t.Errorf("%v, %s", err, text)
	}
	if found, err := os.Stat(path); err != nil || found.Mode().Perm() != 0o600 {
		t.Errorf("AZ-53 others may read the file: %v, %v", found.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
		t.Errorf("drafts are left: %q", left)
	}
	f.fails(t, 1, "is not a folder", local, "connections", "add", "--yes", "--dir", filepath.Join(folder, "away"), "crm")
}

func TestTest(t *testing.T) {
	f := newConnections(t)
	const answer = `{"access_token":"` + canary + `","token_type":"Bearer","expires_in":2315,"scope":"cfgateway","expires_at":"2026-01-01T12:38:35Z","refresh_in":1415,"token_id":"9f86d081884c7d65","stale":true,"expires_in_assumed":true}`
	for _, c := range []struct {
		golden, answer string
		status, code   int
		format         string
	}{
		{"test.txt", answer, 200, 0, "text"},
		{"test.json", answer, 200, 0, "json"},
		{"test-refused.txt", `{"error":"connection_misconfigured","detail":"member \"scope\": is none"}`, 500, 1, "text"},
		{"test-elsewhere.txt", `{}`, 200, 1, "text"},
	} {
		t.Run(c.golden, func(t *testing.T) {
			code, out, errors := f.run(t, "", "connections", "test", "--url", provider(t, c.status, c.answer), "--subject", "joe", "-o", c.format, "crm")
			if code != c.code || (code == 0) != (errors == "") {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			golden(t, c.golden, out+errors)
		})
	}
	f.fails(t, 2, "omit --subject", "", "connections", "test", "--subject", "default", "crm")
	f.fails(t, 2, "exclude each other", "", "connections", "test", "--stack", "tokenvend", "--url", "https://a.example", "crm")
	t.Setenv("TOKENVEND_URL", "http://tokens.example.com")
	f.fails(t, 2, "TOKENVEND_URL: the API's URL must", "", "connections", "test", "crm")
}

// TestSigner looks at who signs a request to a loopback URL.
func TestSigner(t *testing.T) {
	f := newConnections(t)
	signer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		signer, _, _ = strings.Cut(credential, "/")
	}))
	t.Cleanup(server.Close)
	profile := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(profile, []byte("[work]\naws_access_key_id=AKIDWORK\naws_secret_access_key=hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", profile)
	for _, c := range []struct {
		name, key, want string
		args            []string
	}{
		{"the local run's key", "", "local", nil},
		{"credentials in the environment", "AKIDEXAMPLE", "AKIDEXAMPLE", nil},
		{"a profile", "", "AKIDWORK", []string{"--profile", "work"}},
		{"a profile before the environment", "AKIDEXAMPLE", "AKIDWORK", []string{"--profile", "work"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", c.key)
			code, _, errors := f.run(t, "", append([]string{"connections", "test", "--url", server.URL, "crm"}, c.args...)...)
			if hinted := strings.Contains(errors, "the local run accepts its own key"); code != 1 || hinted != (c.want != "local") {
				t.Errorf("exit code %d: %s", code, errors)
			}
			if signer != c.want {
				t.Errorf("%q signed, want %q", signer, c.want)
			}
		})
	}
}
