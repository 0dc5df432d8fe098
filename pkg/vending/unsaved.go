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
)

// errUnsaved: this process has a refresh token that the table did not take.
var errUnsaved = errors.New("a newer refresh token waits to be stored")

// errUncertain goes with tokenstore.ErrSuperseded when an earlier try of the same
// write may have been carried out, and what it stored been replaced since.
var errUncertain = errors.New("it may have been stored before")

// unsaved is a write that must not be lost: sealed, and complete. One of commit
// and adopt is set.
type unsaved struct {
	commit *tokenstore.Commit
	adopt  *tokenstore.StoreGrant
	// imported: what was made elsewhere is never revoked.
	imported bool
}

// grant is the stored grant that it brings; none where it brings a token alone.
func (u unsaved) grant() tokenstore.SealedGrant {
	if u.commit != nil {
		return u.commit.Grant
	}
	return u.adopt.Grant
}

func (u unsaved) key() tokenstore.Key {
	if u.commit != nil {
		return u.commit.Key
	}
	return u.adopt.Key
}

func (u unsaved) write(ctx context.Context, store Store) (tokenstore.Item, error) {
	if u.commit != nil {
		return store.Commit(ctx, *u.commit)
	}
	return store.StoreGrant(ctx, *u.adopt)
}

// attic keeps what could not be stored until the next invocation (CR-13).
type attic struct {
	mu   sync.Mutex
	kept map[tokenstore.Key]unsaved
}

func (a *attic) keep(u unsaved) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil {
		a.kept = make(map[tokenstore.Key]unsaved)
	}
	a.kept[u.key()] = u
}

func (a *attic) has(key tokenstore.Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.kept[key]
	return ok
}

func (a *attic) forget(key tokenstore.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.kept, key)
}

func (a *attic) all() map[tokenstore.Key]unsaved {
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
func (c *Core) persist(ctx context.Context, u unsaved) (tokenstore.Item, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	var item tokenstore.Item
	var err error
	for try := range persistTries {
		if try > 0 && c.wait(ctx, c.jittered(persistPause<<(try-1))) != nil {
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
	c.unsaved.keep(u)
	audit.From(ctx).Warn(audit.RefreshTokenUnsaved)
	return item, err
}

// SaveUnsaved stores what an earlier invocation could not. Whoever begins an
// invocation that may come to no token calls it first.
func (c *Core) SaveUnsaved(ctx context.Context) { c.saveUnsaved(ctx) }

func (c *Core) saveUnsaved(ctx context.Context) {
	for key, u := range c.unsaved.all() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		stands, err := u.write(bounded, c.store)
		cancel()
		switch {
		case err == nil:
			audit.From(ctx).Warn(audit.RefreshTokenSavedLate)
		case errors.Is(err, tokenstore.ErrSuperseded): // by a newer consent, or a disconnection
			audit.From(ctx).Warn(audit.RefreshSuperseded)
			c.discardUnsaved(ctx, stands, u)
		default:
			continue
		}
		c.unsaved.forget(key)
	}
}

// discardUnsaved revokes, as well as it can be done, a refresh token that came
// too late for its grant.
func (c *Core) discardUnsaved(ctx context.Context, stands tokenstore.Item, u unsaved) {
	g := u.grant()
	if u.imported || g.Fingerprint == "" || sameConsent(stands.Grant, g) {
		return
	}
	conn, err := c.declarations.load(ctx, connection.Name(u.key().Connection), false)
	if err != nil {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
		return
	}
	c.revokeFormer(ctx, conn, tokenstore.Item{Key: u.key(), Grant: g}, tokenstore.SealedGrant{})
}
