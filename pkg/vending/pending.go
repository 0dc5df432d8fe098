package vending

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// errUnsaved: this process has a refresh token that the table did not take.
var errPendingWrite = errors.New("a newer refresh token waits to be stored")

// errUncertain goes with tokenstore.ErrSuperseded when an earlier try of the same
// write may have been carried out, and what it stored been replaced since.
var errUncertain = errors.New("it may have been stored before")

// pendingWrite is a write that must not be lost: sealed, and complete. One of commit
// and adopt is set.
type pendingWrite struct {
	commit *tokenstore.Commit
	adopt  *tokenstore.StoreGrant
	// imported: what was made elsewhere is never revoked.
	imported bool
}

// grant is the stored grant that it brings; none where it brings a token alone.
func (u pendingWrite) grant() tokenstore.SealedGrant {
	if u.commit != nil {
		return u.commit.Grant
	}
	return u.adopt.Grant
}

func (u pendingWrite) key() tokenstore.Key {
	if u.commit != nil {
		return u.commit.Key
	}
	return u.adopt.Key
}

func (u pendingWrite) write(ctx context.Context, store Store) (tokenstore.Item, error) {
	if u.commit != nil {
		return store.Commit(ctx, *u.commit)
	}
	return store.StoreGrant(ctx, *u.adopt)
}

// pendingWrites keeps what could not be stored until the next invocation (CR-13).
type pendingWrites struct {
	mu   sync.Mutex
	kept map[tokenstore.Key]pendingWrite
}

func (a *pendingWrites) add(u pendingWrite) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil {
		a.kept = make(map[tokenstore.Key]pendingWrite)
	}
	a.kept[u.key()] = u
}

func (a *pendingWrites) has(key tokenstore.Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.kept[key]
	return ok
}

func (a *pendingWrites) forget(key tokenstore.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.kept, key)
}

func (a *pendingWrites) all() map[tokenstore.Key]pendingWrite {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.kept)
}

const (
	// persistTries and persistPause: six writes within some three seconds, doubling.
	persistTries = 6
	persistPause = 100 * time.Millisecond
)

// persist writes u, again and again while the table does not answer. What it does
// not take stays in memory, sealed, and is written before anything else next time.
func (c *Core) persist(ctx context.Context, u pendingWrite) (tokenstore.Item, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	var item tokenstore.Item
	var err error
	for try := range persistTries {
		if try > 0 && c.clock.Wait(ctx, c.random.Jitter(persistPause<<(try-1))) != nil {
			break
		}
		item, err = u.write(ctx, c.store)
		switch {
		case err == nil:
			return item, nil
		case errors.Is(err, tokenstore.ErrSuperseded) && try > 0:
			return item, fmt.Errorf("%w: %w", err, errUncertain)
		case errors.Is(err, tokenstore.ErrSuperseded):
			return item, err
		}
	}
	c.pending.add(u)
	audit.From(ctx).Warn(audit.RefreshTokenUnsaved)
	return item, err
}

// FlushPending stores what an earlier invocation could not. Whoever begins an
// invocation that may come to no token calls it first.
func (c *Core) FlushPending(ctx context.Context) { c.flushPending(ctx) }

func (c *Core) flushPending(ctx context.Context) {
	for key, u := range c.pending.all() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), staleReadBudget)
		stands, err := u.write(bounded, c.store)
		cancel()
		switch {
		case err == nil:
			audit.From(ctx).Warn(audit.RefreshTokenSavedLate)
		case errors.Is(err, tokenstore.ErrSuperseded): // by a newer consent, or a disconnection
			audit.From(ctx).Warn(audit.RefreshSuperseded)
			c.revokeSuperseded(ctx, stands, u)
		default:
			continue
		}
		c.pending.forget(key)
	}
}

// revokeSuperseded revokes, as well as it can be done, a refresh token that came
// too late for its grant.
func (c *Core) revokeSuperseded(ctx context.Context, stands tokenstore.Item, u pendingWrite) {
	g := u.grant()
	if u.imported || g.Fingerprint == "" || rules.SameConsent(stands.Grant, g) {
		return
	}
	conn, err := c.declarations.Load(ctx, connection.Name(u.key().Connection), false)
	if err != nil {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
		return
	}
	c.revokeFormer(ctx, conn, tokenstore.Item{Key: u.key(), Grant: g}, tokenstore.SealedGrant{})
}
