package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvendtest"
)

func TestToken(t *testing.T) {
	f := newFixture(t)
	service := tokenvendtest.New(t)
	token := func(args ...string) []string { return append([]string{"token", "--url", service.URL}, args...) }
	if out := f.must(t, "", token("crm")...); out != "token_1\n" {
		t.Errorf("%q", out)
	}
	if out := f.must(t, "", token("--header", "crm")...); out != "Authorization: Bearer token_1\n" {
		t.Errorf("%q", out)
	}
	var answer map[string]any
	if out := f.must(t, "", token("-o", "json", "--min-ttl", "10m", "--subject", "ann", "crm")...); json.Unmarshal([]byte(out), &answer) != nil || answer["access_token"] != "token_1" || answer["refresh_in"] == nil {
		t.Errorf("%s", out)
	}
	f.fails(t, 2, "exclude each other", "", token("--header", "-o", "json", "crm")...)
	f.fails(t, 2, "--min-ttl", "", token("--min-ttl", "soon", "crm")...)
	f.fails(t, 2, "name", "", token("../crm")...)
	service.Fail("crm", &tokenvendtest.Failure{Status: 409, Code: "authorization_required"})
	f.fails(t, 1, "authorization_required", "", token("crm")...)
}

// TestPresentedHeader has a provider that expects its token in a header of its own.
func TestPresentedHeader(t *testing.T) {
	f := newFixture(t)
	url := provider(t, 200, `{"access_token":"t1","token_id":"9f86d081884c7d65","expires_in":60,"refresh_in":30,"present":{"header":"X-Shop-Access-Token","prefix":""}}`)
	if out := f.must(t, "", "token", "--header", "--url", url, "shop"); out != "X-Shop-Access-Token: t1\n" {
		t.Errorf("%q", out)
	}
}

func TestReject(t *testing.T) {
	f := newFixture(t)
	f.canary = "token_2"
	service := tokenvendtest.New(t)
	var first struct {
		ID string `json:"token_id"`
	}
	if out := f.must(t, "", "token", "--url", service.URL, "-o", "json", "crm"); json.Unmarshal([]byte(out), &first) != nil || first.ID == "" {
		t.Fatal(out)
	}
	if out := f.must(t, "", "reject", "--url", service.URL, "crm", first.ID); !strings.Contains(out, "crm vends") || strings.Contains(out, first.ID) {
		t.Errorf("%s", out)
	}
	same := provider(t, 200, `{"token_id":"9f86d081884c7d65"}`)
	f.fails(t, 1, "did not replace it", "", "reject", "--url", same, "crm", "9f86d081884c7d65")
}

func TestCall(t *testing.T) {
	f := newFixture(t)
	service := tokenvendtest.New(t)
	resource := httptest.NewServer(service.Resource("crm", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
	})))
	t.Cleanup(resource.Close)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("a=b"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, in, want string
		args           []string
	}{
		{"a GET", "", "GET  ", nil},
		{"JSON", "", `POST application/json {"a":1}`, []string{"-d", `{"a":1}`}},
		{"a form of a file", "", "PUT application/x-www-form-urlencoded a=b", []string{"-X", "PUT", "-d", "@" + file}},
		{"standard input", "[1]", "POST application/json [1]", []string{"-d", "@-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			service.Revoke("crm") // the first answer of the resource server is 401
			if out := f.must(t, c.in, append([]string{"call", "--url", service.URL, "crm", resource.URL}, c.args...)...); out != c.want {
				t.Errorf("%q, want %q", out, c.want)
			}
		})
	}
	f.fails(t, 1, "answered 404 Not Found", "", "call", "--url", service.URL, "crm", resource.URL+"/missing")
	f.fails(t, 1, "is not sent over http", "", "call", "--url", service.URL, "crm", "http://crm.example/?secret=1")
	f.fails(t, 2, "absolute URL", "", "call", "--url", service.URL, "crm", "http://%zz")
	f.fails(t, 1, "--data: open", "", "call", "--url", service.URL, "crm", resource.URL, "-d", "@/nowhere")
}

func TestExecUsage(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"no token", "--env VAR=NAME or --file", []string{"--", "true"}},
		{"no command", "<command>", []string{"--env", "A=crm"}},
		{"no connection", "write --env TO=NAME", []string{"--env", "A", "--", "true"}},
		{"no variable", "is no name of a variable", []string{"--env", "A B=crm", "--", "true"}},
		{"an invalid name", "--file x=CRM", []string{"--file", "x=CRM", "--", "true"}},
	} {
		t.Run(c.name, func(t *testing.T) { f.fails(t, 2, c.want, "", append([]string{"exec"}, c.args...)...) })
	}
}

