package rules

import (
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// ProcessMemory bounds the entries of each map that one process keeps.
const ProcessMemory = 4096

// Throttle allows an action once per key and interval in this process.
type Throttle struct {
	Every time.Duration

	mu   sync.Mutex
	last map[tokenstore.Key]time.Time
}

// Try returns how long to wait; zero allows the action now and counts it.
func (t *Throttle) Try(key tokenstore.Key, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait := t.last[key].Add(t.Every).Sub(now); wait > 0 && wait <= t.Every {
		return wait
	}
	if t.last == nil || len(t.last) >= ProcessMemory {
		t.last = make(map[tokenstore.Key]time.Time)
	}
	t.last[key] = now
	return 0
}
