package vending

import (
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// memorySize bounds what one process remembers; an execution environment that
// serves more connections than this goes to the table for some of them.
const memorySize = 4096

// memory is what this process remembers of the table.
type memory struct {
	mu      sync.RWMutex
	entries map[tokenstore.Key]entry
}

func newMemory() *memory { return &memory{entries: make(map[tokenstore.Key]entry)} }

func (m *memory) get(key tokenstore.Key) (entry, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.entries[key]
	return e, ok
}

func (m *memory) put(key tokenstore.Key, e entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[key]; !known && len(m.entries) >= memorySize {
		m.evict(e.readAt)
	}
	m.entries[key] = e
}

func (m *memory) forget(key tokenstore.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

// evict makes room: what has expired goes, else whichever comes first.
func (m *memory) evict(now time.Time) {
	var victim tokenstore.Key
	for key, e := range m.entries {
		if !e.token.Valid(now) {
			delete(m.entries, key)
		}
		victim = key
	}
	if len(m.entries) >= memorySize {
		delete(m.entries, victim)
	}
}
