package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestTokenOfLocalRun(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "token", "--url", s.url, "cliquify")
	if exit := term.exit(); exit != 0 || !regexp.MustCompile(`^\S+\n$`).MatchString(term.out.String()) {
		t.Fatalf("exit %d: %s", exit, term.out)
	}
	token := strings.TrimSpace(term.out.String())
	header := start(t, []string{"TOKENVEND_URL=" + s.url}, "token", "--header", "cliquify")
	if exit := header.exit(); exit != 0 || header.out.String() != "Authorization: Bearer "+token+"\n" {
		t.Errorf("exit %d: %s", exit, header.out)
	}
	for _, c := range []struct{ args, want string }{
		{"connections ls", "cliquify  *cliquify  *client_credentials  *ready"},
		{"connections get cliquify", "cliquify is ready"},
		{"doctor cliquify", "ok  *provider"},
		{"call cliquify " + s.sandbox + "/cliquify/resource", ""},
		{"forget cliquify", "is deleted"},
		{"forget --revoke cliquify", "is deleted"},
	} {
		t.Run(c.args, func(t *testing.T) {
			term := start(t, nil, append(strings.Fields(c.args), "--url", s.url)...)
			if exit := term.exit(); exit != 0 || !regexp.MustCompile(c.want).MatchString(term.out.String()) || strings.Contains(term.out.String(), token) {
				t.Errorf("exit %d: %s", exit, term.out)
			}
		})
	}
	early := start(t, nil, "reject", "--url", s.url, "cliquify", "0123456789abcdef")
	if exit := early.exit(); exit != 0 || !strings.Contains(early.out.String(), "cliquify vends") {
		t.Errorf("CR-23 a token that is not the current one: exit %d: %s", exit, early.out)
	}
}

// TestExec runs a shell with a token in a variable and a file.
func TestExec(t *testing.T) {
	s := serve(t)
	file := filepath.Join(t.TempDir(), "token=file")
	run := func(script string) *terminal {
		return start(t, []string{"F=" + file}, "exec", "--url", s.url, "--env", "CLIQUIFY=cliquify", "--file", file+"=cliquify", "--", "/bin/sh", "-c", script)
	}
	term := run(`test -n "$CLIQUIFY" && test "$(cat "$F")" = "$CLIQUIFY" && echo same; exit 9`)
	if exit := term.exit(); exit != 9 || term.out.String() != "same\n" {
		t.Errorf("exit %d: %s", exit, term.out)
	}
	for signal, want := range map[syscall.Signal]int{syscall.SIGTERM: 21, syscall.SIGINT: 22, syscall.SIGUSR1: 23} {
		t.Run(signal.String(), func(t *testing.T) {
			term := run(`trap 'exit 21' TERM; trap 'exit 22' INT; trap 'exit 23' USR1; echo ready; read -r x; read -r x; exit 1`)
			term.out.await(t, "ready", 1)
			if err := term.command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if exit := term.exit(); exit != want {
				t.Errorf("exit %d, want %d: %s", exit, want, term.out)
			}
		})
	}
	term = run(`echo ready; kill -KILL $$`)
	if exit := term.exit(); exit != 137 {
		t.Errorf("killed: exit %d: %s", exit, term.out)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}

func TestInterruptedToken(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	for _, args := range [][]string{{"token", "crm"}, {"exec", "--env", "A=crm", "--", "true"}} {
		t.Run(args[0], func(t *testing.T) {
			term := start(t, []string{"TOKENVEND_URL=" + server.URL}, args...)
			<-asked
			if err := term.command.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if exit := term.exit(); exit != 130 || term.out.String() != "interrupted\n" {
				t.Errorf("exit %d: %s", exit, term.out)
			}
		})
	}
}

func TestAgent(t *testing.T) {
	s := serve(t)
	scratch := t.TempDir()
	term := start(t, []string{"TMPDIR=" + scratch}, "agent", "--url", s.url, "--addr", "127.0.0.1:0", "--allow", "cliquify="+s.sandbox+"/cliquify")
	url := term.out.await(t, `listening on (http://\S+)`, 1)
	path := term.out.await(t, `token in (\S+)`, 1)
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := os.Stat(path); err != nil || found.Mode().Perm() != 0o600 {
		t.Errorf("AZ-53 others may read the agent's token: %v", err)
	}
	for target, want := range map[string]int{"/connections/cliquify/token": 200, "/to/cliquify/resource": 200, "/connections/absent/token": 404, "/to/agile-now/x": 403} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Tokenvend-Token", strings.TrimSpace(string(secret)))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, response.StatusCode, want)
		}
	}
	if err := term.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if exit := term.exit(); exit != 0 {
		t.Errorf("exit %d: %s", exit, term.out)
	}
	if left, _ := os.ReadDir(scratch); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
