package readme_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// codesVariable turns this test's program into a user's browser. It names the pipe
// that the confirmation code is written to.
const codesVariable = "README_CODES"

func TestMain(m *testing.M) {
	codes := os.Getenv(codesVariable)
	if codes == "" {
		os.Exit(m.Run())
	}
	code, err := visit(context.Background(), os.Args[1])
	if err == nil {
		err = os.WriteFile(codes, []byte(code+"\n"), 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// user returns what a reader types who consents in a browser: the code that the last
// page shows. The variables make programs open that browser.
func user(t *testing.T) (typed *os.File, variables []string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "codes")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	typed, err = os.OpenFile(pipe, os.O_RDWR, 0) // open for writing too, so that reads wait for a code
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = typed.Close() })
	return typed, []string{"BROWSER=" + program, codesVariable + "=" + pipe}
}

var (
	csrfInput = regexp.MustCompile(`<input type="hidden" name="csrf" value="([^"]+)">`)
	shownCode = regexp.MustCompile(`id="confirmation-code"[^>]*>([^<]+)<`)
)

// visit consents on the page at an address, and returns the confirmation code.
func visit(ctx context.Context, page string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	csrf, _, err := find(csrfInput)(browser.Get(page))
	if err != nil {
		return "", fmt.Errorf("consent page: %w", err)
	}
	_, provider, err := find(regexp.MustCompile(`^()`))(browser.PostForm(page, url.Values{"csrf": {csrf}}))
	if err != nil {
		return "", fmt.Errorf("continue: %w", err)
	}
	back, err := browserclient.Consent(ctx, &http.Client{}, provider, "", true)
	if err != nil {
		return "", err
	}
	code, _, err := find(shownCode)(browser.Get(back))
	if err != nil {
		return "", fmt.Errorf("callback page: %w", err)
	}
	return code, nil
}

// find returns what the pattern's group matches in a response, and its Location.
func find(pattern *regexp.Regexp) func(*http.Response, error) (text, location string, err error) {
	return func(answer *http.Response, err error) (string, string, error) {
		if err != nil {
			return "", "", err
		}
		defer answer.Body.Close()
		page, err := io.ReadAll(answer.Body)
		if err != nil {
			return "", "", err
		}
		match := pattern.FindSubmatch(page)
		if match == nil {
			return "", "", errors.New(answer.Status + "; the page does not match the pattern")
		}
		return string(match[1]), answer.Header.Get("Location"), nil
	}
}