func TestAgentUsage(t *testing.T) {
	f := newFixture(t)
	short := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(short, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"not loopback", "loopback", 2, []string{"--addr", "0.0.0.0:1"}},
		{"no port", "loopback", 2, []string{"--addr", "127.0.0.1"}},
		{"an invalid name", "--connection", 2, []string{"--connection", "CRM"}},
		{"no upstream", "--allow crm", 2, []string{"--allow", "crm"}},
		{"plain http", "must use https", 2, []string{"--allow", "crm=http://crm.example"}},
		{"two upstreams", "two upstreams", 2, []string{"--allow", "crm=https://a.example", "--allow", "crm=https://b.example"}},
		{"an upstream of another connection", "none of the names of --connection", 2, []string{"--connection", "erp", "--allow", "crm=https://a.example"}},
		{"a short token", "at least 16 characters", 1, []string{"--token-file", short}},
		{"no folder for the token", "make a file", 1, []string{"--token-file", "/nowhere/token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.fails(t, c.code, c.want, "", append([]string{"agent", "--url", "http://127.0.0.1:1/v1", "--addr", "127.0.0.1:0"}, c.args...)...)
		})
	}
	t.Setenv("TOKENVEND_AGENT_TOKEN", "short")
	f.fails(t, 2, "TOKENVEND_AGENT_TOKEN: the agent's token", "", "agent", "--addr", "127.0.0.1:0")
}

// list is a service with two pages.
func list(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connections", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("next") == "" {
			_, _ = io.WriteString(w, `{"connections":[{"connection":"crm","provider":"oauth2","grant_type":"client_credentials","state":"ready"}],"next":"a+b"}`)
			return
		}
		_, _ = io.WriteString(w, `{"connections":[{"connection":"`+r.FormValue("next")[:1]+`","state":"misconfigured","problem":"member \"scope\" is none"}]}`)
	})
	mux.HandleFunc("GET /connections/crm", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("next") == "" {
			_, _ = io.WriteString(w, `{"connection":"crm","grant_type":"authorization_code","state":"ready","subjects":[{"subject":"default","state":"ready","renew_by":"2026-01-01T00:00:00Z"}],"next":"x"}`)
			return
		}
		_, _ = io.WriteString(w, `{"connection":"crm","grant_type":"authorization_code","state":"ready","subjects":[{"subject":"ann","state":"failing","last_error":"provider_timeout"}]}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestList(t *testing.T) {
	f := newFixture(t)
	url := list(t)
	golden(t, "ls.txt", f.must(t, "", "connections", "ls", "--url", url))
	golden(t, "ls.json", f.must(t, "", "connections", "ls", "--url", url, "-o", "json"))
	golden(t, "get.txt", f.must(t, "", "connections", "get", "--url", url, "crm"))
	golden(t, "get.json", f.must(t, "", "connections", "get", "--url", url, "-o", "json", "--subject", "ann", "crm"))
	f.fails(t, 1, "crm has no subject joe", "", "connections", "get", "--url", url, "--subject", "joe", "crm")
}

func TestRemove(t *testing.T) {
	f := newConnections(t)
	remove := func(args ...string) []string {
		return append([]string{"connections", "rm", "--stack", "tokenvend"}, args...)
	}
	f.must(t, machine, add("crm")...)
	f.must(t, machine, add("erp.eu")...)
	f.must(t, machine, add("erp.us")...)
	f.fails(t, 1, "nothing was changed", "yes\n", remove("crm")...)
	f.fails(t, 1, "is a bundle; remove a member", "erp\n", remove("erp")...)
	f.fails(t, 1, "has no such member", "erp.de\n", remove("erp.de")...)
	f.fails(t, 1, "there is no connection away", "away\n", remove("away")...)
	if out := f.must(t, "crm\n", remove("crm")...); f.hasSecret("tokenvend/crm") || !strings.Contains(out, "restored for 30 days") {
		t.Errorf("%s", out)
	}
	f.must(t, "erp.eu\n", remove("erp.eu")...)
	if got := f.secret(t, "tokenvend/erp"); got != `{"connections":{"us":`+machine+`}}` {
		t.Errorf("BI-41 the bundle is %s", got)
	}
	f.must(t, "", remove("--yes", "erp.us")...)
	if f.hasSecret("tokenvend/erp") {
		t.Error("an empty bundle is left")
	}
	folder := t.TempDir()
	f.must(t, strings.Replace(machine, "https://login.example.com", "http://127.0.0.1:1", 1), "connections", "add", "--yes", "--dir", folder, "crm")
	f.must(t, "crm\n", "connections", "rm", "--dir", folder, "crm")
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	f.fails(t, 2, "--stack, or a local run's folder with --dir", "", "connections", "rm", "crm")
	f.fails(t, 2, "excludes --stack", "", remove("--dir", folder, "crm")...)
}

func TestCompletion(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ line, want string }{
		{"con", "connections consent console"}, {"connections ", "ls get add test rm"}, {"connections --stack a t", "test"},
		{"connections rm --", "--help --dir --stack --profile --region --yes"}, {"version --", "--help"}, {"compl", "completion"},
	} {
		out := f.must(t, "", append([]string{"complete", "--"}, strings.Split(c.line, " ")...)...)
		got := strings.Fields(out)
		for _, word := range strings.Fields(c.want) {
			if !strings.Contains("\n"+out, "\n"+word+"\n") {
				t.Errorf("%q: %q lacks %s", c.line, got, word)
			}
		}
		if len(got) != len(strings.Fields(c.want)) {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
	f.fails(t, 2, "bash", "", "completion", "tcsh")
}

func TestCompletionInShells(t *testing.T) {
	f := newFixture(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			script := f.must(t, "", "completion", shell)
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("there is no %s", shell)
			}
			if out, err := exec.CommandContext(t.Context(), path, "-n", "-c", script).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
