package vending_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// These tests prove that a refresh token or a code is sent once, and stored or
// given up at the right moment.

// The holder whose lease expired is about to store the successor of the refresh
// token for which another process gets invalid_grant.
func TestGrantProofInvalidGrantIsConfirmed(t *testing.T) {
	t.Run("CR-15 the refresh token changes between two reads", func(t *testing.T) {
		d, slow := consented(t, rotates)
		d.clock.advance(expired)
		asked, answered, stored := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		answer := sync.OnceFunc(func() { close(answered) })
		defer answer()
		d.idp.after = func(oauth.Request) *oauth.Error {
			d.idp.onResponse(nil)
			close(asked)
			<-answered
			return nil
		}
		go func() {
			_, err := slow.Vend(t.Context(), user())
			stored <- err
		}()
		<-asked
		d.clock.advance(21 * time.Second)
		waits := 0
		quick := d.processWith(proofSetup{wait: func(ctx context.Context, pause time.Duration) error {
			if waits++; waits == 2 {
				answer()
				if err := <-stored; err != nil {
					t.Errorf("the late holder: %v", err)
				}
			}
			return d.clock.Wait(ctx, pause)
		}})
		if v := d.vend(quick, user()); v.AccessToken.Reveal() != "access_2" {
			t.Errorf("served %s, want the late holder's", v.AccessToken.Reveal())
		}
	})
}

// onResponse replaces what happens before an answer arrives.
func (s *consentServer) onResponse(after func(oauth.Request) *oauth.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = after
}

func TestGrantProofRejectionRefreshesInSpiteOfAnUnknownOutcome(t *testing.T) {
	t.Run("CR-14 a rejected token is not waited for", func(t *testing.T) {
		d, core := consented(t, rotatesSoft)
		first := d.vend(core, user())
		d.clock.advance(10 * time.Minute)
		d.diedRefreshing(user())
		r := user()
		r.RejectedTokenID = first.ID
		v, err := d.process().Vend(t.Context(), r)
		if err != nil || v.ID == first.ID || d.idp.calls() != 2 {
			t.Errorf("%v after %d calls, the same token: %v", err, d.idp.calls(), v.ID == first.ID)
		}
	})
}

// A caller that rejects a token learns that the grant has ended, from a server
// whose response with the successor has not arrived yet.
func TestGrantProofInvalidGrantCountsForOneRefreshToken(t *testing.T) {
	t.Run("FI-24 FI-25 invalid_grant for one refresh token does not count for the next", func(t *testing.T) {
		d, slow := consented(t, rotates)
		first := d.vend(slow, user())
		d.clock.advance(52 * time.Minute)
		d.idp.after = func(oauth.Request) *oauth.Error {
			d.idp.onResponse(nil)
			d.clock.advance(21 * time.Second)
			r := user()
			r.RejectedTokenID = first.ID
			if _, err := d.process().Vend(t.Context(), r); !problem.Is(err, problem.AuthorizationRequired) {
				t.Errorf("the rejecter got %v", err)
			}
			d.idp.dead = false // a server that refuses used refresh tokens and keeps the family
			return nil
		}
		d.vend(slow, user())
		d.clock.advance(expired)
		if _, err := d.process().Vend(t.Context(), user()); err != nil {
			t.Errorf("with the valid refresh token: %v", err)
		}
	})
}

func TestGrantProofCodeIsSentOnlyWhenItCanBeStored(t *testing.T) {
	t.Run("FI-36 without the keyset", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.sealer = seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.Secret{}, errors.New("not today")
		}})
		core := d.process()
		_, err := core.Delegated(t.Context(), user())
		wantCode(t, err, problem.StoreUnavailable) // before a user is sent to the provider
		conn, err := connection.Parser{}.Parse("user", d.secrets.versions["user"][0])
		if err != nil {
			t.Fatal(err)
		}
		d.refusesCode(t.Context(), core, conn, problem.StoreUnavailable)
	})
	t.Run("CR-12 with too little time to store the result", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		newDelegation(t, rotates).refusesConsent(ctx, problem.RefreshInProgress)
	})
}

