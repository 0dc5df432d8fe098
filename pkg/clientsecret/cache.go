package clientsecret

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// defaultMaxAge bounds how long a replaced secret may still be used here.
	defaultMaxAge = 60 * time.Second
	// defaultMaxSecrets bounds the memory: 8 MiB at the very most.
	defaultMaxSecrets = 128
)

// Loader reads secrets; both sources do, and so does [Cache]. Errors are the
// kinds of this package. It is safe for concurrent use.
type Loader interface {
	// Load reads the version of the named secret that carries the stage. With
	// fresh set it goes past every cache.
	Load(ctx context.Context, name string, stage Stage, fresh bool) (Secret, error)
}

// CacheConfig configures a [Cache].
type CacheConfig struct {
	// Source is what is read when the cache cannot answer. Required.
	Source Loader
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// MaxAge bounds an answer's age, counted from the start of its read; zero
	// is 60 s, and more is taken as 60 s.
	MaxAge time.Duration
	// MaxSecrets bounds how many secrets are kept; zero is 128.
	MaxSecrets int
}

// Cache is a [Loader] that remembers the current version of secrets for up to a
// minute. Failures are never remembered, nor is the previous version, which is
// asked for once after a rotation and must then be right.
//
// It is safe for concurrent use and starts no goroutine. Callers that ask at once
// for what is not at hand share one read; who asks for a fresh one reads alone.
type Cache struct {
	config CacheConfig

	mu     sync.Mutex
	begun  uint64 // reads begun so far; orders them
	kept   map[string]kept
	shared map[string]*sharedRead
}

// sharedRead is a read that several callers wait for.
type sharedRead struct {
	done   chan struct{} // closed when the rest is set
	secret Secret
	err    error
}

// kept is one remembered answer.
type kept struct {
	secret Secret
	read   reading
}

// reading identifies one read of the source: its place among all reads, and
// the wall-clock instant at which it began.
type reading struct {
	order   uint64
	beganAt time.Time
}

// NewCache returns an empty cache in front of a source.
func NewCache(c CacheConfig) *Cache {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxAge <= 0 || c.MaxAge > defaultMaxAge {
		c.MaxAge = defaultMaxAge
	}
	if c.MaxSecrets <= 0 {
		c.MaxSecrets = defaultMaxSecrets
	}
	return &Cache{config: c, kept: make(map[string]kept), shared: make(map[string]*sharedRead)}
}

// Load answers from memory when it may, and else reads the source. fresh goes
// past the memory and replaces what it holds.
func (c *Cache) Load(ctx context.Context, name string, stage Stage, fresh bool) (Secret, error) {
	if stage != Current {
		return c.config.Source.Load(ctx, name, stage, fresh)
	}
	if fresh {
		return c.read(ctx, name, fresh)
	}
	if secret, ok := c.remembered(name); ok {
		return secret, nil
	}
	return c.readShared(ctx, name)
}

// readShared reads the source, or waits for the caller who is reading it. The
// read does not end with the caller who began it, for the others wait.
func (c *Cache) readShared(ctx context.Context, name string) (Secret, error) {
	read, mine := c.join(name)
	if mine {
		defer c.leave(name, read)
		detached, cancel := detach(ctx)
		defer cancel()
		read.err = fmt.Errorf("secret %s: %w: the read ended without an answer", name, ErrUnavailable) // in case it panics
		read.secret, read.err = c.read(detached, name, false)
		return read.secret, read.err
	}
	select {
	case <-read.done:
		return read.secret, read.err
	case <-ctx.Done():
		return Secret{}, fmt.Errorf("secret %s: %w: %w", name, ErrUnavailable, ctx.Err())
	}
}

func (c *Cache) join(name string) (read *sharedRead, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if read, ok := c.shared[name]; ok {
		return read, false
	}
	read = &sharedRead{done: make(chan struct{})}
	c.shared[name] = read
	return read, true
}

func (c *Cache) leave(name string, read *sharedRead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.shared, name)
	close(read.done)
}

// detach keeps the values and the deadline of ctx, and drops its cancellation.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	detached := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(detached, deadline)
	}
	return detached, func() {}
}

func (c *Cache) read(ctx context.Context, name string, fresh bool) (Secret, error) {
	read := c.begin()
	secret, err := c.config.Source.Load(ctx, name, Current, fresh)
	c.settle(name, read, secret, err)
	return secret, err
}

func (c *Cache) remembered(name string) (Secret, bool) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.kept[name]
	return k.secret, ok && c.young(k, now)
}

// young also refuses an answer from the future: the clock was set back, and
// its age is unknown.
func (c *Cache) young(k kept, now time.Time) bool {
	age := now.Sub(k.read.beganAt)
	return age >= 0 && age < c.config.MaxAge
}

// now is without its monotonic reading, which stands still in a frozen sandbox.
func (c *Cache) now() time.Time { return c.config.Now().Round(0) }

func (c *Cache) begin() reading {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
	return reading{order: c.begun, beganAt: now}
}

// settle keeps an answer, unless a read that began later has answered already:
// a slow read that overlaps a fresh one must not bring the replaced secret
// back. An error that is an answer about the secret drops what was kept.
func (c *Cache) settle(name string, read reading, secret Secret, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.kept[name]; ok && k.read.order > read.order {
		return
	}
	switch {
	case err == nil:
		c.makeRoom(name)
		c.kept[name] = kept{secret: secret, read: read}
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnreadable):
		delete(c.kept, name)
	}
}

// makeRoom drops the oldest answer when one more name would be too many.
func (c *Cache) makeRoom(name string) {
	if _, ok := c.kept[name]; ok || len(c.kept) < c.config.MaxSecrets {
		return
	}
	var oldest string
	var order uint64
	for n, k := range c.kept {
		if oldest == "" || k.read.order < order {
			oldest, order = n, k.read.order
		}
	}
	delete(c.kept, oldest)
}
