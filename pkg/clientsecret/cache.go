package clientsecret

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/flight"
)

const (
	// defaultMaxAge bounds how long a replaced secret may still be used here.
	defaultMaxAge = 60 * time.Second
	// defaultMaxSecrets bounds the memory: 8 MiB at most.
	defaultMaxSecrets = 128
)

// Loader reads secrets. Both sources and [Cache] implement it. Errors are the
// kinds of this package. It is safe for concurrent use.
type Loader interface {
	// Load reads the version of the named secret that carries the stage. With
	// fresh set, it bypasses every cache.
	Load(ctx context.Context, name string, stage Stage, fresh bool) (Secret, error)
}

// CacheConfig configures a [Cache].
type CacheConfig struct {
	// Source is read when the cache has no answer. Required.
	Source Loader
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// MaxAge bounds an answer's age, counted from the start of its read. Zero is
	// 60 s; a longer one is taken as 60 s.
	MaxAge time.Duration
	// MaxSecrets bounds how many secrets are cached; zero is 128.
	MaxSecrets int
}

// Cache is a [Loader] that caches the current version of secrets for up to a
// minute. Failures are never cached. The previous version is never cached: it is
// read rarely and must be current.
//
// It is safe for concurrent use and starts no goroutine. Concurrent callers share
// one read of a secret that is not cached; a caller that asks for a fresh one
// reads alone.
type Cache struct {
	config CacheConfig
	shared flight.Group[string, Secret]

	mu      sync.Mutex
	begun   uint64 // reads begun so far; orders them
	entries map[string]cached
}

// cached is one answer of the source.
type cached struct {
	secret Secret
	read   read
}

// read identifies one read of the source: its position among all reads, and the
// wall-clock instant at which it began.
type read struct {
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
	return &Cache{config: c, entries: make(map[string]cached)}
}

// Load answers from the cache if it can, and reads the source otherwise. With
// fresh set, it reads the source and replaces the cached answer.
func (c *Cache) Load(ctx context.Context, name string, stage Stage, fresh bool) (Secret, error) {
	if stage != Current {
		return c.config.Source.Load(ctx, name, stage, fresh)
	}
	if fresh {
		return c.load(ctx, name, fresh)
	}
	if secret, ok := c.lookup(name); ok {
		return secret, nil
	}
	return c.loadShared(ctx, name)
}

func (c *Cache) loadShared(ctx context.Context, name string) (Secret, error) {
	secret, _, err := c.shared.Do(ctx, name, func(ctx context.Context) (Secret, error) {
		return c.load(ctx, name, false)
	})
	if errors.Is(err, flight.ErrNoResult) {
		err = fmt.Errorf("secret %s: %w: %w", name, ErrUnavailable, err)
	}
	return secret, err
}

func (c *Cache) load(ctx context.Context, name string, fresh bool) (Secret, error) {
	r := c.begin()
	secret, err := c.config.Source.Load(ctx, name, Current, fresh)
	c.update(name, r, secret, err)
	return secret, err
}

func (c *Cache) lookup(name string) (Secret, bool) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[name]
	return entry.secret, ok && c.isFresh(entry, now)
}

// isFresh also refuses an answer from the future: the clock was set back, and
// the answer's age is unknown.
func (c *Cache) isFresh(entry cached, now time.Time) bool {
	age := now.Sub(entry.read.beganAt)
	return age >= 0 && age < c.config.MaxAge
}

// now drops the monotonic reading, which stops while a sandbox is frozen.
func (c *Cache) now() time.Time { return c.config.Now().Round(0) }

func (c *Cache) begin() read {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
	return read{order: c.begun, beganAt: now}
}

// update stores an answer, unless a read that began later has already finished:
// a slow read that overlaps a fresh one must not restore the replaced secret. An
// error that says that there is no secret, or no text in it, drops the cached one.
func (c *Cache) update(name string, r read, secret Secret, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry, ok := c.entries[name]; ok && entry.read.order > r.order {
		return
	}
	switch {
	case err == nil:
		c.evict(name)
		c.entries[name] = cached{secret: secret, read: r}
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrNoText):
		delete(c.entries, name)
	}
}

// evict drops the oldest answer if adding name would exceed the limit.
func (c *Cache) evict(name string) {
	if _, ok := c.entries[name]; ok || len(c.entries) < c.config.MaxSecrets {
		return
	}
	var oldest string
	var order uint64
	for n, entry := range c.entries {
		if oldest == "" || entry.read.order < order {
			oldest, order = n, entry.read.order
		}
	}
	delete(c.entries, oldest)
}
