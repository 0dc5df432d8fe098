package declared

import (
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// rememberedFor is how long a record is used without reading the table: a
	// principal that was removed from callers is refused that soon.
	rememberedFor = 10 * time.Second
	// lastKnownFor is how long the last known record decides while the table does not
	// answer.
	lastKnownFor = 10 * time.Minute
)

// cache is what this process knows of the records.
type cache struct {
	mu      sync.RWMutex
	entries map[string]entry
}

type entry struct {
	record declaration.Record
	readAt time.Time
}

func (c *cache) get(name string) (entry, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[name]
	return e, ok
}

// put remembers a record, unless the known one was read later.
func (c *cache) put(name string, r declaration.Record, readAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.entries[name]
	if ok && known.readAt.After(readAt) && known.record.StoredVersion >= r.StoredVersion {
		return
	}
	if c.entries == nil || !ok && len(c.entries) >= rules.ProcessMemory {
		c.entries = make(map[string]entry)
	}
	c.entries[name] = entry{record: r, readAt: readAt}
}

// within reports whether an entry is younger than limit. One from the future was read by
// a clock that has been set back, and its age is unknown.
func (e entry) within(limit time.Duration, now time.Time) bool {
	age := now.Sub(e.readAt)
	return age >= 0 && age < limit
}

// Remembered returns the record of a connection if it was read a moment ago.
func (d *Declarations) Remembered(name connection.Name) (declaration.Record, bool) {
	e, ok := d.cache.get(string(name))
	return e.record, ok && e.within(rememberedFor, d.clock.Now())
}

// LastKnown returns the record of a connection as this process read it last, for
// when the table does not answer. A connection that had none is not known.
func (d *Declarations) LastKnown(name connection.Name) (declaration.Record, bool) {
	e, ok := d.cache.get(string(name))
	return e.record, ok && e.record.MintID != "" && e.within(lastKnownFor, d.clock.Now())
}

// Behind reports whether a record that was read eventually consistently is older
// than the one that this process knows.
func (d *Declarations) Behind(name connection.Name, version int64) bool {
	e, ok := d.cache.get(string(name))
	return ok && version < e.record.StoredVersion
}
