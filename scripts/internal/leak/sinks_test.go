package leak_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/leak"
)

// sinks are the outputs where no secret may be, and the secrets that the run has
// handled so far.
type sinks struct {
	mu       sync.Mutex
	texts    map[string]*bytes.Buffer
	canaries map[leak.Canary]bool
}

func newSinks() *sinks {
	return &sinks{texts: map[string]*bytes.Buffer{}, canaries: map[leak.Canary]bool{}}
}

// into is the writer of one sink.
func (s *sinks) into(name string) io.Writer { return sink{s, name} }

type sink struct {
	*sinks
	name string
}

func (s sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts[s.name] == nil {
		s.texts[s.name] = new(bytes.Buffer)
	}
	return s.texts[s.name].Write(p)
}

// guard adds a secret.
func (s *sinks) guard(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != "" {
		s.canaries[leak.Canary{Name: name, Text: text}] = true
	}
}

// guardMembers adds the texts of the named members of a JSON answer at any depth;
// what is not JSON has none.
func (s *sinks) guardMembers(answer []byte, names map[string]string) {
	var tree any
	if json.Unmarshal(answer, &tree) == nil {
		s.guardIn(tree, names)
	}
}

func (s *sinks) guardIn(tree any, names map[string]string) {
	switch value := tree.(type) {
	case []any:
		for _, element := range value {
			s.guardIn(element, names)
		}
	case map[string]any:
		for member, inner := range value {
			if text, isText := inner.(string); isText && names[member] != "" && len(text) > 16 {
				// Only the signature of an id_token is secret.
				if member == "id_token" {
					text = text[strings.LastIndexByte(text, '.')+1:]
				}
				s.guard(names[member], text)
			}
			s.guardIn(inner, names)
		}
	}
}

// guarded counts the secrets of each name.
func (s *sinks) guarded() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for c := range s.canaries {
		counts[c.Name]++
	}
	return counts
}

// search searches every sink for every secret.
func (s *sinks) search(t *testing.T) []string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := leak.NewSearch()
	for c := range s.canaries {
		if err := all.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	var found []string
	for _, name := range slices.Sorted(maps.Keys(s.texts)) {
		for _, f := range all.Find(s.texts[name].Bytes()) {
			found = append(found, fmt.Sprintf("%s: %v", name, f))
		}
	}
	return found
}

// text is what was written to a sink.
func (s *sinks) text(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts[name] == nil {
		return ""
	}
	return s.texts[name].String()
}

// capture makes what this process prints a sink, until the returned function has
// read all of it.
func (s *sinks) capture(t *testing.T) (stop func()) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, logged := os.Stdout, os.Stderr, log.Writer()
	os.Stdout, os.Stderr = writer, writer
	log.SetOutput(writer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(s.into("stdout and stderr"), reader)
	}()
	stop = sync.OnceFunc(func() {
		os.Stdout, os.Stderr = stdout, stderr
		log.SetOutput(logged)
		_ = writer.Close()
		<-done
	})
	t.Cleanup(stop)
	return stop
}