// refusesConsent sends a code and expects that it is refused before it is used.
func (d *delegation) refusesConsent(ctx context.Context, want problem.Code) {
	d.t.Helper()
	core := d.process()
	conn, err := core.Delegated(d.t.Context(), user())
	if err != nil {
		d.t.Fatal(err)
	}
	d.refusesCode(ctx, core, conn, want)
}

func (d *delegation) refusesCode(ctx context.Context, core *vending.Core, conn connection.Connection, want problem.Code) {
	d.t.Helper()
	used := false
	err := core.Authorize(ctx, vending.Authorization{Connection: conn, Code: redact.New("code"), Scope: conn.Scope,
		Consume: func(context.Context) error { used = true; return nil }})
	if !problem.Is(err, want) || used || d.idp.calls() != 0 {
		d.t.Errorf("%v, want %s; session used up: %v, %d calls", err, want, used, d.idp.calls())
	}
}

func TestGrantProofPendingWrite(t *testing.T) {
	// unsaved is a process with a refresh token that the table did not accept.
	unsaved := func(t *testing.T) (*delegation, *vending.Core) {
		d, core := consented(t, rotates)
		d.consent(core, of("ann"))
		d.clock.advance(58 * time.Minute)
		d.vend(core, of("ann"))
		d.clock.advance(3 * time.Minute)
		d.store.refuse("commit", true)
		if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.StoreUnavailable) {
			t.Fatalf("got %v", err)
		}
		return d, core
	}
	t.Run("CR-13 it is flushed before anything else, also by a request for another token", func(t *testing.T) {
		d, core := unsaved(t)
		before := d.grantOf(user()).Grant.Fingerprint
		d.store.refuse("commit", false)
		ctx, entry := audited(t)
		if _, err := core.Vend(ctx, of("ann")); err != nil {
			t.Fatal(err)
		}
		if after := d.grantOf(user()).Grant.Fingerprint; after == before || !warned(entry, "refresh_token_saved_late") {
			t.Errorf("saved %v", after != before)
		}
	})
	t.Run("FI-49 nothing of it remains after a disconnection", func(t *testing.T) {
		d, core := unsaved(t)
		if err := core.Disconnect(t.Context(), user()); !problem.Is(err, problem.StoreUnavailable) || len(d.idp.revoked) != 0 {
			t.Errorf("while the table does not accept it: %v, revoked %q", err, d.idp.revoked)
		}
		d.store.refuse("commit", false)
		if err := core.Disconnect(t.Context(), user()); err != nil {
			t.Fatal(err)
		}
		if len(d.idp.revoked) != 1 || d.idp.revoked[0] != "refresh_4" {
			t.Errorf("revoked %q, want the valid refresh token", d.idp.revoked)
		}
		if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestGrantProofLifetimeCountsFromConsent(t *testing.T) {
	t.Run("CR-27 the documented lifetime counts from the consent", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.declare("user", `{"provider":"creative-force","grant_type":"authorization_code","client_id":"app","client_secret":"hush"}`)
		d.consent(d.process(), user())
		if end, want := d.grantOf(user()).Grant.ExpiresAt, d.clock.Now().Add(30*24*time.Hour); !end.Equal(want) {
			t.Errorf("the refresh token ends at %v, want %v", end, want)
		}
	})
}

// beforeDrop runs something before the first drop.
type beforeDrop struct {
	*flakyStore
	first func()
}

func (s *beforeDrop) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	if first := s.first; first != nil {
		s.first = nil
		first()
	}
	return s.flakyStore.Drop(ctx, d)
}

