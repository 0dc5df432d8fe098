package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// ErrPendingWrite: this process has a refresh token that the table has not
// accepted yet.
var ErrPendingWrite = errors.New("a newer refresh token is not stored yet")

// ErrUncertain accompanies tokenstore.ErrSuperseded when an earlier attempt of the
// same write may have succeeded, and its result been replaced since.
var ErrUncertain = errors.New("it may have been stored before")

// Write is a write that must not be lost, complete and sealed. One of Commit and
// Grant is set.
type Write struct {
	Commit *tokenstore.Commit
	Grant  *tokenstore.StoreGrant
	// Imported grants are never revoked.
	Imported bool
}

// grant is the stored grant that it contains; none where it has only a token.
func (w Write) grant() tokenstore.SealedGrant {
	if w.Commit != nil {
		return w.Commit.Grant
	}
	return w.Grant.Grant
}

func (w Write) key() tokenstore.Key {
	if w.Commit != nil {
		return w.Commit.Key
	}
	return w.Grant.Key
}

func (w Write) to(ctx context.Context, store Store) (tokenstore.Item, error) {
	if w.Commit != nil {
		return store.Commit(ctx, *w.Commit)
	}
	return store.StoreGrant(ctx, *w.Grant)
}

// pendingWrites keeps what could not be stored until the next invocation (CR-13).
type pendingWrites struct {
	mu     sync.Mutex
	writes map[tokenstore.Key]Write
}

func (p *pendingWrites) add(w Write) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writes == nil {
		p.writes = make(map[tokenstore.Key]Write)
	}
	p.writes[w.key()] = w
}

func (p *pendingWrites) has(key tokenstore.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.writes[key]
	return ok
}

func (p *pendingWrites) remove(key tokenstore.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.writes, key)
}

func (p *pendingWrites) all() map[tokenstore.Key]Write {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.writes)
}

const (
	// saveTries and savePause: six writes within some three seconds, doubling.
	saveTries = 6
	savePause = 100 * time.Millisecond
)

// Save writes w and repeats it while the table does not answer. What it does not
// accept is kept in memory, sealed, and is written before anything else next
// time. Save does not end with the caller's context.
func (r *Records) Save(ctx context.Context, w Write) (tokenstore.Item, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rules.SaveBudget)
	defer cancel()
	var item tokenstore.Item
	var err error
	for try := range saveTries {
		if try > 0 && r.clock.Wait(ctx, r.random.Jitter(savePause<<(try-1))) != nil {
			break
		}
		item, err = w.to(ctx, r.store)
		switch {
		case err == nil:
			return item, nil
		case errors.Is(err, tokenstore.ErrSuperseded) && try > 0:
			return item, fmt.Errorf("%w: %w", err, ErrUncertain)
		case errors.Is(err, tokenstore.ErrSuperseded):
			return item, err
		}
	}
	r.pending.add(w)
	audit.From(ctx).Warn(audit.RefreshTokenUnsaved)
	return item, err
}

// Pending reports whether a write of key waits to be stored.
func (r *Records) Pending(key tokenstore.Key) bool { return r.pending.has(key) }

// Superseded is a grant that arrived too late to be stored, and comes from another
// consent than the stored one.
type Superseded struct {
	Key   tokenstore.Key
	Grant tokenstore.SealedGrant
	// Current is the grant that is stored instead; none when there is none.
	Current tokenstore.SealedGrant
	// Disconnected: it is the result of refreshing a grant that was disconnected in
	// the meantime.
	Disconnected bool
}

// FlushPending stores what an earlier invocation could not store, and returns the
// superseded grants, so that the caller can revoke them if that ends no other
// grant.
func (r *Records) FlushPending(ctx context.Context) []Superseded {
	var superseded []Superseded
	for key, w := range r.pending.all() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), staleReadBudget)
		current, err := w.to(bounded, r.store)
		cancel()
		switch {
		case err == nil:
			audit.From(ctx).Warn(audit.RefreshTokenSavedLate)
		case errors.Is(err, tokenstore.ErrSuperseded): // by a newer consent, or a disconnection
			audit.From(ctx).Warn(audit.RefreshSuperseded)
			if g := w.grant(); !w.Imported && g.Fingerprint != "" && !rules.SameConsent(current.Grant, g) {
				superseded = append(superseded, Superseded{Key: key, Grant: g, Current: current.Grant,
					Disconnected: w.Commit != nil && rules.Disconnected(current, w.Commit.Owner)})
			}
		default:
			continue
		}
		r.pending.remove(key)
	}
	return superseded
}
