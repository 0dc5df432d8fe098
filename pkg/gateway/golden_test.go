package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

var update = flag.Bool("update", false, "rewrite the golden responses of events/")

const eventFolder = "../../events"

// TestEvents handles every saved event with the real handlers and core, each in a
// fixture of its own, and compares the response with the golden one. The name of an
// event starts with its function.
func TestEvents(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(eventFolder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no events: %v", err)
	}
	known := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		known[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payload, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			function, _, _ := strings.Cut(name, "-")
			w := newFixture(t)
			answer, err := w.function(function).Invoke(t.Context(), w.withCurrentVersion(payload))
			if err != nil {
				t.Fatalf("no response: %v", err)
			}
			w.checkLog(payload)
			if lines := strings.Count(w.log.String(), "\n"); lines != 1 && function != "renew" {
				t.Errorf("AZ-56 %d audit lines, want 1", lines)
			}
			compare(t, filepath.Join(eventFolder, "golden", name+".json"), readable(t, answer))
		})
	}
	t.Run("every golden response belongs to an event", func(t *testing.T) {
		goldens, err := filepath.Glob(filepath.Join(eventFolder, "golden", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, golden := range goldens {
			if !known[strings.TrimSuffix(filepath.Base(golden), ".json")] {
				t.Errorf("%s belongs to no event", golden)
			}
		}
	})
}

// withCurrentVersion returns an event about a secret with the version that the secret
// has here.
func (w *fixture) withCurrentVersion(payload []byte) []byte {
	var event struct {
		Detail struct{ Name, VersionID string } `json:"detail"`
	}
	if json.Unmarshal(payload, &event) != nil || event.Detail.VersionID == "" {
		return payload
	}
	s, err := w.source.Load(w.t.Context(), strings.TrimPrefix(event.Detail.Name, "tokenvend/"), clientsecret.Current, true)
	if err != nil {
		return payload
	}
	return bytes.ReplaceAll(payload, []byte(event.Detail.VersionID), []byte(s.VersionID))
}

func compare(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the event has no golden response; check this one, and keep it with go test ./pkg/gateway -update:\n%s", got)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// readable indents a response, sorts its headers, and shows a JSON body as JSON and
// a page by lines. It omits only the style of the pages.
func readable(t *testing.T, answer []byte) []byte {
	t.Helper()
	var response struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Body       string            `json:"body"`
	}
	in := json.NewDecoder(bytes.NewReader(answer))
	in.DisallowUnknownFields()
	shown := any(json.RawMessage(answer)) // the response of renew
	if in.Decode(&response) == nil {
		shown = struct {
			StatusCode int               `json:"statusCode"`
			Headers    map[string]string `json:"headers"`
			Body       any               `json:"body"`
		}{response.StatusCode, response.Headers, shownBody(response.Body)}
	}
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(shown); err != nil {
		t.Fatalf("answer %s: %v", answer, err)
	}
	return text.Bytes()
}

func shownBody(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	before, rest, styled := strings.Cut(text, "<style>")
	_, after, ended := strings.Cut(rest, "</style>")
	if !styled || !ended {
		return text
	}
	return strings.Split(before+"<style>…</style>"+after, "\n") // package pages tests the style
}
