package child_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/pkg/client/tokenvendtest"
	"github.com/tokenvend/tokenvend/scripts/internal/cli/child"
)

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

// TestFileIsReplaced has the service replace a token while the program runs: what an open
// file of the former token holds does not change.
func TestFileIsReplaced(t *testing.T) {
	service := tokenvendtest.New(t)
	client := service.Client()
	path := filepath.Join(t.TempDir(), "token")
	ticks := make(chan time.Time)
	reader, writer := io.Pipe()
	printed, out := io.Pipe()
	lines := bufio.NewScanner(printed)
	ended := make(chan error, 1)
	go func() {
		defer out.Close()
		ended <- child.Program{
			Tokens: client, Files: []child.Grant{{To: path, Connection: "crm"}}, Variables: []child.Grant{{To: "T", Connection: "crm"}},
			Command: shell(`exec 3<"$F"; echo opened; read -r go; cat <&3; echo; cat "$F"; echo; echo "$T"`), Environment: []string{"F=" + path, "PATH=/bin:/usr/bin"},
			In: reader, Out: out, Err: io.Discard, Ticks: ticks,
		}.Run(t.Context())
	}()
	lines.Scan() // the program has the file open
	if found, err := os.Stat(path); err != nil || found.Mode().Perm() != 0o600 {
		t.Errorf("AZ-53 others may read the file: %v", err)
	}
	token, err := client.Token(t.Context(), "crm")
	if err == nil {
		_, err = client.Reject(t.Context(), token)
	}
	if err != nil {
		t.Fatal(err)
	}
	ticks <- time.Time{}
	ticks <- time.Time{} // the former one has been dealt with
	_, _ = io.WriteString(writer, "go\n")
	_ = writer.Close()
	var read []string
	for lines.Scan() {
		read = append(read, lines.Text())
	}
	if err := <-ended; !errors.Is(err, child.Exit(0)) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"token_1", "token_2", "token_1"}, read); diff != "" {
		t.Errorf("the program read (-want +got):\n%s", diff)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// failing fails after the first token.
type failing struct {
	*tokenvend.Client
	calls int
}

func (f *failing) Token(ctx context.Context, connection string, o ...tokenvend.Option) (*tokenvend.Token, error) {
	if f.calls++; f.calls > 1 {
		return nil, errors.New("no answer")
	}
	return f.Client.Token(ctx, connection, o...)
}

func TestFailureIsReportedOnce(t *testing.T) {
	ticks := make(chan time.Time)
	reader, writer := io.Pipe()
	printed, err := os.Create(filepath.Join(t.TempDir(), "stderr")) // a file, as the program shares it
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	path := filepath.Join(t.TempDir(), "token")
	go func() {
		ended <- child.Program{
			Tokens: &failing{Client: tokenvendtest.New(t).Client()}, Files: []child.Grant{{To: path, Connection: "crm"}},
			Command: shell("read -r go; exit 7"), Environment: []string{"PATH=/bin:/usr/bin"}, In: reader, Out: io.Discard, Err: printed, Ticks: ticks,
		}.Run(t.Context())
	}()
	for range 3 {
		ticks <- time.Time{}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "token_1" {
		t.Errorf("the file does not keep its token: %q, %v", text, err)
	}
	_ = writer.Close()
	if err := <-ended; !errors.Is(err, child.Exit(7)) {
		t.Errorf("error %v", err)
	}
	text, err := os.ReadFile(printed.Name())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), "keeps the former token: no answer"); got != 1 {
		t.Errorf("reported %d times: %s", got, text)
	}
}

func TestRunFails(t *testing.T) {
	service := tokenvendtest.New(t)
	service.Fail("dead", &tokenvendtest.Failure{Status: 500, Code: "connection_misconfigured"})
	run := func(p child.Program) error {
		p.Tokens, p.In, p.Out, p.Err = service.Client(), strings.NewReader(""), io.Discard, io.Discard
		return p.Run(t.Context())
	}
	for name, c := range map[string]struct {
		program child.Program
		want    string
	}{
		"no token":   {child.Program{Variables: []child.Grant{{To: "T", Connection: "dead"}}, Command: shell("exit 0")}, "connection_misconfigured"},
		"no folder":  {child.Program{Files: []child.Grant{{To: "/nowhere/token", Connection: "crm"}}, Command: shell("exit 0")}, "write the token of crm"},
		"no program": {child.Program{Command: []string{"/nowhere/program"}}, "start the command"},
		"a signal":   {child.Program{Command: shell("kill -TERM $$")}, "exit code 143"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(c.program); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
