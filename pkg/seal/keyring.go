package seal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/flight"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	// searchEvery is how often the keyset is fetched to look for one missing key.
	searchEvery = time.Minute
	// maxSearched bounds how many missing keys are looked for in that time, so
	// that garbage with a new key id in each text cannot overload the source.
	maxSearched = 8
)

// keyring holds the keyset and fetches it, one fetch at a time. A fetch runs on
// its caller's goroutine and context, because a frozen environment runs nothing
// in the background. No lock is held during a fetch, and other callers wait for
// it only as long as their own context lasts.
type keyring struct {
	source  func(context.Context) (redact.Secret, error)
	now     func() time.Time
	fetches flight.Group[struct{}, fetched]

	mu   sync.Mutex
	keys *keyset
	// searched is when a key that the keyset lacks was last looked for.
	searched map[string]time.Time
}

// fetched is the result of one fetch.
type fetched struct {
	keys *keyset
	err  error
	// private: the result is for the caller that ran the fetch alone. No fetch was
	// due for it, or its own context ended; neither says anything about the keyset.
	private bool
}

func newKeyring(source func(context.Context) (redact.Secret, error), now func() time.Time) *keyring {
	return &keyring{source: source, now: now, searched: make(map[string]time.Time)}
}

// current returns the keyset, fetched if there is none yet.
func (r *keyring) current(ctx context.Context) (*keyset, error) {
	if keys := r.held(); keys != nil {
		return keys, nil
	}
	keys, err := r.fetch(ctx, func() bool { return r.held() == nil })
	if held := r.held(); held != nil { // even when a later fetch, for a missing key, failed
		return held, nil
	}
	return keys, err
}

// find returns the key with that id. If the held keyset lacks it, find looks in
// a fresh one.
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
		return redact.Secret{}, fmt.Errorf("%w: it lacks the key %q that sealed the text; add that key again", ErrUnavailable, id)
	}
	return key, nil
}

// search fetches the keyset to look for id, unless that was done within the last
// minute; then it returns the held keyset. A fetch that fails does not count.
func (r *keyring) search(ctx context.Context, id string) (*keyset, error) {
	keys, err := r.fetch(ctx, func() bool { return r.maySearch(id) })
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.searched, id)
	}
	return keys, err
}

// maySearch reports whether a search for id is due, and records it.
func (r *keyring) maySearch(id string) bool {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, at := range r.searched {
		if age := now.Sub(at); age >= searchEvery || age < 0 {
			delete(r.searched, other)
		}
	}
	_, found := r.keys.byID[id]
	_, recent := r.searched[id]
	if found || recent || len(r.searched) >= maxSearched {
		return false
	}
	r.searched[id] = now
	return true
}

func (r *keyring) held() *keyset {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys
}

// fetch shares one fetch among concurrent callers. due is asked by the caller
// that runs it; without a fetch the result is the held keyset.
func (r *keyring) fetch(ctx context.Context, due func() bool) (*keyset, error) {
	for {
		result, led, err := r.fetches.Do(ctx, struct{}{}, func(context.Context) (fetched, error) {
			return r.fetchIfDue(ctx, due), nil
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		case led || !result.private:
			return result.keys, result.err
		}
	}
}

// fetchIfDue keeps the held keyset in use when the fetch fails.
func (r *keyring) fetchIfDue(ctx context.Context, due func() bool) fetched {
	if !due() {
		return fetched{keys: r.held(), private: true}
	}
	keys, err := r.load(ctx)
	if err != nil {
		return fetched{err: err, private: ctx.Err() != nil}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	return fetched{keys: keys}
}

func (r *keyring) load(ctx context.Context) (*keyset, error) {
	text, err := r.source(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: fetch it: %w", ErrUnavailable, err)
	}
	keys, err := parseKeyset(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return keys, nil
}
