package vending

import (
	"context"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// secretFallback remembers for which secret versions the previous one is the one that
// works, so that a provider that lags behind a rotation is not asked in vain
// each time.
type secretFallback struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const fallbackMemory = 5 * time.Minute

func (l *secretFallback) remember(conn connection.Connection, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil || len(l.until) >= rules.ProcessMemory {
		l.until = make(map[string]time.Time)
	}
	l.until[fallbackKey(conn)] = now.Add(fallbackMemory)
}

// forget is for a previous version that works no longer.
func (l *secretFallback) forget(conn connection.Connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.until, fallbackKey(conn))
}

func (l *secretFallback) known(conn connection.Connection, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until[fallbackKey(conn)].After(now)
}

func fallbackKey(conn connection.Connection) string {
	return string(conn.Name) + "\x00" + conn.SecretVersion
}

// previousSecret returns the previous version when it is known to be the one that works.
func (c *Core) previousSecret(ctx context.Context, conn connection.Connection) (connection.Connection, bool) {
	if !c.fallback.known(conn, c.clock.Now()) {
		return connection.Connection{}, false
	}
	return c.previous(ctx, conn)
}
