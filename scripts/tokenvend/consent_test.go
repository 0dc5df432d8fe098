package main_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// wrong is a well-formed confirmation code that is practically never generated.
const wrong = "2222-2222"

func TestConsent(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "consent", "start", "--url", s.url, name)
	page := term.out.await(t, pageAddress, 1)

	term.types("AAAA-AAAA")
	term.out.await(t, `the user has not consented in the browser yet`, 1)
	code := mustBrowse(t, page, true)
	term.types(wrong)
	term.out.await(t, `2 of 3 attempts are left`, 1)
	term.types("")
	term.types(" " + strings.ToLower(strings.ReplaceAll(code, "-", "")) + " ")
	if exit := term.exit(); exit != 0 {
		t.Fatalf("AZ-23 exit %d:\n%s", exit, term.out)
	}
	for _, want := range []string{name + " is ready", "subject default: ready", "consented at 20", "consent again by 20"} {
		if !strings.Contains(term.out.String(), want) {
			t.Errorf("the status lacks %q:\n%s", want, term.out)
		}
	}
	if strings.Contains(term.out.String(), code) {
		t.Error("AZ-53 the typed code is printed")
	}

	over := start(t, nil, "consent", "disconnect", name, "--url", s.url)
	if exit := over.exit(); exit != 0 || !strings.Contains(over.out.String(), name+" is disconnected") {
		t.Errorf("OC-14 exit %d:\n%s", exit, over.out)
	}
}

func TestThreeWrongCodes(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "consent", "start", "--url", s.url, name)
	mustBrowse(t, term.out.await(t, pageAddress, 1), true)
	for range 3 {
		term.types(wrong)
	}
	if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "answered 410 session_expired") {
		t.Errorf("BI-24 exit %d:\n%s", exit, term.out)
	}
}

func TestDenial(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "consent", "start", "--url", s.url, name)
	if code := mustBrowse(t, term.out.await(t, pageAddress, 1), false); code != "" {
		t.Error("OC-02 a code is shown after a denial")
	}
	term.types(wrong)
	if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "provider error: access_denied") {
		t.Errorf("OC-02 exit %d:\n%s", exit, term.out)
	}
}

func TestManual(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "consent", "start", "--manual", "--subject", "grace", "--url", s.url, name)
	back, err := browserclient.Consent(t.Context(), nil, term.out.await(t, `(?m)^  (http://\S+/connect/authorize\?\S+)$`, 1), "grace@studio.example", true)
	if err != nil {
		t.Fatal(err)
	}
	term.types("https://example.com/")
	term.out.await(t, `answered 400 invalid_request`, 1)
	term.types(back)
	if exit := term.exit(); exit != 0 || !strings.Contains(term.out.String(), "subject grace: ready") {
		t.Errorf("exit %d:\n%s", exit, term.out)
	}
	if strings.Contains(term.out.String(), "code=") {
		t.Error("AZ-53 the pasted address is printed")
	}
}

func TestImport(t *testing.T) {
	s := serve(t)
	const dead = "refresh-token-of-no-grant"
	term := start(t, nil, "consent", "import", "--url", s.url, name)
	term.types(dead)
	if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "the service answered ") || strings.Contains(term.out.String(), dead) {
		t.Errorf("a dead grant: exit %d:\n%s", exit, term.out)
	}
	term = start(t, nil, "consent", "import", "--url", s.url, name)
	_ = term.in.Close()
	if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "refresh token to import is missing: standard input has ended") {
		t.Errorf("no grant: exit %d:\n%s", exit, term.out)
	}
}

func TestInterrupted(t *testing.T) {
	s := serve(t)
	t.Run("Ctrl-C", func(t *testing.T) {
		term := start(t, nil, "consent", "start", "--url", s.url, name)
		term.out.await(t, `confirmation code that the last page shows: `, 1)
		if err := term.command.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if exit := term.exit(); exit != 130 || !strings.Contains(term.out.String(), "expires by itself") {
			t.Errorf("exit %d:\n%s", exit, term.out)
		}
	})
	t.Run("end of input", func(t *testing.T) {
		term := start(t, nil, "consent", "start", "--url", s.url, name)
		_ = term.in.Close()
		if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "nothing was stored") {
			t.Errorf("exit %d:\n%s", exit, term.out)
		}
	})
}

