package vending

import (
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// memory is what this process remembers of the table.
type memory struct {
	mu      sync.RWMutex
	entries map[tokenstore.Key]record
	// reads are those under way to fill it.
	reads reads
}

func newMemory() *memory { return &memory{entries: make(map[tokenstore.Key]record)} }

func (m *memory) get(key tokenstore.Key) (record, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.entries[key]
	return e, ok
}

// put remembers an item as it certainly stands, a missing token too: what was
// known before is not served any more.
func (m *memory) put(key tokenstore.Key, e record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[key]; !known && len(m.entries) >= rules.ProcessMemory {
		m.evict(e.readAt)
	}
	m.entries[key] = e
}

// putIfNewer remembers what a replica said, unless something newer is known.
func (m *memory) putIfNewer(key tokenstore.Key, e record) {
	known, ok := m.get(key)
	newer := known.item.Version > e.item.Version || known.newerThan(e) && known.token.Valid(e.readAt)
	if !ok || !newer {
		m.put(key, e)
	}
}

// evictLooks bounds what making room costs: a process that serves more
// connections than it can remember makes room with every read of the table.
const evictLooks = 16

// evict makes room: of the first that come along, what has expired goes, else
// the last of them.
func (m *memory) evict(now time.Time) {
	looks := 0
	for key, e := range m.entries {
		if looks++; looks == evictLooks || !e.token.Valid(now) {
			delete(m.entries, key)
			return
		}
	}
}
