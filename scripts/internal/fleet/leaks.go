package fleet

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
)

// leaks looks for secrets and tokens where none may be (INV-5). It keeps no
// text, so that a long run can be watched as well as a short one.
type leaks struct {
	mu       sync.Mutex
	canaries [][]byte
	found    []string
}

func newLeaks() *leaks { return new(leaks) }

// watch adds a canary in every form it could leave in. Short texts are none:
// they would be found everywhere.
func (l *leaks) watch(secret string) {
	if len(secret) < 12 {
		return
	}
	quoted, _ := json.Marshal(secret) // a text
	forms := []string{secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret)}
	for offset := range 3 {
		// What is inside a longer base64 text, at each of the three alignments.
		encoded := base64.StdEncoding.EncodeToString([]byte(secret[offset : len(secret)-(len(secret)-offset)%3]))
		forms = append(forms, encoded)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, form := range forms {
		if !containsAny([]byte(form), l.canaries) {
			l.canaries = append(l.canaries, []byte(form))
		}
	}
}

func containsAny(text []byte, canaries [][]byte) bool {
	for _, c := range canaries {
		if bytes.Contains(text, c) {
			return true
		}
	}
	return false
}

// look searches a text that came out at a place.
func (l *leaks) look(where string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !containsAny(text, l.canaries) {
		return
	}
	if said := fmt.Sprintf("INV-5: %s holds a secret or a token", where); !slices.Contains(l.found, said) {
		l.found = append(l.found, said)
	}
}

func (l *leaks) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.found...)
}

// longest is more than any canary; that much of a stream is kept to find one
// that came in two pieces.
const longest = 4 << 10

// stream is the output of one process on its way.
type stream struct {
	leaks *leaks
	name  string
	out   io.Writer

	mu  sync.Mutex
	end []byte
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = append(s.end, p...)
	s.leaks.look("the output of "+s.name, s.end)
	if extra := len(s.end) - longest; extra > 0 {
		s.end = append([]byte(nil), s.end[extra:]...)
	}
	return s.out.Write(p)
}
