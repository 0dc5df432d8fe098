package vending_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// TestGrantPropertyDetectsBrokenStores breaks one guarantee that protects refresh tokens at
// a time. Each has to be detected soon, with one policy or another.
func TestGrantPropertyDetectsBrokenStores(t *testing.T) {
	tests := []struct {
		name   string
		broken func(*grantEnv) vending.Store
	}{
		{"CR-04 a lease taken without a condition", func(w *grantEnv) vending.Store { return unconditional{w.truth} }},
		{"CR-04 a valid lease treated as expired", func(w *grantEnv) vending.Store { return expiredTooSoon{w.truth} }},
		{"CR-08 no second read under the lease", func(w *grantEnv) vending.Store { return staleLook{w.truth, w} }},
		{"CR-12 the refresh token is not stored with the access token", func(w *grantEnv) vending.Store { return storesTokenOnly{w.truth} }},
		{"CR-12 a response before the write", func(w *grantEnv) vending.Store { return claimsStored{w.truth} }},
		{"CR-12 a refresh that is not marked", func(w *grantEnv) vending.Store { return unmarked{w.truth} }},
		{"CR-14 a failure that removes the mark", func(w *grantEnv) vending.Store { return clearsMark{w.truth} }},
		{"CR-07 a refresh token fenced by the version", func(w *grantEnv) vending.Store { return fencedByVersion{w.truth} }},
		{"CR-07 a refresh token not fenced at all", func(w *grantEnv) vending.Store { return unfencedGrant{w.truth} }},
		{"CR-28 an invalid_grant that is not remembered", func(w *grantEnv) vending.Store { return forgetsFailures{w.truth} }},
		{"CR-16 a drop that removes the grant", func(w *grantEnv) vending.Store { return dropsAll{w.truth} }},
		{"FI-49 a disconnection that keeps the grant", func(w *grantEnv) vending.Store { return keepsAll{w.truth} }},
		{"FI-31 a new grant not fenced by the version", func(w *grantEnv) vending.Store { return unfencedAdoption{w.truth} }},
		{"CR-14 a provider's client that repeats a request", func(w *grantEnv) vending.Store { w.repeats = true; return w.truth }},
		{"AZ-30 a user who is named differently in each id_token", func(w *grantEnv) vending.Store { w.misnames = true; return w.truth }},
		{"FI-03 an expired lease that is never taken over", func(w *grantEnv) vending.Store { return neverExpiring{w.truth} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := uint64(1); seed < scriptsPerBug; seed++ {
				w := playGrant(t, seed, policy(seed%uint64(policies)), tt.broken)
				if w.found != "" {
					t.Logf("detected by script %d: %s\n%s", seed, w.found, strings.Join(w.trace, "\n"))
					return
				}
			}
			t.Errorf("%d scripts, and nothing is detected", scriptsPerBug)
		})
	}
}

// staleLook answers an acquisition with the item as it was a while ago.
type staleLook struct {
	*memory.Store
	w *grantEnv
}

func (s staleLook) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	old := s.w.past.oldest(a.Key)
	item, err := s.Store.Acquire(ctx, a)
	if err != nil {
		return item, err
	}
	old.Lease = item.Lease
	return old, nil
}

// storesTokenOnly stores only the access token.
type storesTokenOnly struct{ *memory.Store }

func (s storesTokenOnly) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	if c.Version >= 0 {
		c.Consumed = ""
	}
	return s.Store.Commit(ctx, c)
}

// claimsStored reports a write that it has not made.
type claimsStored struct{ *memory.Store }

func (s claimsStored) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	item, err := s.Get(ctx, c.Key, true)
	item.Version, item.Token, item.Grant, item.Lease = item.Version+1, c.Token, c.Grant, tokenstore.Lease{}
	return item, err
}

// unmarked does not mark that a refresh token is about to be sent.
type unmarked struct{ *memory.Store }

func (s unmarked) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	a.UsesRefreshToken = false
	return s.Store.Acquire(ctx, a)
}

// clearsMark treats every failure as a known outcome.
type clearsMark struct{ *memory.Store }

func (s clearsMark) Fail(ctx context.Context, f tokenstore.Fail) error {
	f.OutcomeUnknown = false
	return s.Store.Fail(ctx, f)
}

func (s clearsMark) Release(ctx context.Context, r tokenstore.Release) error {
	r.OutcomeUnknown = false
	return s.Store.Release(ctx, r)
}

// fencedByVersion drops the only valid refresh token with an access token that came
// too late.
type fencedByVersion struct{ *memory.Store }

func (s fencedByVersion) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	item, err := s.Get(ctx, c.Key, true)
	if err == nil && !c.AlreadyApplied(item) && c.Version >= 0 && item.Version != c.Version {
		err = tokenstore.ErrSuperseded
	}
	if err != nil {
		return item, err
	}
	return s.Store.Commit(ctx, c)
}

// unfencedGrant stores a refresh token whichever one it succeeds.
type unfencedGrant struct{ *memory.Store }

func (s unfencedGrant) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	item, err := s.Get(ctx, c.Key, true)
	if err == nil && c.Consumed != "" && !c.AlreadyApplied(item) {
		c.Consumed = item.Grant.Fingerprint
	}
	if err != nil {
		return item, err
	}
	return s.Store.Commit(ctx, c)
}

// dropsAll treats every drop as a disconnection.
type dropsAll struct{ *memory.Store }

func (s dropsAll) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	d.Grant = true
	return s.Store.Drop(ctx, d)
}

// keepsAll treats none as one.
type keepsAll struct{ *memory.Store }

func (s keepsAll) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	d.Grant = false
	return s.Store.Drop(ctx, d)
}

// unfencedAdoption stores the grant of a consent over whatever is there.
type unfencedAdoption struct{ *memory.Store }

func (s unfencedAdoption) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error) {
	item, err := s.Store.StoreGrant(ctx, a)
	if !errors.Is(err, tokenstore.ErrSuperseded) {
		return item, err
	}
	a.Version = item.Version
	return s.Store.StoreGrant(ctx, a)
}
