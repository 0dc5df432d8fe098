package vending_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestPropertyLeaseRules(t *testing.T) {
	t.Run("CR-05 CR-34 each acquisition has an owner of its own", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		owners := map[string]bool{}
		f.server.during = func() { owners[f.item("crm").Lease.Owner] = true }
		for range 3 {
			f.vend(core, crm())
			f.clock.advance(time.Hour)
		}
		for owner := range owners {
			if len(owner) != 32 {
				t.Errorf("owner of %d hex digits, want 128 bits", len(owner))
			}
		}
		if len(owners) != 3 {
			t.Errorf("%d owners for three acquisitions", len(owners))
		}
	})
	t.Run("CR-06 a lease covers the budgets of provider and store, and clock skew", func(t *testing.T) {
		f := newFleet(t)
		var left time.Duration
		f.server.during = func() { left = f.item("crm").Lease.Until.Sub(f.clock.Now()) }
		f.vend(f.process(), crm())
		if least := 10*time.Second + 5*time.Second + 2*time.Second; left < least {
			t.Errorf("a lease of %v, want at least %v", left, least)
		}
	})
	t.Run("CR-06 a deadline that has passed leaves no time", func(t *testing.T) {
		f := newFleet(t)
		wantCode(t, second(f.process().Vend(late{t.Context()}, crm())), problem.RefreshInProgress)
		if f.server.calls() != 0 || f.store.count("acquire") != 0 {
			t.Error("a refresh was started")
		}
	})
	t.Run("BI-74 a lease until the year 9999 is taken over", func(t *testing.T) {
		f := newFleet(t)
		far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		if _, err := f.store.Store.Acquire(t.Context(), tokenstore.Acquire{
			Key: tokenstore.Key{Connection: "crm"}, Owner: "other", Now: far, TTL: time.Second}); err != nil {
			t.Fatal(err)
		}
		f.vend(f.process(), crm())
	})
}

// late is the context of an invocation whose deadline has passed, and that is not
// cancelled yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Unix(0, 0), true }

func TestPropertyTimeRules(t *testing.T) {
	t.Run("CR-17 FI-33 an expired item that is deleted two days late is no token", func(t *testing.T) {
		f := newFleet(t)
		f.vend(f.process(), crm())
		f.clock.advance(49 * time.Hour)
		if v := f.vend(f.process(), crm()); v.AccessToken.Reveal() != "token_2" || f.item("crm").Version != 2 {
			t.Errorf("got %s at version %d, want token_2 written over the expired item", v.AccessToken.Reveal(), f.item("crm").Version)
		}
	})
	t.Run("FI-33 an item deleted too early is minted again", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		f.store.Store = memory.New()
		f.clock.advance(11 * time.Second) // the cached record is no longer fresh
		for _, c := range []*vending.Core{core, f.process()} {
			if v := f.vend(c, crm()); v.AccessToken.Reveal() != "token_2" {
				t.Errorf("got %s, want token_2", v.AccessToken.Reveal())
			}
		}
	})
}

func TestPropertyFailureRules(t *testing.T) {
	t.Run("FI-11 a failing provider is asked at the pace of the backoff, before and after the token expires", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		v := f.vend(core, crm())
		f.clock.advance(55 * time.Minute)
		f.server.failing(unavailable)
		f.server.requests = nil
		for f.clock.advance(time.Second); f.clock.Now().Before(v.ExpiresAt); f.clock.advance(time.Second) {
			if got := f.vend(core, crm()); got.ID != v.ID || !got.Stale {
				t.Fatalf("%v before the end: %s, stale %v", v.ExpiresAt.Sub(f.clock.Now()), got.AccessToken.Reveal(), got.Stale)
			}
		}
		if calls := f.server.calls(); calls < 4 || calls > 9 { // 2, 4, 8 … 300 s, ± 25 %
			t.Errorf("%d calls in five minutes, want what doubling pauses make", calls)
		}
		p := wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable)
		if p.RetryAfter <= 0 {
			t.Error("no pause is returned once the token has expired")
		}
	})
	t.Run("FI-24 a refusal is returned to every caller, and the request not repeated", func(t *testing.T) {
		f := newFleet(t)
		f.server.failing(&oauth.Error{Kind: oauth.Rejected, Code: "unauthorized_client", Trace: oauth.Trace{Calls: 1, Status: 400}})
		for range 20 {
			p := wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderRejected)
			if p.Provider == nil || p.Provider.Error != "unauthorized_client" {
				t.Fatalf("returned %+v", p.Provider)
			}
		}
		if f.server.calls() != 1 {
			t.Errorf("%d calls, want 1", f.server.calls())
		}
	})
	t.Run("CR-28 attempts never end", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.server.failing(unavailable)
		for range 100 {
			p := wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable)
			f.clock.advance(p.RetryAfter)
		}
		f.server.failing(nil)
		f.vend(core, crm())
		if failure := f.item("crm").Failure; failure.Count != 0 || f.server.calls() != 101 {
			t.Errorf("%d failures remembered after %d calls, want none and 101", failure.Count, f.server.calls())
		}
	})
	t.Run("CR-28 forgetting the token forgets the failure", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.server.failing(&oauth.Error{Kind: oauth.Unavailable, RetryAfter: time.Hour, Trace: oauth.Trace{Status: 503}})
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable)
		f.server.failing(nil)
		if err := core.Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.vend(core, crm())
	})
}

