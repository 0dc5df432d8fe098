package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/cast"
)

// Replica remembers how items stood before their latest write. All environments
// of one table share it.
type Replica struct {
	clock cast.Clock
	mu    sync.Mutex
	items map[tokenstore.Key]former
}

type former struct {
	item      tokenstore.Item
	writtenAt time.Time
}

// NewReplica returns a replica of an empty table.
func NewReplica(clock cast.Clock) *Replica {
	return &Replica{clock: clock, items: map[tokenstore.Key]former{}}
}

func (r *Replica) written(before tokenstore.Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items[before.Key] = former{item: before, writtenAt: r.clock.Now()}
}

func (r *Replica) read(key tokenstore.Key) (tokenstore.Item, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.items[key]
	return f.item, ok && r.clock.Now().Sub(f.writtenAt) < lag
}

// Store is the table as one environment reaches it.
type Store struct {
	Life    *Life
	Table   cast.Store
	Replica *Replica
}

var _ cast.Store = (*Store)(nil)

// call plays one request about a connection.
func (s *Store) call(ctx context.Context, connection, verb string, do func()) error {
	if s.Life.request(ctx, "table "+verb, do) {
		return nil
	}
	s.Life.plan.Charge(connection)
	return fmt.Errorf("%s: %w", verb, tokenstore.ErrUnavailable)
}

// change plays one write of an item.
func (s *Store) change(ctx context.Context, key tokenstore.Key, verb string, do func()) error {
	return s.call(ctx, key.Connection, verb, func() {
		before, err := s.Table.Get(ctx, key, true)
		do()
		if err == nil {
			s.Replica.written(before)
		}
	})
}

// Get reads, now and then from a replica that is behind.
func (s *Store) Get(ctx context.Context, key tokenstore.Key, consistent bool) (item tokenstore.Item, err error) {
	failed := s.call(ctx, key.Connection, "get", func() { item, err = s.Table.Get(ctx, key, consistent) })
	if failed != nil {
		return tokenstore.Item{Key: key}, failed
	}
	if old, ok := s.Replica.read(key); ok && !consistent && s.Life.plan.Strikes(s.Life.plan.Stale) {
		s.Life.plan.Count("table read stale")
		return old, nil
	}
	return item, err
}

// Acquire takes a lease.
func (s *Store) Acquire(ctx context.Context, a tokenstore.Acquire) (item tokenstore.Item, err error) {
	failed := s.change(ctx, a.Key, "acquire", func() { item, err = s.Table.Acquire(ctx, a) })
	if failed != nil {
		return tokenstore.Item{Key: a.Key}, failed
	}
	if err == nil {
		s.Life.hold(a.Key.Connection, 1)
	}
	return item, err
}

// Commit stores a token.
func (s *Store) Commit(ctx context.Context, c tokenstore.Commit) (item tokenstore.Item, err error) {
	failed := s.change(ctx, c.Key, "commit", func() { item, err = s.Table.Commit(ctx, c) })
	if failed != nil {
		return tokenstore.Item{Key: c.Key}, failed
	}
	s.Life.hold(c.Key.Connection, -1)
	return item, err
}

// StoreGrant stores the grant of a consent.
func (s *Store) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (item tokenstore.Item, err error) {
	failed := s.change(ctx, a.Key, "adopt", func() { item, err = s.Table.StoreGrant(ctx, a) })
	if failed != nil {
		return tokenstore.Item{Key: a.Key}, failed
	}
	s.Life.hold(a.Key.Connection, -1)
	return item, err
}

// Subjects lists a connection's named subjects.
func (s *Store) Subjects(ctx context.Context, connection string, limit int, after string) (items []tokenstore.Item, next string, err error) {
	failed := s.call(ctx, connection, "list subjects", func() { items, next, err = s.Table.Subjects(ctx, connection, limit, after) })
	if failed != nil {
		return nil, "", failed
	}
	return items, next, err
}

// Fail remembers a failure.
func (s *Store) Fail(ctx context.Context, f tokenstore.Fail) (err error) {
	failed := s.change(ctx, f.Key, "fail", func() { err = s.Table.Fail(ctx, f) })
	s.Life.hold(f.Key.Connection, -1)
	return either(failed, err)
}

// Release ends a lease.
func (s *Store) Release(ctx context.Context, r tokenstore.Release) (err error) {
	failed := s.change(ctx, r.Key, "release", func() { err = s.Table.Release(ctx, r) })
	s.Life.hold(r.Key.Connection, -1)
	return either(failed, err)
}

