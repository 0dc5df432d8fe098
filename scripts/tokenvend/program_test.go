package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

const name = "creative-force-user"

// timeout limits waiting for what must happen.
const timeout = 20 * time.Second

// program is the path of the built command.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tokenvend")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "tokenvend")
		if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// service is a local run that ends with the test.
type service struct{ url, sandbox string }

func serve(t *testing.T) service {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := localrun.Run(ctx, localrun.Settings{Addr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0"},
			localrun.Env{Program: "tokenvend", Out: writer, Log: io.Discard, Ticks: make(chan time.Time)})
		_ = writer.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var s service
	greeting := ""
	for lines := bufio.NewScanner(reader); s.url == "" && lines.Scan(); {
		greeting += lines.Text() + "\n"
		s.url, _ = strings.CutPrefix(lines.Text(), "listening on ")
		if !strings.HasPrefix(lines.Text(), "listening on ") {
			s.url = ""
		}
	}
	s.sandbox = regexp.MustCompile(`(http://[^/]+)/control`).FindStringSubmatch(greeting)[1]
	return s
}

// terminal is a running command and the operator at its terminal.
type terminal struct {
	t       *testing.T
	command *exec.Cmd
	in      io.WriteCloser
	out     *screen
}

// start starts the command with arguments and environment variables, which are added
// to PATH.
func start(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, command: exec.CommandContext(t.Context(), program, args...), out: &screen{changed: make(chan struct{})}}
	term.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "AWS_EC2_METADATA_DISABLED=true"}, env...)
	term.command.Stdout, term.command.Stderr = term.out, term.out
	in, err := term.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	term.in = in
	if err := term.command.Start(); err != nil {
		t.Fatal(err)
	}
	return term
}

func (term *terminal) types(line string) {
	term.t.Helper()
	if _, err := io.WriteString(term.in, line+"\n"); err != nil {
		term.t.Fatal(err)
	}
}

// exit waits for the command's end and returns the exit code.
func (term *terminal) exit() int {
	term.t.Helper()
	err := term.command.Wait()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return failed.ExitCode()
	}
	if err != nil {
		term.t.Fatal(err)
	}
	return 0
}

// screen is what the command has printed.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(p), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the pattern has been printed n times, and returns the last group
// of the last match.
func (s *screen) await(t *testing.T, pattern string, n int) string {
	t.Helper()
	deadline := time.After(timeout)
	for {
		s.mu.Lock()
		found, changed := regexp.MustCompile(pattern).FindAllStringSubmatch(s.text.String(), -1), s.changed
		s.mu.Unlock()
		if len(found) >= n {
			return found[n-1][len(found[n-1])-1]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%q was printed %d times, want %d:\n%s", pattern, len(found), n, s)
		}
	}
}

const pageAddress = `(?m)^  (http://\S+/consent/\S+)$`

var (
	inputValue = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	shownCode  = regexp.MustCompile(`id="confirmation-code"[^>]*>([^<]*)<`)
)

// browse is a user with a browser. It returns the confirmation code.
func browse(ctx context.Context, page string, allow bool) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	text, _, err := read(browser.Get(page))
	if err != nil {
		return "", err
	}
	form := url.Values{}
	for _, input := range inputValue.FindAllStringSubmatch(text, -1) {
		form.Set(input[1], input[2])
	}
	_, provider, err := read(browser.PostForm(page, form))
	if err != nil {
		return "", err
	}
	back, err := browserclient.Consent(ctx, &http.Client{}, provider, "", allow)
	if err != nil {
		return "", err
	}
	text, _, err = read(browser.Get(back))
	if shown := shownCode.FindStringSubmatch(text); shown != nil {
		return shown[1], nil
	}
	return "", err
}

func read(answer *http.Response, err error) (text, location string, _ error) {
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	return string(page), answer.Header.Get("Location"), err
}

func mustBrowse(t *testing.T, page string, allow bool) string {
	t.Helper()
	code, err := browse(t.Context(), page, allow)
	if err != nil {
		t.Fatal(err)
	}
	return code
}
