// Package clients_test runs the clients of all languages against the local run.
//
// make test-clients sets the variables that name what it installs; without them the
// tests of that language are skipped.
package clients_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/scripts/internal/localproc"
)

const connection = "creative-force"

// start starts the local run, which ends with the test.
func start(t *testing.T) *localproc.Run {
	t.Helper()
	program, err := localproc.Build(t.Context(), "../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := localproc.Start(context.WithoutCancel(t.Context()), program, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Stop(); err != nil {
			t.Error(err)
		}
	})
	return run
}

// installed returns the value of a variable that make test-clients sets.
func installed(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set: make test-clients runs this", name)
	}
	return value
}

// TestManyCallers has 50 callers in three languages call a resource while the provider
// revokes its tokens. One refresh replaces the token for all, and no call fails.
func TestManyCallers(t *testing.T) {
	python, node := installed(t, "TOKENVEND_TEST_PYTHON"), installed(t, "TOKENVEND_TEST_NODE_CLIENT")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_PROFILE", "")
	run := start(t)
	resource := run.Sandbox + "/" + connection + "/resource"
	workers := []*worker{
		newWorker(t, exec.CommandContext(context.WithoutCancel(t.Context()), python, "testdata/worker.py", run.URL, resource, "17")),
		newWorker(t, exec.CommandContext(context.WithoutCancel(t.Context()), "node", "testdata/worker.mjs", run.URL, resource, "17", node+"/dist/index.mjs")),
		goWorker(t, run.URL, resource, 16),
	}
	for _, w := range workers {
		w.expect(t, regexp.MustCompile("^started$"))
	}
	if _, err := run.Control(t.Context(), "POST", connection+"/rotate?update=true", nil); err != nil {
		t.Fatal(err)
	}
	for _, w := range workers {
		_ = w.stop.Close()
	}
	for _, w := range workers {
		w.expect(t, regexp.MustCompile(`^\d{2,} \[\]$`))
	}
	state, err := run.Control(t.Context(), "GET", connection, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(state.Body["token_requests"]); got != "map[outcomes:map[issued:2] total:2]" {
		t.Errorf("token requests %s, want the first and one refresh", got)
	}
}

// worker is callers of one language. It prints started once each has called, goes on
// until stop is closed, and prints the number of calls that succeeded and the outcomes
// of the others.
type worker struct {
	name string
	out  *bufio.Scanner
	stop io.Closer
}

func newWorker(t *testing.T, command *exec.Cmd) *worker {
	t.Helper()
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("%s: %v", command.Args[0], err)
		}
	})
	return &worker{name: command.Args[0], out: bufio.NewScanner(out), stop: in}
}

func (w *worker) expect(t *testing.T, line *regexp.Regexp) {
	t.Helper()
	if !w.out.Scan() || !line.MatchString(w.out.Text()) {
		t.Fatalf("%s prints %q, want %s", w.name, w.out.Text(), line)
	}
	t.Logf("%s: %s", w.name, w.out.Text())
}

// goWorker runs the Go client in this process.
func goWorker(t *testing.T, url, resource string, callers int) *worker {
	t.Helper()
	client, err := tokenvend.New(tokenvend.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	in, stop := io.Pipe()
	out, printed := io.Pipe()
	c := calls{client: &http.Client{Transport: client.Transport(connection, nil), Timeout: 30 * time.Second}, resource: resource}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	go func() {
		all(callers, func() { c.once(t.Context()) })
		fmt.Fprintln(printed, "started")
		all(callers, func() { c.repeat(t.Context(), ended) })
		fmt.Fprintln(printed, c.succeeded, c.failed)
	}()
	return &worker{name: "go", out: bufio.NewScanner(out), stop: stop}
}

func all(callers int, work func()) {
	var group sync.WaitGroup
	for range callers {
		group.Go(work)
	}
	group.Wait()
}

type calls struct {
	client   *http.Client
	resource string

	mu        sync.Mutex
	succeeded int
	failed    []string
}

func (c *calls) once(ctx context.Context) {
	outcome := c.get(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if outcome == "200 OK" {
		c.succeeded++
	} else {
		c.failed = append(c.failed, outcome)
	}
}

func (c *calls) repeat(ctx context.Context, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			for range 5 {
				c.once(ctx)
			}
			return
		default:
			c.once(ctx)
		}
	}
}

func (c *calls) get(ctx context.Context) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.resource, strings.NewReader(""))
	if err != nil {
		return err.Error()
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.Status
}
