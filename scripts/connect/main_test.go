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

// wrong is a confirmation code that chance does not make.
const wrong = "2222-2222"

func TestConsent(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "-url", s.url, name)
	page := term.out.await(t, pageAddress, 1)

	term.types("AAAA-AAAA")
	term.out.await(t, `nobody has consented in the browser yet`, 1)
	code := mustBrowse(t, page, true)
	term.types(wrong)
	term.out.await(t, `2 of 3 tries are left`, 1)
	term.types("")
	term.types(" " + strings.ToLower(strings.ReplaceAll(code, "-", "")) + " ")
	if exit := term.exit(); exit != 0 {
		t.Fatalf("AZ-23 exit %d:\n%s", exit, term.out)
	}
	for _, want := range []string{name + " is ready", "subject default: ready", "consented at 20", "consent again by 20"} {
		if !strings.Contains(term.out.String(), want) {
			t.Errorf("§2.2 the status lacks %q:\n%s", want, term.out)
		}
	}
	if strings.Contains(term.out.String(), code) {
		t.Error("AZ-53 what was typed is printed")
	}

	over := start(t, nil, name, "-disconnect", "-url", s.url)
	if exit := over.exit(); exit != 0 || !strings.Contains(over.out.String(), name+" is disconnected") {
		t.Errorf("OC-14 exit %d:\n%s", exit, over.out)
	}
}

func TestThreeWrongCodes(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "-url", s.url, name)
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
	term := start(t, nil, "-url", s.url, name)
	if code := mustBrowse(t, term.out.await(t, pageAddress, 1), false); code != "" {
		t.Error("OC-02 a code is shown after a denial")
	}
	term.types(wrong)
	if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "the provider said: access_denied") {
		t.Errorf("OC-02 exit %d:\n%s", exit, term.out)
	}
}

func TestByHand(t *testing.T) {
	s := serve(t)
	term := start(t, nil, "-by-hand", "-subject", "grace", "-url", s.url, name)
	back, err := browserclient.Consent(t.Context(), nil, term.out.await(t, `(?m)^  (http://\S+/connect/authorize\?\S+)$`, 1), "grace@studio.example", true)
	if err != nil {
		t.Fatal(err)
	}
	term.types("https://example.com/")
	term.out.await(t, `answered 400 invalid_request`, 1)
	term.types(back)
	if exit := term.exit(); exit != 0 || !strings.Contains(term.out.String(), "subject grace: ready") {
		t.Errorf("§2.2 exit %d:\n%s", exit, term.out)
	}
	if strings.Contains(term.out.String(), "code=") {
		t.Error("AZ-53 the address that was pasted is printed")
	}
}

func TestImport(t *testing.T) {
	s := serve(t)
	const dead = "refresh-token-of-nobody"
	term := start(t, nil, "-import", "-url", s.url, name)
	term.types(dead)
	if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "the service answered ") || strings.Contains(term.out.String(), dead) {
		t.Errorf("§2.2 a dead grant: exit %d:\n%s", exit, term.out)
	}
	term = start(t, nil, "-import", "-url", s.url, name)
	_ = term.in.Close()
	if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "refresh token to import is missing: the input has ended") {
		t.Errorf("§2.2 no grant: exit %d:\n%s", exit, term.out)
	}
}

func TestGivenUp(t *testing.T) {
	s := serve(t)
	t.Run("Ctrl-C", func(t *testing.T) {
		term := start(t, nil, "-url", s.url, name)
		term.out.await(t, `confirmation code that the last page shows: `, 1)
		if err := term.command.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if exit := term.exit(); exit != 130 || !strings.Contains(term.out.String(), "expires by itself") {
			t.Errorf("exit %d:\n%s", exit, term.out)
		}
	})
	t.Run("end of input", func(t *testing.T) {
		term := start(t, nil, "-url", s.url, name)
		_ = term.in.Close()
		if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), "nothing has been stored") {
			t.Errorf("exit %d:\n%s", exit, term.out)
		}
	})
}

// TestOpen has a browser that tells where it was sent.
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
	term := start(t, []string{"BROWSER=" + browser + " -new"}, "-open", "-url", s.url, name)
	page := term.out.await(t, pageAddress, 1)
	if err := visited.SetReadDeadline(time.Now().Add(patience)); err != nil {
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
		term := start(t, []string{"BROWSER=/nowhere/browser"}, "-open", "-url", s.url, name)
		term.out.await(t, `No browser could be opened`, 1)
		term.types(mustBrowse(t, term.out.await(t, pageAddress, 1), true))
		if exit := term.exit(); exit != 0 {
			t.Errorf("exit %d:\n%s", exit, term.out)
		}
	})
}

func TestCalledWrongly(t *testing.T) {
	const elsewhere = "https://api.example.com/v1"
	keys := []string{"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=canary-of-a-secret"}
	for _, c := range []struct {
		name      string
		args, env []string
		exit      int
		want      string
	}{
		{"help", []string{"-help"}, nil, 0, "-by-hand"},
		{"unknown flag", []string{"-port=1", name}, nil, 2, "-help"},
		{"no name", nil, nil, 2, "name one connection"},
		{"two names", []string{name, "other"}, nil, 2, "name one connection"},
		{"no connection's name", []string{"../other"}, nil, 2, "name"},
		{"no subject's name", []string{"-subject", "a/b", name}, nil, 2, "subject"},
		{"the default subject", []string{"-subject", "default", name}, nil, 2, "leave -subject out"},
		{"two errands", []string{"-import", "-disconnect", name}, nil, 2, "exclude each other"},
		{"nothing to open", []string{"-open", "-import", name}, nil, 2, "-open is for a consent"},
		{"no address", []string{"-url", "127.0.0.1:8080", name}, nil, 2, "-url must be the API's address"},
		{"a password in the address", []string{"-url", "https://a:canary-of-a-secret@b.example/v1", name}, keys, 2, "-url must be"},
		{"plain http elsewhere", []string{"-url", "http://api.example.com/v1", name}, keys, 2, "must be https"},
		{"no keys", []string{"-url", elsewhere, name}, nil, 2, "AWS_ACCESS_KEY_ID"},
		{"no region", []string{"-url", elsewhere, name}, keys, 2, "AWS_REGION must be set"},
		{"nobody there", []string{"-url", "http://127.0.0.1:1/v1", name}, nil, 1, "no answer from http://127.0.0.1:1/v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			term := start(t, c.env, c.args...)
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
		name string
		args []string
		want string
	}{
		{"BI-22 no delegated connection", []string{"creative-force"}, "answered 400 invalid_request: "},
		{"BI-09 no connection", []string{"nobody"}, "answered 404 connection_not_found: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			term := start(t, nil, append([]string{"-url", s.url}, c.args...)...)
			if exit := term.exit(); exit != 1 || !strings.Contains(term.out.String(), c.want) || !strings.Contains(term.out.String(), "request ") {
				t.Errorf("exit %d:\n%s", exit, term.out)
			}
		})
	}
	for name, answer := range map[string]string{"another service": "<html>", "another service's JSON": "{}"} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
			defer server.Close()
			term := start(t, nil, "-url", server.URL, "crm")
			if exit := term.exit(); exit != 1 || !regexp.MustCompile(`does the address end with|is this the address`).MatchString(term.out.String()) {
				t.Errorf("exit %d:\n%s", exit, term.out)
			}
		})
	}
}
