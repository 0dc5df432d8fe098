package leak

import (
	"io"
	"slices"
	"sync"
)

// Stream searches what is written to it and passes it on. It keeps only as much
// as it needs to find a canary that arrives in several writes, so a long run can
// be watched; it may report one finding more than once. It is safe for
// concurrent use.
type Stream struct {
	search *Search
	out    io.Writer
	found  func(Finding)

	mu  sync.Mutex
	end []byte // of what was written
}

// Stream returns a Stream that writes to out and reports what it finds.
func (s *Search) Stream(out io.Writer, found func(Finding)) *Stream {
	return &Stream{search: s, out: out, found: found}
}

// Write implements io.Writer.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = append(s.end, p...)
	for _, f := range s.search.Find(s.end) {
		s.found(f)
	}
	if extra := len(s.end) - s.search.span(); extra > 0 {
		s.end = slices.Clone(s.end[extra:])
	}
	return s.out.Write(p)
}
