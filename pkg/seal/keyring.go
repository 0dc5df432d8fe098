package seal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	// searchEvery is how often a key that the keyset lacks is searched for in a
	// fresh one.
	searchEvery = time.Minute
	// maxSearched bounds how many such keys are searched for in that time, so
	// that garbage naming ever new keys cannot make us hammer the source.
	maxSearched = 8
)

// keyring keeps the keyset and fetches it, one fetch at a time. The fetch runs
// on its caller's goroutine and context, because a frozen environment runs
// nothing in the background; no lock is held over it, and others wait for it
// only as long as their own context lasts.
type keyring struct {
	fetch func(context.Context) (redact.Secret, error)
	now   func() time.Time

	mu       sync.Mutex
	keys     *keyset
	fetching *fetching
	// searched is when a key that the keyset lacks was last searched for.
	searched map[string]time.Time
}

// fetching is a fetch under way; keys and err are set before done is closed.
type fetching struct {
	done chan struct{}
	keys *keyset
	err  error
	// ended says that the fetch failed because its caller's context ended,
	// which says nothing about the keyset.
	ended bool
}

func newKeyring(fetch func(context.Context) (redact.Secret, error), now func() time.Time) *keyring {
	return &keyring{fetch: fetch, now: now, searched: make(map[string]time.Time)}
}

// current returns the keyset, fetched if there is none yet.
func (r *keyring) current(ctx context.Context) (*keyset, error) {
	r.mu.Lock()
	if r.keys != nil {
		defer r.mu.Unlock()
		return r.keys, nil
	}
	return r.join(ctx)
}

// find returns the key of that id, from a fresh keyset if the one at hand lacks it.
func (r *keyring) find(ctx context.Context, id string) (redact.Secret, error) {
	keys, err := r.current(ctx)
	if err != nil {
		return redact.Secret{}, err
	}
	key, ok := keys.byID[id]
	if !ok {
		if keys, err = r.search(ctx, id); err != nil {
			return redact.Secret{}, err
		}
		key, ok = keys.byID[id]
	}
	if !ok {
		return redact.Secret{}, fmt.Errorf("%w: it lacks the key %q that sealed the text; put that key back", ErrUnavailable, id)
	}
	return key, nil
}

// search fetches the keyset anew to look for id, unless that was done within
// the minute; then it returns the one at hand. A fetch that fails does not count.
func (r *keyring) search(ctx context.Context, id string) (*keyset, error) {
	r.mu.Lock()
	if _, known := r.keys.byID[id]; known || r.fetching == nil && !r.maySearch(id) {
		defer r.mu.Unlock()
		return r.keys, nil
	}
	keys, err := r.join(ctx)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.searched, id)
	}
	return keys, err
}

// maySearch notes a search for id, if one is due. The caller holds mu.
func (r *keyring) maySearch(id string) bool {
	now := r.now()
	for other, at := range r.searched {
		if age := now.Sub(at); age >= searchEvery || age < 0 {
			delete(r.searched, other)
		}
	}
	if _, recent := r.searched[id]; recent || len(r.searched) >= maxSearched {
		return false
	}
	r.searched[id] = now
	return true
}

// join waits for the fetch under way, or makes one. It is called with mu held
// and returns without.
func (r *keyring) join(ctx context.Context) (*keyset, error) {
	for {
		under := r.fetching
		if under == nil {
			under = &fetching{done: make(chan struct{})}
			r.fetching = under
			r.mu.Unlock()
			return r.lead(ctx, under)
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		case <-under.done:
		}
		if !under.ended {
			return under.keys, under.err
		}
		r.mu.Lock()
	}
}

// lead makes the fetch that the others wait for. A keyset that cannot be had
// leaves the one at hand in use.
func (r *keyring) lead(ctx context.Context, own *fetching) (*keyset, error) {
	own.err = fmt.Errorf("%w: its fetch broke off", ErrUnavailable) // what waiters see of a panic
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if own.err == nil {
			r.keys = own.keys
		}
		own.ended = own.err != nil && ctx.Err() != nil
		r.fetching = nil
		close(own.done)
	}()
	own.keys, own.err = r.load(ctx)
	return own.keys, own.err
}

func (r *keyring) load(ctx context.Context) (*keyset, error) {
	text, err := r.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: fetch it: %w", ErrUnavailable, err)
	}
	keys, err := parseKeyset(text)
	if err != nil {
		return nil, fmt.Errorf("%w: it %w", ErrUnavailable, err)
	}
	return keys, nil
}