// Reject marks a token as reported dead.
func (s *Store) Reject(ctx context.Context, r tokenstore.Reject) (item tokenstore.Item, err error) {
	failed := s.change(ctx, r.Key, "reject", func() { item, err = s.Table.Reject(ctx, r) })
	return item, either(failed, err)
}

// Drop forgets a token.
func (s *Store) Drop(ctx context.Context, d tokenstore.Drop) (item tokenstore.Item, err error) {
	failed := s.change(ctx, d.Key, "drop", func() { item, err = s.Table.Drop(ctx, d) })
	return item, either(failed, err)
}

// MarkUsed notes that a token was served.
func (s *Store) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) (err error) {
	failed := s.change(ctx, key, "mark used", func() { err = s.Table.MarkUsed(ctx, key, version) })
	return either(failed, err)
}

// AddVariant notes a scope variant.
func (s *Store) AddVariant(ctx context.Context, key tokenstore.Key, variant string) (err error) {
	failed := s.change(ctx, key, "add variant", func() { err = s.Table.AddVariant(ctx, key, variant) })
	return either(failed, err)
}

// SetForcedRefreshes replaces the instants of forced refreshes.
func (s *Store) SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []time.Time) (err error) {
	failed := s.change(ctx, key, "set forced", func() { err = s.Table.SetForcedRefreshes(ctx, key, was, forced) })
	return either(failed, err)
}

// RemoveVariant takes the note of a scope variant back.
func (s *Store) RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) (err error) {
	failed := s.change(ctx, key, "remove variant", func() { err = s.Table.RemoveVariant(ctx, key, variant) })
	return either(failed, err)
}

// Due finds what is due.
func (s *Store) Due(ctx context.Context, slot, next string) (keys []tokenstore.Key, more string, err error) {
	failed := s.call(ctx, "", "query", func() { keys, more, err = s.Table.Due(ctx, slot, next) })
	if failed != nil {
		return nil, "", failed
	}
	return keys, more, err
}

// Reslot moves an item to another slot.
func (s *Store) Reslot(ctx context.Context, key tokenstore.Key, from, to string) (err error) {
	failed := s.change(ctx, key, "reslot", func() { err = s.Table.Reslot(ctx, key, from, to) })
	return either(failed, err)
}

// ReadDocument reads a note.
func (s *Store) ReadDocument(ctx context.Context, name string) (note tokenstore.Document, err error) {
	failed := s.call(ctx, "", "read note", func() { note, err = s.Table.ReadDocument(ctx, name) })
	return note, either(failed, err)
}

// WriteDocument writes a note.
func (s *Store) WriteDocument(ctx context.Context, n tokenstore.Document) (note tokenstore.Document, err error) {
	failed := s.call(ctx, "", "write note", func() { note, err = s.Table.WriteDocument(ctx, n) })
	return note, either(failed, err)
}

func either(failed, err error) error {
	if failed != nil {
		return failed
	}
	return err
}

// Secrets is the source of secrets as one environment reaches it.
type Secrets struct {
	Life   *Life
	Source cast.Secrets
}

// Load reads a secret.
func (s *Secrets) Load(ctx context.Context, name string, stage clientsecret.Stage, fresh bool) (secret clientsecret.Secret, err error) {
	if !s.Life.request(ctx, "secret", func() { secret, err = s.Source.Load(ctx, name, stage, fresh) }) {
		return clientsecret.Secret{}, clientsecret.ErrUnavailable
	}
	return secret, err
}

// Versions lists versions.
func (s *Secrets) Versions(ctx context.Context, limit int, next string) (versions []clientsecret.Version, more string, err error) {
	if !s.Life.request(ctx, "list of secrets", func() { versions, more, err = s.Source.Versions(ctx, limit, next) }) {
		return nil, "", clientsecret.ErrUnavailable
	}
	return versions, more, err
}

// Minter is the provider as one environment reaches it: whoever dies while it
// is being asked has spent a call.
type Minter struct {
	Life     *Life
	Provider vending.Minter
	// Connection is which one a request is for.
	Connection func(oauth.Request) string
}

// Token asks for a token.
func (m *Minter) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	name := m.Connection(r)
	m.Life.perhaps("before a request")
	m.Life.hold(name, 1)
	defer m.Life.hold(name, -1)
	token, err := m.Provider.Token(ctx, r)
	if err != nil {
		m.Life.plan.Charge(name)
	}
	m.Life.perhaps("before an answer")
	return token, err
}
