package record

import (
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// cache is what this process knows of the table. A process that serves more than
// rules.ProcessMemory items reads some of them again.
type cache struct {
	mu      sync.RWMutex
	records map[tokenstore.Key]Record
}

func (c *cache) get(key tokenstore.Key) (Record, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	rec, ok := c.records[key]
	return rec, ok
}

// put remembers an item as it certainly is, also one without a token: what was
// known before is not served any more.
func (c *cache) put(rec Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records == nil {
		c.records = make(map[tokenstore.Key]Record)
	}
	if _, known := c.records[rec.Item.Key]; !known && len(c.records) >= rules.ProcessMemory {
		c.evict(rec.readAt)
	}
	c.records[rec.Item.Key] = rec
}

// putIfNewer remembers the result of an eventually consistent read, unless
// something newer is known.
func (c *cache) putIfNewer(rec Record) {
	known, ok := c.get(rec.Item.Key)
	newer := known.Item.Version > rec.Item.Version || known.newerThan(rec) && known.Token.Valid(rec.readAt)
	if !ok || !newer {
		c.put(rec)
	}
}

// evictionScan bounds the cost of an eviction: a process that serves more items
// than it can cache evicts one with every read of the table.
const evictionScan = 16

// evict removes the first expired record of a few, else the last of them.
func (c *cache) evict(now time.Time) {
	scanned := 0
	for key, rec := range c.records {
		if scanned++; scanned == evictionScan || !rec.Token.Valid(now) {
			delete(c.records, key)
			return
		}
	}
}
