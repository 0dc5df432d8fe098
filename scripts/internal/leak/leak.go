// Package leak finds secrets where they must not be: it searches the output of
// a run for canaries, which are secrets and tokens that the run handled, in
// every form that careless code would print them in.
//
// A canary is cut into short windows, and each window is searched for in each
// form, so a piece of a secret is found as well as the whole. A finding names
// the canary and the form, never the text: the report of a leak must not be
// another leak.
//
// It is for tests, and knows nothing of what it searches.
package leak

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// Canary is a text that must appear nowhere. Name says what it is.
type Canary struct{ Name, Text string }

// Finding is a canary, or a piece of one, that was found.
type Finding struct {
	// Canary is the name, Form how it was written.
	Canary, Form string
	// Offset is its position in the text.
	Offset int
}

// String reads like `client secret in base64 at byte 17`.
func (f Finding) String() string {
	return fmt.Sprintf("%s in %s at byte %d", f.Canary, f.Form, f.Offset)
}

const (
	// window is how many characters of a canary are searched for at once: few
	// enough to find a piece, and enough not to match by chance.
	window = 10
	// shortest is the least length of a canary, which is that of a confirmation
	// code: a random one matches by chance once in many thousand runs.
	shortest = prefix
	// prefix is the number of bytes by which needles are found.
	prefix = 8
)

// Search is a set of canaries. It is safe for concurrent use.
type Search struct {
	mu      sync.RWMutex
	known   map[string]bool
	needles map[uint64][]needle
	// longest is the length of the longest needle in bytes.
	longest int
}

// needle is one window of a canary in one form.
type needle struct{ text, canary, form string }

// NewSearch returns a Search without canaries.
func NewSearch() *Search {
	return &Search{known: map[string]bool{}, needles: map[uint64][]needle{}}
}

// Add adds a canary; one that is known already changes nothing. It fails when
// the text is so short that it would match by chance.
func (s *Search) Add(c Canary) error {
	if len(c.Text) < shortest {
		return fmt.Errorf("canary %q has %d bytes; fewer than %d match by chance", c.Name, len(c.Text), shortest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[c.Text] {
		return nil
	}
	s.known[c.Text] = true
	for _, piece := range windows(c.Text) {
		for _, f := range forms {
			for _, written := range f.write(piece) {
				s.insert(needle{text: written, canary: c.Name, form: f.name})
			}
		}
	}
	return nil
}

// insert keeps the first of equal needles: most forms leave plain letters
// unchanged.
func (s *Search) insert(n needle) {
	key := binary.LittleEndian.Uint64([]byte(n.text))
	for _, other := range s.needles[key] {
		if other.text == n.text {
			return
		}
	}
	s.needles[key] = append(s.needles[key], n)
	s.longest = max(s.longest, len(n.text))
}

// Find returns what it finds in text, in order of appearance; each canary and
// form is reported once.
func (s *Search) Find(text []byte) []Finding {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []Finding
	seen := map[[2]string]bool{}
	for at := 0; at+prefix <= len(text); at++ {
		for _, n := range s.needles[binary.LittleEndian.Uint64(text[at:])] {
			what := [2]string{n.canary, n.form}
			if seen[what] || len(text)-at < len(n.text) || string(text[at:at+len(n.text)]) != n.text {
				continue
			}
			seen[what] = true
			found = append(found, Finding{Canary: n.canary, Form: n.form, Offset: at})
		}
	}
	return found
}

// span is the length of the longest needle in bytes.
func (s *Search) span() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.longest
}
