package localrun_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

// TestGreetingCommands runs every printed command as it is.
func TestGreetingCommands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed: the commands that a run prints are not tried")
	}
	r := start(t, "")
	for _, c := range []struct{ command, want string }{
		{"connections/agile-now/token", `"connection":"agile-now"`},
		{"connections/cliquify/token", `"connection":"cliquify"`},
		{"connections/creative-force/token", `"connection":"creative-force"`},
		{"connections/creative-force-user/token", `"error":"authorization_required"`},
		{"rotate", `"client_secret"`},
		{"revoke", `"revoked": 1`},
		{"fault", `"status": 503`},
		{"/control ", `"living_tokens"`},
		{"every control endpoint", "Control endpoints"},
	} {
		t.Run(c.command, func(t *testing.T) {
			line := regexp.MustCompile(`(?m)^  curl .*` + regexp.QuoteMeta(c.command) + `.*$`).FindString(r.greeting)
			out, err := exec.CommandContext(t.Context(), "sh", "-c",
				`curl() { command curl -q -sS --noproxy '*' --max-time 10 "$@"; }; `+line).CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%q: %v, %s; want %s", line, err, out, c.want)
			}
		})
	}
}

// TestGreetingOfConsents: the printed commands name the run's URL, and the redirect
// URI that is registered or must be.
func TestGreetingOfConsents(t *testing.T) {
	t.Run("the sandbox's connection", func(t *testing.T) {
		r := start(t, "")
		want := "  tokenvend consent start --url " + r.url + " --open creative-force-user\n    redirect URI: " + r.url + "/callback/creative-force-user  (registered;"
		if !strings.Contains(r.greeting, want) {
			t.Errorf("no %q in:\n%s", want, r.greeting)
		}
		state := r.pull(r.sandbox, "GET", "creative-force-user", "").body
		if registered := fmt.Sprint(state["redirect_uris"]); registered != "["+r.url+"/callback/creative-force-user]" {
			t.Errorf("registered is %s", registered)
		}
	})
	t.Run("a folder of the operator", func(t *testing.T) {
		folder := t.TempDir()
		write(t, folder, "crm", `{"provider":"oauth2","grant_type":"authorization_code","client_id":"id","client_secret":"hush",
			"token_url":"http://127.0.0.1:1/token","authorization_url":"http://127.0.0.1:1/authorize"}`)
		write(t, folder, "own", `{"provider":"oauth2","client_id":"id","client_secret":"hush","token_url":"http://127.0.0.1:1/token"}`)
		write(t, folder, "bad", `{"provider":"oauth2","grant_type":"authorization_code"}`)
		r := start(t, folder)
		if !strings.Contains(r.greeting, " --open crm\n") || !strings.Contains(r.greeting, "/callback/crm  (register it with the provider") {
			t.Errorf("no command to consent for crm in:\n%s", r.greeting)
		}
		if strings.Contains(r.greeting, "--open own") || strings.Contains(r.greeting, "--open bad") {
			t.Errorf("a consent that is impossible in:\n%s", r.greeting)
		}
	})
}

func TestFolders(t *testing.T) {
	t.Run("the sandbox's own is removed", func(t *testing.T) {
		r := start(t, "")
		folder := regexp.MustCompile(`connections in (\S+) \(removed at the end\)`).FindStringSubmatch(r.greeting)
		if folder == nil {
			t.Fatalf("no folder in:\n%s", r.greeting)
		}
		if _, err := os.Stat(filepath.Join(folder[1], "cliquify.json")); err != nil {
			t.Error(err)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(folder[1]); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", folder[1], err)
		}
	})
	t.Run("a folder of the operator is not changed", func(t *testing.T) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "crm.json"), []byte(`{"provider":"unknown"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		r := start(t, folder)
		if !regexp.MustCompile(`(?m)^crm .*misconfigured .*crm\.json.*provider`).MatchString(r.greeting) {
			t.Errorf("the problem is missing in:\n%s", r.greeting)
		}
		if strings.Contains(r.greeting, "crm/token") {
			t.Errorf("a command for a connection that cannot work:\n%s", r.greeting)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(folder)
		if err != nil || len(left) != 1 {
			t.Errorf("the folder holds %v (%v)", left, err)
		}
	})
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for variable, settings := range map[string]localrun.Settings{
		"TOKENVEND_ADDR":         {Addr: taken.Addr().String(), SandboxAddr: "127.0.0.1:0"},
		"TOKENVEND_SANDBOX_ADDR": {Addr: "127.0.0.1:0", SandboxAddr: taken.Addr().String()},
	} {
		t.Run(variable, func(t *testing.T) {
			var out bytes.Buffer
			err := localrun.Run(t.Context(), settings, localrun.Env{Out: &out, Log: io.Discard})
			if err == nil || !strings.Contains(err.Error(), variable+": another program listens on "+taken.Addr().String()) {
				t.Errorf("error %v", err)
			}
			if out.Len() > 0 {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, want := range []string{"TOKENVEND_ADDR ", "TOKENVEND_SANDBOX_ADDR ", "TOKENVEND_CONNECTIONS ", "TOKENVEND_RENEW_EVERY ",
		"TOKENVEND_HOSTS ", "TOKENVEND_SANDBOX_HOSTS ", "host.docker.internal", "local / local ", "arn:aws:iam::000000000000:user/local2", "us-east-1", "execute-api", "/control/creative-force/rotate"} {
		if !strings.Contains(localrun.Help("tokenvend"), want) {
			t.Errorf("the help lacks %q", want)
		}
	}
}
