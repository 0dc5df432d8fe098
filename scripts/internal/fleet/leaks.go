package fleet

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/tokenvend/tokenvend/scripts/internal/leak"
)

// leaks collects secrets and tokens that were found where none may be (INV-5).
type leaks struct {
	search *leak.Search

	mu    sync.Mutex
	found []string
}

func newLeaks() *leaks { return &leaks{search: leak.NewSearch()} }

// watch adds a canary. A text that is too short for one is not watched: it
// would be found everywhere.
func (l *leaks) watch(secret string) {
	_ = l.search.Add(leak.Canary{Name: "a secret or a token", Text: secret})
}

// look searches a text that left at that place.
func (l *leaks) look(where string, text []byte) {
	for _, f := range l.search.Find(text) {
		l.note(where, f)
	}
}

// stream searches the output of a process on its way.
func (l *leaks) stream(name string, out io.Writer) io.Writer {
	return l.search.Stream(out, func(f leak.Finding) { l.note("the output of "+name, f) })
}

func (l *leaks) note(where string, f leak.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := fmt.Sprintf("INV-5: %s holds %s in %s", where, f.Canary, f.Form); !slices.Contains(l.found, text) {
		l.found = append(l.found, text)
	}
}

func (l *leaks) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.found)
}