func TestPropertyTableRules(t *testing.T) {
	t.Run("FI-28 CR-31 occasional failed reads cause neither a call nor an error", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		began, calls := f.clock.Now(), 0
		f.store.before = func(operation string) {
			calls++
			f.store.setDown(calls%3 == 0)
		}
		for range 200 {
			f.clock.advance(11 * time.Second)
			if f.clock.Now().Sub(began) > 50*time.Minute {
				break // then it is due
			}
			f.vend(core, crm())
		}
		if f.server.calls() != 1 || calls < 100 {
			t.Errorf("%d provider calls with %d table calls, want 1", f.server.calls(), calls)
		}
	})
	t.Run("FI-50 a table that refuses all calls is used again when it answers", func(t *testing.T) {
		f := newFleet(t)
		f.store.setDown(true)
		core := f.process()
		f.vend(core, crm())
		f.store.setDown(false)
		f.clock.advance(11 * time.Second)
		f.vend(core, crm())
		if got := f.item("crm").Token.ID; got == "" {
			t.Error("nothing is stored after the table came back")
		}
	})
	t.Run("BI-72 BI-75 an item that cannot be understood is a miss, and replaced", func(t *testing.T) {
		f := newFleet(t)
		damaged := &damagedStore{Store: f.store}
		core := vending.New(vending.Config{Store: damaged, Secrets: f.secrets, Minter: f.server, Revoker: f.server,
			Sealer: f.sealer, Now: f.now, Wait: f.wait})
		v, err := core.Vend(t.Context(), crm())
		if err != nil || v.AccessToken.Reveal() != "token_1" || f.item("crm").Token.ID != v.ID {
			t.Errorf("got %v, stored %q", err, f.item("crm").Token.ID)
		}
	})
}

// damagedStore has an item that cannot be read until it is written again.
type damagedStore struct{ vending.Store }

func (s *damagedStore) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	_, record, err := s.Store.GetWithDeclaration(ctx, key, consistent)
	if err != nil {
		return tokenstore.Item{}, record, err
	}
	item, err := s.Get(ctx, key, consistent)
	return item, record, err
}

func (s *damagedStore) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	item, err := s.Store.Get(ctx, key, consistent)
	if err == nil && item.Version == 0 {
		return tokenstore.Item{Key: key}, tokenstore.ErrCorrupt
	}
	return item, err
}

func TestPropertyKeysetRules(t *testing.T) {
	broken := map[string]func(context.Context) (redact.Secret, error){
		"unavailable": func(context.Context) (redact.Secret, error) { return redact.Secret{}, errors.New("throttled") },
		"without the key": func(context.Context) (redact.Secret, error) {
			return redact.New(`{"primary":"k2","k2":"fedcba9876543210fedcba9876543210"}`), nil
		},
	}
	for what, keyset := range broken {
		t.Run("FI-36 with a keyset "+what+" nothing stored is changed", func(t *testing.T) {
			f := newFleet(t)
			warm := f.process()
			f.vend(warm, crm())
			before := f.item("crm")
			f.sealer = seal.New(seal.Config{Keyset: keyset})
			cold := f.process()
			wantCode(t, second(cold.Vend(t.Context(), crm())), problem.StoreUnavailable)
			after := f.item("crm")
			if f.server.calls() != 1 || after.Version != before.Version || after.Token.ID != before.Token.ID || after.Lease.Owner != "" {
				t.Errorf("%d calls, version %d, lease of %q; want nothing changed", f.server.calls(), after.Version, after.Lease.Owner)
			}
			if v := f.vend(warm, crm()); v.Source != vending.FromMemory {
				t.Errorf("a process with a copy served from %s", v.Source)
			}
		})
	}
	t.Run("FI-36 a cold connection without a keyset asks no provider", func(t *testing.T) {
		f := newFleet(t)
		f.sealer = seal.New(seal.Config{Keyset: broken["unavailable"]})
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.StoreUnavailable)
		if f.server.calls() != 0 || f.item("crm").Lease.Owner != "" {
			t.Errorf("%d calls, lease of %q; want none", f.server.calls(), f.item("crm").Lease.Owner)
		}
	})
	t.Run("FI-34 a valid token needs no secret", func(t *testing.T) {
		for _, kind := range []error{clientsecret.ErrUnavailable, clientsecret.ErrUnreadable} {
			f := newFleet(t)
			core := f.process()
			f.vend(core, crm())
			f.secrets.fail = fmt.Errorf("%w: code", kind)
			f.clock.advance(55 * time.Minute) // due: it would be replaced if that were possible
			if v := f.vend(core, crm()); v.AccessToken.Reveal() != "token_1" || !v.Stale {
				t.Errorf("%v: got %s, stale %v", kind, v.AccessToken.Reveal(), v.Stale)
			}
			if f.server.calls() != 1 {
				t.Errorf("%v: %d calls, want none without a secret", kind, f.server.calls())
			}
		}
	})
}
