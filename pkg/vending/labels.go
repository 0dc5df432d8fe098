package vending

import (
	"context"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// labels remembers for which secret versions the previous one is the one that
// works, so that a provider that lags behind a rotation is not asked in vain
// each time.
type labels struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const labelMemory = 5 * time.Minute

func (l *labels) remember(conn connection.Connection, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil || len(l.until) >= memorySize {
		l.until = make(map[string]time.Time)
	}
	l.until[labelKey(conn)] = now.Add(labelMemory)
}

// forget is for a previous version that works no longer.
func (l *labels) forget(conn connection.Connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.until, labelKey(conn))
}

func (l *labels) known(conn connection.Connection, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until[labelKey(conn)].After(now)
}

func labelKey(conn connection.Connection) string {
	return string(conn.Name) + "\x00" + conn.SecretVersion
}

// labelled returns the previous version when it is known to be the one that works.
func (c *Core) labelled(ctx context.Context, conn connection.Connection) (connection.Connection, bool) {
	if !c.labels.known(conn, c.now()) {
		return connection.Connection{}, false
	}
	return c.previous(ctx, conn)
}
