package localrun_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

// timeout limits waiting for what must happen.
const timeout = 20 * time.Second

// clock is the system clock plus an offset.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// wait lets the time pass at once.
func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.advance(d)
	return ctx.Err()
}

// running is a local run that has started.
type running struct {
	t        *testing.T
	greeting string
	url      string
	sandbox  string
	clock    *clock
	ticks    chan time.Time
	log      *journal
	end      func() error
}

// start starts a run of a folder of connections; empty means the sandbox's own.
func start(t *testing.T, connections string) *running {
	t.Helper()
	return startWith(t, localrun.Settings{Connections: connections})
}

// startWith starts a run on free ports and waits for the renewer's first tick.
func startWith(t *testing.T, s localrun.Settings) *running {
	t.Helper()
	return startAt(t, s, new(clock), nil)
}

// startAt is startWith with a clock that something else has too, and a wait.
func startAt(t *testing.T, s localrun.Settings, clock *clock, wait func(context.Context, time.Duration) error) *running {
	t.Helper()
	s.Addr, s.SandboxAddr = "127.0.0.1:0", "127.0.0.1:0"
	r := &running{t: t, clock: clock, ticks: make(chan time.Time), log: &journal{changed: make(chan struct{})}}
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := localrun.Run(ctx, s,
			localrun.Env{Program: "tokenvend", Out: writer, Log: r.log, Now: r.clock.now, Wait: wait, Ticks: r.ticks})
		_ = writer.CloseWithError(io.EOF)
		ended <- err
		close(ended)
	}()
	r.end = func() error { cancel(); return <-ended }
	t.Cleanup(func() { _ = r.end() })
	lines := bufio.NewScanner(reader)
	for r.url == "" && lines.Scan() {
		r.greeting += lines.Text() + "\n"
		if url, found := strings.CutPrefix(lines.Text(), "listening on "); found {
			r.url = url
		}
	}
	if r.url == "" {
		t.Fatalf("ended before it listened: %v\n%s", <-ended, r.greeting)
	}
	r.sandbox = regexp.MustCompile(`http://[^/]+`).FindString(r.greeting[strings.Index(strings.ToLower(r.greeting), "sandbox"):])
	r.log.await(t, "run", 1)
	return r
}

// tick has the renewer tick once, and returns its summary.
func (r *running) tick() map[string]any {
	r.t.Helper()
	before := len(r.log.all("run"))
	select {
	case r.ticks <- r.clock.now():
	case <-time.After(timeout):
		r.t.Fatal("the renewer does not accept a tick")
	}
	return r.log.await(r.t, "run", before+1)
}

// journal is the log, line by line.
type journal struct {
	mu      sync.Mutex
	lines   []map[string]any
	changed chan struct{}
}

func (j *journal) Write(text []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range bytes.Lines(text) {
		var decoded map[string]any
		if json.Unmarshal(line, &decoded) != nil {
			decoded = map[string]any{"msg": string(line)}
		}
		j.lines = append(j.lines, decoded)
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return len(text), nil
}

// all are the lines of one kind so far.
func (j *journal) all(msg string) []map[string]any {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.of(msg)
}

func (j *journal) of(msg string) (found []map[string]any) {
	for _, line := range j.lines {
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	return found
}

// await waits for the nth line of a kind.
func (j *journal) await(t *testing.T, msg string, n int) map[string]any {
	t.Helper()
	deadline := time.After(timeout)
	for {
		j.mu.Lock()
		found, changed := j.of(msg), j.changed
		j.mu.Unlock()
		if len(found) >= n {
			return found[n-1]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d lines %q, want %d", len(found), msg, n)
		}
	}
}

// answer is a response with decoded JSON.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// text is a member of the body; empty when it is absent or not a string.
func (a answer) text(member string) string {
	text, _ := a.body[member].(string)
	return text
}

// ask sends a signed request.
func (r *running) ask(user, method, path, body string) answer {
	r.t.Helper()
	got, err := r.try(user, method, path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// try is ask for goroutines, which must not end the test.
func (r *running) try(user, method, path, body string) (answer, error) {
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if err := r.sign(request, user, body); err != nil {
		return answer{}, err
	}
	return send(request)
}

func (r *running) sign(request *http.Request, user, body string) error {
	hash := sha256.Sum256([]byte(body))
	credentials := aws.Credentials{AccessKeyID: user, SecretAccessKey: user}
	return v4.NewSigner().SignHTTP(r.t.Context(), credentials, request, hex.EncodeToString(hash[:]), "execute-api", "us-east-1", r.clock.now())
}

func send(request *http.Request) (answer, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	got := answer{status: response.StatusCode, header: response.Header}
	_ = json.Unmarshal(text, &got.body) // a body that is not a JSON object has no members
	return got, nil
}

// vend requests a token, which must succeed.
func (r *running) vend(connection string) answer {
	r.t.Helper()
	got := r.ask("local", "GET", "/connections/"+connection+"/token", "")
	if got.status != 200 || got.text("access_token") == "" || got.text("connection") != connection {
		r.t.Fatalf("token of %s: %d %v", connection, got.status, got.body)
	}
	return got
}

// reject reports a token as rejected.
func (r *running) reject(connection string, dead answer) answer {
	r.t.Helper()
	return r.ask("local", "POST", "/connections/"+connection+"/token", `{"rejected_token_id":"`+dead.text("token_id")+`"}`)
}

// pull calls a control endpoint of the sandbox at base.
func (r *running) pull(base, method, path, body string) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, base+"/control/"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	got, err := send(request)
	if err != nil || got.status != 200 {
		r.t.Fatalf("%s %s: %d %v %v", method, path, got.status, got.body, err)
	}
	return got
}

// requests is how many token requests the run's sandbox had for a connection.
func (r *running) requests(connection string) int {
	r.t.Helper()
	counters, _ := r.pull(r.sandbox, "GET", connection, "").body["token_requests"].(map[string]any)
	total, ok := counters["total"].(float64)
	if !ok {
		r.t.Fatalf("no counters of %s", connection)
	}
	return int(total)
}

// opens reports whether the resource of a sandbox's server accepts a token.
func (r *running) opens(base, server string, token answer) bool {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), "GET", base+"/"+server+"/resource", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", token.text("token_type")+" "+token.text("access_token"))
	got, err := send(request)
	if err != nil || got.status != 200 && got.status != 401 {
		r.t.Fatalf("resource of %s: %d %v", server, got.status, err)
	}
	return got.status == 200
}

// write writes a connection file.
func write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name+".json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// together calls f from n goroutines at once and returns the results.
func together(t *testing.T, n int, f func() (answer, error)) []answer {
	t.Helper()
	answers, failures := make([]answer, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { answers[i], failures[i] = f() })
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

// read returns a connection file of a folder.
func read(t *testing.T, folder, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
