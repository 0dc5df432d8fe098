package vending

import (
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// throttle lets something happen once per key and interval in this process.
type throttle struct {
	every time.Duration
	mu    sync.Mutex
	last  map[tokenstore.Key]time.Time
}

// try reports how long to wait; zero means now, and counts.
func (p *throttle) try(key tokenstore.Key, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.last[key].Add(p.every).Sub(now); wait > 0 && wait <= p.every {
		return wait
	}
	if p.last == nil || len(p.last) >= memorySize {
		p.last = make(map[tokenstore.Key]time.Time)
	}
	p.last[key] = now
	return 0
}
