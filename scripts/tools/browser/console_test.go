package browser_test

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/tools/browser"
)

// startConsole starts the command console for the API at url and returns its address.
func startConsole(t *testing.T, url string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tokenvend")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-o", program, "./scripts/tokenvend").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--url", url, "console", "--addr", "127.0.0.1:0")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	greeting, err := bufio.NewReader(out).ReadString('\n')
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/[A-Z2-7]+/`).FindString(greeting)
	if err != nil || address == "" {
		t.Fatalf("greeting %q: %v", greeting, err)
	}
	return address
}

// TestConsole does in the console what a newcomer does in a terminal: sees the
// connections, tests one, gives a consent, reports a token, disconnects, and reads
// what is wrong with a connection.
func TestConsole(t *testing.T) {
	e := newEnv(t)
	e.declare(t, "broken", map[string]any{}, map[string]any{"client_auth": "by_letter"})
	e.declare(t, "refused", map[string]any{}, map[string]any{"client_secret": "another-secret-than-registered"})
	e.ask(t, "local", "GET", "/connections/refused/token", nil)
	address := startConsole(t, e.run.URL)
	for _, looks := range []struct {
		name string
		browser.Looks
	}{
		{"console", browser.Looks{}},
		{"console-dark", browser.Looks{Dark: true}},
		{"console-phone", browser.Looks{Phone: true}},
		{"console-phone-dark", browser.Looks{Phone: true, Dark: true}},
	} {
		t.Run(looks.name, func(t *testing.T) { consoleTour(t, e, looks.name, looks.Looks, address) })
	}
	t.Run("console by keyboard", func(t *testing.T) {
		v := openConsole(t, e, "console-keyboard", browser.Looks{}, address)
		v.must(v.FocusByKeyboard(`a[href="#/connections/cliquify"]`))
		v.must(v.PressEnter(".card h1"))
		v.must(v.FocusByKeyboard(".card .buttons button"))
		v.must(v.PressEnter("progress"))
		v.expectConsole("tested")
	})
	t.Run("console without its service", func(t *testing.T) {
		v := e.open(t, "console-down", browser.Looks{})
		v.consoleAt = startConsole(t, "http://127.0.0.1:1/v1")
		v.must(v.Open(v.consoleAt))
		v.must(v.Shows("#failure button"))
		v.expectConsole("down")
	})
}

func openConsole(t *testing.T, e *env, name string, looks browser.Looks, address string) *person {
	v := e.open(t, name, looks)
	v.consoleAt = address
	v.must(v.Open(address))
	v.must(v.Shows("ul.rows"))
	return v
}

func consoleTour(t *testing.T, e *env, name string, looks browser.Looks, address string) {
	v := openConsole(t, e, name, looks, address)
	v.expectConsole("connections")
	v.must(v.Press(`a[href="#/connections/broken"]`, ".card .fix"))
	v.expectConsole("misconfigured")
	v.must(v.Press(`header a[href="#/"]`, "ul.rows"))
	v.must(v.Press(`a[href="#/connections/refused"]`, ".card .fix"))
	v.must(v.Press(".card .buttons button", "#failure button"))
	v.expectConsole("refused")
	v.must(v.Press(`header a[href="#/"]`, "ul.rows"))
	v.must(v.Press(`a[href="#/connections/cliquify"]`, ".card h1"))
	v.must(v.Press(".card .buttons button:nth-of-type(1)", "progress"))
	v.expectConsole("tested")
	v.must(v.Press(".card .buttons button:nth-of-type(2)", "dialog[open]"))
	v.expectConsole("report")
	v.must(v.Press("#dialog-yes", "#said:not(:empty)"))
	v.must(v.Press(`header a[href="#/"]`, "ul.rows"))
	v.must(v.Press(`a[href="#/connections/creative-force-user"]`, "section.card"))
	v.expectConsole("consent-needed")
	v.must(v.Press("section.card .buttons button", "ol.steps"))
	v.expectConsole("consent")
	link, err := v.Attribute("ol.steps a", "href")
	v.must(err)
	user := e.open(t, name+"-user", looks)
	code := user.allow(session{consentURL: link})
	v.must(v.Fill("ol.steps input", code))
	v.must(v.Press("form .buttons button", "section.card .ready"))
	v.expectConsole("consented")
	v.must(v.Press(`header a[href="#/grants"]`, "ul.rows .ready"))
	v.expectConsole("grants")
	v.must(v.Press(`ul.rows a`, "section.card .danger"))
	v.must(v.Press("section.card .danger", "dialog[open]"))
	v.expectConsole("disconnect")
	v.must(v.Press("#dialog-yes", "section.card .authorization_required"))
}

// expectConsole checks the console's page, and takes a picture of it.
func (v *person) expectConsole(state string) {
	v.Helper()
	v.screenshot(state)
	faults, err := v.Faults()
	v.must(err)
	for _, fault := range faults {
		if fault != "1 scripts" {
			v.Errorf("%s: %s", state, fault)
		}
	}
	page, err := v.HTML()
	v.must(err)
	if kind := v.env.secrets.in(strings.ReplaceAll(page, "session_id", "")); kind == "an access token" {
		v.Errorf("%s shows %s", state, kind)
	}
}