// TestOpen uses a browser that writes down its address.
func TestOpen(t *testing.T) {
	s := serve(t)
	pipe, browser := filepath.Join(t.TempDir(), "visited"), filepath.Join(t.TempDir(), "browser")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	visited, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer visited.Close()
	if err := os.WriteFile(browser, []byte("#!/bin/sh\necho \"$2\" > "+pipe+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	term := start(t, []string{"BROWSER=" + browser + " -new"}, "consent", "start", "--open", "--url", s.url, name)
	page := term.out.await(t, pageAddress, 1)
	if err := visited.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(visited).ReadString('\n'); err != nil || got != page+"\n" {
		t.Errorf("the browser was sent to %q (%v)", got, err)
	}
	term.types(mustBrowse(t, page, true))
	if exit := term.exit(); exit != 0 {
		t.Fatalf("exit %d:\n%s", exit, term.out)
	}
	t.Run("no browser", func(t *testing.T) {
		term := start(t, []string{"BROWSER=/nowhere/browser"}, "consent", "start", "--open", "--url", s.url, name)
		term.out.await(t, `No browser could be opened`, 1)
		term.types(mustBrowse(t, term.out.await(t, pageAddress, 1), true))
		if exit := term.exit(); exit != 0 {
			t.Errorf("exit %d:\n%s", exit, term.out)
		}
	})
}

func TestConsentUsage(t *testing.T) {
	const elsewhere = "https://api.example.com/v1"
	keys := []string{"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=canary-of-a-secret"}
	for _, c := range []struct {
		name string
		args []string
		env  []string
		exit int
		want string
	}{
		{"help", []string{"start", "--help"}, nil, 0, "--manual"},
		{"unknown flag", []string{"start", "--port=1", name}, nil, 2, "--help"},
		{"no name", []string{"start"}, nil, 2, "<name>"},
		{"two names", []string{"start", name, "other"}, nil, 2, "unexpected argument other"},
		{"an invalid connection's name", []string{"start", "../other"}, nil, 2, "name"},
		{"an invalid subject's name", []string{"start", "--subject", "a/b", name}, nil, 2, "subject"},
		{"the default subject", []string{"start", "--subject", "default", name}, nil, 2, "omit --subject"},
		{"no command", []string{name}, nil, 2, "consent --help"},
		{"nothing to open", []string{"import", "--open", name}, nil, 2, "unknown flag --open"},
		{"no scheme", []string{"start", "--url", "127.0.0.1:8080", name}, nil, 2, "--url: the API's URL must"},
		{"a password in the URL", []string{"start", "--url", "https://a:canary-of-a-secret@b.example/v1", name}, keys, 2, "--url: the API's URL must"},
		{"plain HTTP off loopback", []string{"start", "--url", "http://api.example.com/v1", name}, keys, 2, "must use https"},
		{"no keys", []string{"start", "--url", elsewhere, "--region", "eu-west-1", name}, nil, 1, "AWS_ACCESS_KEY_ID"},
		{"no region", []string{"start", "--url", elsewhere, name}, keys, 1, "set AWS_REGION"},
		{"no server", []string{"start", "--url", "http://127.0.0.1:1/v1", name}, nil, 1, "no response from http://127.0.0.1:1/v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			term := start(t, c.env, append([]string{"consent"}, c.args...)...)
			exit := term.exit()
			if exit != c.exit || !strings.Contains(term.out.String(), c.want) || strings.Contains(term.out.String(), "canary") {
				t.Errorf("exit %d: %s; want %d and %q", exit, term.out, c.exit, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		name, connection, want string
	}{
		{"BI-22 not a delegated connection", "creative-force", "answered 400 invalid_request: "},
		{"BI-09 an unknown connection", "absent", "answered 404 connection_not_found: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			term := start(t, nil, "consent", "start", "--url", s.url, c.connection)
			if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), c.want) || !strings.Contains(term.out.String(), "request ") {
				t.Errorf("exit %d:\n%s", exit, term.out)
			}
		})
	}
	for name, answer := range map[string]string{"another service": "<html>", "another service's JSON": "{}"} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
			defer server.Close()
			term := start(t, nil, "consent", "start", "--url", server.URL, "crm")
			if exit := term.exit(); exit != 1 || !regexp.MustCompile(`does the URL end with|is this the URL`).MatchString(term.out.String()) {
				t.Errorf("exit %d:\n%s", exit, term.out)
			}
		})
	}
}