func TestGrantProofStaysOnTheWheel(t *testing.T) {
	t.Run("CR-27 a consent that comes while the token is being dropped", func(t *testing.T) {
		d, first := consented(t, rotates)
		if err := first.Disconnect(t.Context(), user()); err != nil {
			t.Fatal(err)
		}
		core := d.processWith(proofSetup{store: &beforeDrop{d.store, func() { d.consent(d.process(), user()) }}})
		if err := core.Forget(t.Context(), user(), false); err != nil {
			t.Fatal(err)
		}
		if item := d.grantOf(user()); item.Grant.Fingerprint == "" || item.Token.ID != "" || item.RenewSlot == "" {
			t.Errorf("grant %q, token %q, slot %q", item.Grant.Fingerprint, item.Token.ID, item.RenewSlot)
		}
	})
	t.Run("CR-27 a grant that has ended has no slot", func(t *testing.T) {
		d, core := consented(t, rotates)
		key := tokenstore.Key{Connection: "user"}
		if home, err := core.RegularSlot(t.Context(), key); err != nil || home == "" {
			t.Fatalf("while it is valid: %q, %v", home, err)
		}
		d.clock.advance(expired)
		d.idp.end()
		if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
			t.Fatal(err)
		}
		if home, err := core.RegularSlot(t.Context(), key); err != nil || home != "" {
			t.Errorf("when it has ended: %q, %v", home, err)
		}
	})
}

// emptyReplica is a table whose replicas have no item yet.
type emptyReplica struct{ *flakyStore }

func (s emptyReplica) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	_, record, err := s.flakyStore.GetWithDeclaration(ctx, key, consistent)
	if err != nil {
		return tokenstore.Item{}, record, err
	}
	item, err := s.Get(ctx, key, consistent)
	return item, record, err
}

func (s emptyReplica) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	if !consistent {
		return tokenstore.Item{Key: key}, nil
	}
	return s.flakyStore.Get(ctx, key, true)
}

// A provider whose new token revokes the old one is asked when that has expired,
// and not before.
func TestGrantProofNewTokenRevokesOld(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		revokes bool
		left    time.Duration
		ahead   bool
	}{
		{"a new token does not revoke the old one", false, 20 * time.Minute, true},
		{"a new token revokes the old one, which is valid", true, 20 * time.Minute, false},
		{"a new token revokes the old one, which has expired", true, -time.Second, true},
	} {
		t.Run("CR-27 "+c.name, func(t *testing.T) {
			conn := connection.Connection{GrantType: connection.AuthorizationCode, EarlyRefresh: true, NewTokenRevokesOld: c.revokes}
			token := vending.Token{ID: "1", MintedAt: now.Add(c.left - time.Hour), ExpiresAt: now.Add(c.left)}
			if got := vending.RenewsAhead(conn, token, now); got != c.ahead {
				t.Errorf("renewed %v, want %v", got, c.ahead)
			}
		})
	}
}

func TestGrantProofLaggingReplica(t *testing.T) {
	t.Run("CR-08 the token of a consent that a replica does not have yet is served without a lease", func(t *testing.T) {
		d, core := consented(t, rotates)
		first, leases := d.vend(core, user()), d.store.count("acquire")
		v := d.vend(d.processWith(proofSetup{store: emptyReplica{d.store}}), user())
		if n := d.store.count("acquire") - leases; v.ID != first.ID || n != 0 {
			t.Errorf("%d leases taken, the same token: %v", n, v.ID == first.ID)
		}
	})
}

// noKeyset seals and opens, but its Prefetch fails.
type noKeyset struct{ vending.Sealer }

func (noKeyset) Prefetch(context.Context) error { return seal.ErrUnavailable }

func TestGrantProofMarkStays(t *testing.T) {
	t.Run("CR-14 a lease released unused keeps the mark of a holder that died", func(t *testing.T) {
		d, core := consented(t, rotates)
		first := d.vend(core, user())
		d.clock.advance(52 * time.Minute)
		d.diedRefreshing(user())
		if v := d.vend(d.processWith(proofSetup{sealer: noKeyset{d.sealer}}), user()); v.ID != first.ID {
			t.Fatal("it was refreshed without the keyset")
		}
		if v := d.vend(d.process(), user()); v.ID != first.ID || d.idp.calls() != 1 {
			t.Errorf("%d calls although the old token is valid", d.idp.calls())
		}
	})
}
