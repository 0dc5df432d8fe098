package localrun_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

// running is a local run under way.
type running struct {
	greeting string
	url      string
	sandbox  string
	end      func() error
}

// start runs on free ports until the greeting is complete.
func start(t *testing.T, s localrun.Settings) running {
	t.Helper()
	s.Addr, s.SandboxAddr = "127.0.0.1:0", "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := localrun.Run(ctx, s, localrun.World{Out: writer, Log: io.Discard})
		_ = writer.CloseWithError(io.EOF)
		ended <- err
	}()
	r := running{end: func() error { cancel(); return <-ended }}
	t.Cleanup(cancel)
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		r.greeting += lines.Text() + "\n"
		if url, found := strings.CutPrefix(lines.Text(), "listening on "); found {
			r.url = url
			break
		}
	}
	if r.url == "" {
		t.Fatalf("ended before it listened: %v\n%s", <-ended, r.greeting)
	}
	r.sandbox = regexp.MustCompile(`http://[^/]+`).FindString(r.greeting[strings.Index(strings.ToLower(r.greeting), "sandbox"):])
	return r
}

// ask sends a signed request.
func (r running) ask(t *testing.T, user, method, path, body string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	hash := sha256.Sum256([]byte(body))
	credentials := aws.Credentials{AccessKeyID: user, SecretAccessKey: user}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, request, hex.EncodeToString(hash[:]), "execute-api", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return send(t, request)
}

func send(t *testing.T, request *http.Request) (int, map[string]any) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	_ = json.Unmarshal(text, &decoded)
	return response.StatusCode, decoded
}

func TestVend(t *testing.T) {
	r := start(t, localrun.Settings{})
	for _, name := range []string{"creative-force", "agile-now", "cliquify"} {
		t.Run(name, func(t *testing.T) {
			status, first := r.ask(t, "local", "GET", "/connections/"+name+"/token", "")
			if status != 200 || first["access_token"] == "" || first["connection"] != name {
				t.Fatalf("%d %v", status, first)
			}
			if _, second := r.ask(t, "local2", "POST", "/connections/"+name+"/token", `{"min_ttl":60}`); second["token_id"] != first["token_id"] {
				t.Errorf("another token for the other caller: %v, then %v", first["token_id"], second["token_id"])
			}
			if !strings.Contains(r.greeting, r.url+"/connections/"+name+"/token\n") {
				t.Errorf("no line to paste for %s in:\n%s", name, r.greeting)
			}
		})
	}
	t.Run("BI-01 unsigned", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/connections/cliquify/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := send(t, request); status != 403 || body["message"] != "Missing Authentication Token" {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("BI-09 unknown", func(t *testing.T) {
		if status, body := r.ask(t, "local", "GET", "/connections/nobody/token", ""); status != 404 || body["error"] != "connection_not_found" {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("status", func(t *testing.T) {
		if status, body := r.ask(t, "local", "GET", "/connections", ""); status != 200 || len(body["connections"].([]any)) != 4 {
			t.Errorf("%d %v", status, body)
		}
	})
	if err := r.end(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestSandboxLever(t *testing.T) {
	r := start(t, localrun.Settings{})
	_, before := r.ask(t, "local", "GET", "/connections/creative-force/token", "")
	response, err := http.Post(r.sandbox+"/control/creative-force/rotate?update=true", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 200 {
		t.Fatalf("rotate: %s", response.Status)
	}
	body := `{"rejected_token_id":"` + before["token_id"].(string) + `"}`
	// A token younger than 30 s cannot be rejected; forgetting it can be asked for at any age.
	if status, _ := r.ask(t, "local", "POST", "/connections/creative-force/token", body); status != 429 && status != 200 {
		t.Errorf("reject: %d", status)
	}
	if status, _ := r.ask(t, "local", "DELETE", "/connections/creative-force/token", ""); status != 204 {
		t.Errorf("forget: %d", status)
	}
	status, after := r.ask(t, "local", "GET", "/connections/creative-force/token", "")
	if status != 200 || after["token_id"] == before["token_id"] {
		t.Errorf("after the rotation: %d %v", status, after)
	}
}

func TestFolders(t *testing.T) {
	t.Run("the sandbox's own is removed", func(t *testing.T) {
		r := start(t, localrun.Settings{})
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
	t.Run("one of somebody's own is left alone", func(t *testing.T) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "crm.json"), []byte(`{"provider":"nobody"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		r := start(t, localrun.Settings{Connections: folder})
		if !regexp.MustCompile(`(?m)^crm .*misconfigured .*crm\.json.*provider`).MatchString(r.greeting) {
			t.Errorf("the problem is not told in:\n%s", r.greeting)
		}
		if strings.Contains(r.greeting, "crm/token") {
			t.Errorf("a line to paste for a connection that cannot work:\n%s", r.greeting)
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
			err := localrun.Run(t.Context(), settings, localrun.World{Out: &out, Log: io.Discard})
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
		"local / local ", "arn:aws:iam::000000000000:user/local2", "us-east-1", "execute-api", "/control/creative-force/rotate"} {
		if !strings.Contains(localrun.Help(), want) {
			t.Errorf("the help lacks %q", want)
		}
	}
}
