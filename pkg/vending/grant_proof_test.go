package vending_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Each rule here is one that the service could break without any story about
// something else going differently.

// proofSetup is what a process of a delegation differs in from the others; what
// is left out is as everywhere.
type proofSetup struct {
	store  vending.Store
	minter vending.Minter
	sealer vending.Sealer
	wait   func(context.Context, time.Duration) error
}

// processWith is a new process with something of its own.
func (d *delegation) processWith(s proofSetup) *vending.Core {
	c := vending.Config{Store: d.store, Secrets: d.secrets, Minter: d.idp, Revoker: d.idp, Sealer: d.sealer, Now: d.now, Wait: d.wait}
	if s.store != nil {
		c.Store = s.store
	}
	if s.minter != nil {
		c.Minter = s.minter
	}
	if s.sealer != nil {
		c.Sealer = s.sealer
	}
	if s.wait != nil {
		c.Wait = s.wait
	}
	return vending.New(c)
}

// put replaces what the table holds of r, as somebody could who may write to it.
func (d *delegation) put(r vending.Request, g tokenstore.Grant) {
	d.t.Helper()
	item := d.grantOf(r)
	_, err := d.store.Store.Adopt(d.t.Context(), tokenstore.Adopt{Key: item.Key, Owner: "somebody", Version: item.Version, Grant: g, Now: d.clock.Now()})
	if err != nil {
		d.t.Fatal(err)
	}
}

// diedSpending leaves the mark of a holder that died with r's refresh token in
// its hands, and of its lease nothing.
func (d *delegation) diedSpending(r vending.Request) {
	d.t.Helper()
	key := tokenstore.Key{Connection: string(r.Connection), Subject: string(r.Subject)}
	_, err := d.store.Store.Acquire(d.t.Context(), tokenstore.Acquire{Key: key, Owner: "dead", Now: d.clock.Now(), TTL: 20 * time.Second, Spend: true})
	if err != nil {
		d.t.Fatal(err)
	}
	d.clock.advance(21 * time.Second)
}

// declaredBy is the delegated connection of another client than the fixture's.
func declaredBy(clientID, secret string) string {
	return strings.Replace(fmt.Sprintf(userConnection, secret), `"app"`, `"`+clientID+`"`, 1)
}

// refusesClients answers invalid_client, after which the secret is doubted.
func refusesClients(oauth.Request) *oauth.Error {
	return &oauth.Error{Kind: oauth.Rejected, Reason: "error", Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
}

func TestGrantProofShownToItsClientOnly(t *testing.T) {
	other, app, renewed := declaredBy("other", "hush"), declaredBy("app", "hush"), declaredBy("app", "renewed")
	for _, c := range []struct {
		name string
		// versions of the secret, before the consent and after it; the process
		// that refreshes has the one that was consented to in its cache.
		before, after []string
		// remade: what comes after it is a namesake of the secret, made anew.
		remade  bool
		clients string
	}{
		{"the former secret, of the same client, is tried", []string{declaredBy("app", "former"), app}, nil, false, "app app"},
		{"the former secret is another client's", []string{other, app}, nil, false, "app"},
		{"the current secret, of the same client, is tried", []string{app}, []string{renewed}, false, "app app"},
		{"the current secret is another client's", []string{app}, []string{other}, false, "app"},
		{"the current secret was deleted and made again", []string{app}, []string{renewed}, true, "app"},
	} {
		t.Run("OC-03 AZ-30 a refresh token: "+c.name, func(t *testing.T) {
			d := newDelegation(t, keeps)
			for _, text := range c.before {
				d.declare("user", text)
			}
			d.consent(d.process(), user())
			d.secrets.stale = map[string]clientsecret.Secret{"user": d.secrets.versions["user"][len(d.secrets.versions["user"])-1]}
			d.declareAfter(c.after, c.remade)
			d.clock.advance(expired)
			d.idp.after = refusesClients
			if _, err := d.process().Vend(t.Context(), user()); !problem.Is(err, problem.ProviderRejected) {
				t.Errorf("got %v", err)
			}
			if got := d.clientsAsked("refresh_token"); got != c.clients {
				t.Errorf("it was shown to %q, want %q", got, c.clients)
			}
		})
		t.Run("OC-03 AZ-30 a code: "+c.name, func(t *testing.T) {
			d := newDelegation(t, keeps)
			for _, text := range c.before {
				d.declare("user", text)
			}
			d.idp.after = refusesClients
			err := d.tryConsent(d.process(), user(), func(context.Context) error {
				d.declareAfter(c.after, c.remade)
				return nil
			})
			if !problem.Is(err, problem.ProviderRejected) {
				t.Errorf("got %v", err)
			}
			if got := d.clientsAsked("authorization_code"); got != c.clients {
				t.Errorf("it was shown to %q, want %q", got, c.clients)
			}
		})
	}
}

// declareAfter declares the connection anew, in the same secret or a namesake.
func (d *delegation) declareAfter(texts []string, remade bool) {
	for _, text := range texts {
		d.declare("user", text)
		if versions := d.secrets.versions["user"]; remade {
			versions[len(versions)-1].ARN += "-made-again"
		}
	}
}

// clientsAsked are the client ids of all requests of a grant type, in order.
func (d *delegation) clientsAsked(grantType string) string {
	var ids []string
	for _, r := range d.idp.requests {
		if r.GrantType == grantType {
			ids = append(ids, r.Authentication.ClientID)
		}
	}
	return strings.Join(ids, " ")
}

// A grant is of no use to another client, nor to a namesake of its connection.
func TestGrantProofGivenToThisClient(t *testing.T) {
	const declaration = `{"provider":"%s","grant_type":"authorization_code","client_id":"%s","client_secret":"hush","client_auth":"client_secret_post",
		"token_url":"%s","issuer":"%s","authorization_url":"https://idp.example.com/authorize","scope":"files"}`
	const provider, id, url, issuer = "oauth2", "app", "https://idp.example.com/token", "https://idp.example.com"
	for _, c := range []struct {
		name, text string
		remade     bool
		want       problem.Code
	}{
		{"nothing", fmt.Sprintf(declaration, provider, id, url, issuer), false, ""},
		{"another provider", fmt.Sprintf(declaration, "creative-force", id, url, issuer), false, problem.AuthorizationRequired},
		{"another client id", fmt.Sprintf(declaration, provider, "other", url, issuer), false, problem.AuthorizationRequired},
		{"another token URL", fmt.Sprintf(declaration, provider, id, url+"2", issuer), false, problem.AuthorizationRequired},
		{"another issuer", fmt.Sprintf(declaration, provider, id, url, issuer+"/tenant"), false, problem.AuthorizationRequired},
		{"a secret deleted and made again", fmt.Sprintf(declaration, provider, id, url, issuer), true, problem.AuthorizationRequired},
	} {
		t.Run("AZ-30 INV-1 "+c.name, func(t *testing.T) {
			d := newDelegation(t, keeps)
			d.declare("user", fmt.Sprintf(declaration, provider, id, url, issuer))
			d.consent(d.process(), user())
			d.declareAfter([]string{c.text}, c.remade)
			d.clock.advance(expired)
			_, err := d.process().Vend(t.Context(), user())
			if err != nil != (c.want != "") || err != nil && !problem.Is(err, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if refreshed := d.idp.calls() > 1; refreshed != (c.want == "") {
				t.Errorf("%d calls", d.idp.calls())
			}
		})
	}
}

// Whoever can write to the table cannot have one subject's refresh token spent
// for another, nor one that has been replaced.
func TestGrantProofSealedToItsPlace(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong func(d *delegation) tokenstore.Grant
	}{
		{"another subject's grant", func(d *delegation) tokenstore.Grant {
			return d.grantOf(of("bob")).Grant
		}},
		{"the grant of the connection's default subject", func(d *delegation) tokenstore.Grant {
			return d.grantOf(user()).Grant
		}},
		{"a refresh token that was replaced", func(d *delegation) tokenstore.Grant {
			former := d.grantOf(of("ann")).Grant
			d.clock.advance(expired)
			d.vend(d.process(), of("ann"))
			now := d.grantOf(of("ann")).Grant
			now.Sealed = former.Sealed
			return now
		}},
	} {
		t.Run("INV-1 BI-72 "+c.name, func(t *testing.T) {
			d := newDelegation(t, rotates)
			for _, r := range []vending.Request{user(), of("ann"), of("bob")} {
				d.consent(d.process(), r)
			}
			d.put(of("ann"), c.wrong(d))
			calls, before := d.idp.calls(), d.grantOf(of("ann"))
			d.clock.advance(expired)
			if _, err := d.process().Vend(t.Context(), of("ann")); !problem.Is(err, problem.InternalError) {
				t.Errorf("got %v", err)
			}
			if after := d.grantOf(of("ann")); d.idp.calls() != calls || string(after.Grant.Sealed) != string(before.Grant.Sealed) {
				t.Errorf("%d calls; what cannot be read is left as it is", d.idp.calls()-calls)
			}
		})
	}
}

// rescoping answers refreshes with a scope of its own.
type rescoping struct {
	*consentServer
	scope string
}

func (s rescoping) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	t, err := s.consentServer.Token(ctx, r)
	if r.GrantType == "refresh_token" {
		t.Scope = s.scope
	}
	return t, err
}

func TestGrantProofScopeConsentedTo(t *testing.T) {
	const consentedTo = "cfgateway offline_access"
	for _, answered := range []string{"cfgateway", consentedTo + " admin", "other"} {
		t.Run("OC-03 a refresh is answered with scope "+answered, func(t *testing.T) {
			d := newDelegation(t, rotates)
			d.declare("user", `{"provider":"creative-force","grant_type":"authorization_code","client_id":"app","client_secret":"hush"}`)
			core := d.processWith(proofSetup{minter: rescoping{d.idp, answered}})
			d.consent(core, user())
			for range 3 {
				d.clock.advance(expired)
				d.vend(core, user())
			}
			for i, r := range d.idp.requests {
				if r.Scope != consentedTo {
					t.Errorf("request %d asked for %q, want %q", i, r.Scope, consentedTo)
				}
			}
		})
	}
}

// The holder whose lease ran out is about to store the refresh token that
// replaced the one which somebody else is told is dead.
func TestGrantProofLateHolderIsLookedFor(t *testing.T) {
	t.Run("CR-15 the refresh token changes between two looks", func(t *testing.T) {
		d, slow := consented(t, rotates)
		d.clock.advance(expired)
		asked, answered, stored := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		answer := sync.OnceFunc(func() { close(answered) })
		defer answer()
		d.idp.after = func(oauth.Request) *oauth.Error {
			d.idp.hear(nil)
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

// hear replaces what happens before an answer arrives.
func (s *consentServer) hear(after func(oauth.Request) *oauth.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = after
}

func TestGrantProofRejectionSpendsWhatIsUncertain(t *testing.T) {
	t.Run("CR-14 a token reported dead is nothing to wait for", func(t *testing.T) {
		d, core := consented(t, rotatesSoft)
		first := d.vend(core, user())
		d.clock.advance(10 * time.Minute)
		d.diedSpending(user())
		r := user()
		r.RejectedTokenID = first.ID
		v, err := d.process().Vend(t.Context(), r)
		if err != nil || v.ID == first.ID || d.idp.calls() != 2 {
			t.Errorf("%v after %d calls, the same token: %v", err, d.idp.calls(), v.ID == first.ID)
		}
	})
}

// A rejecter is told that the grant has ended, by the word of a server whose
// answer with the successor has not arrived yet.
func TestGrantProofEndIsOfOneRefreshToken(t *testing.T) {
	t.Run("FI-24 FI-25 the end of a refresh token says nothing of the next", func(t *testing.T) {
		d, slow := consented(t, rotates)
		first := d.vend(slow, user())
		d.clock.advance(52 * time.Minute)
		d.idp.after = func(oauth.Request) *oauth.Error {
			d.idp.hear(nil)
			d.clock.advance(21 * time.Second)
			r := user()
			r.RejectedTokenID = first.ID
			if _, err := d.process().Vend(t.Context(), r); !problem.Is(err, problem.AuthorizationRequired) {
				t.Errorf("the rejecter got %v", err)
			}
			d.idp.dead = false // a server that refuses what is spent, and no more than that
			return nil
		}
		d.vend(slow, user())
		d.clock.advance(expired)
		if _, err := d.process().Vend(t.Context(), user()); err != nil {
			t.Errorf("with the refresh token that lives: %v", err)
		}
	})
}

func TestGrantProofCodeIsNotSpentInVain(t *testing.T) {
	t.Run("FI-36 without the keyset", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.sealer = seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.Secret{}, errors.New("not today")
		}})
		d.refusesConsent(t.Context(), problem.StoreUnavailable)
	})
	t.Run("CR-12 with too little time to store what it brings", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		newDelegation(t, rotates).refusesConsent(ctx, problem.RefreshInProgress)
	})
}

// refusesConsent brings a code, and expects that it is refused before it is used.
func (d *delegation) refusesConsent(ctx context.Context, want problem.Code) {
	d.t.Helper()
	core, used := d.process(), false
	conn, err := core.Delegated(d.t.Context(), user())
	if err != nil {
		d.t.Fatal(err)
	}
	err = core.Adopt(ctx, vending.Adoption{Connection: conn, Code: redact.New("code"), Scope: conn.Scope,
		Consume: func(context.Context) error { used = true; return nil }})
	if !problem.Is(err, want) || used || d.idp.calls() != 0 {
		d.t.Errorf("%v, want %s; session used up: %v, %d calls", err, want, used, d.idp.calls())
	}
}

func TestGrantProofUnsaved(t *testing.T) {
	// unsaved is a process with a refresh token that the table did not take.
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
	t.Run("CR-13 it is saved before anything else, also by who asks for another token", func(t *testing.T) {
		d, core := unsaved(t)
		before := d.grantOf(user()).Grant.Fingerprint
		d.store.refuse("commit", false)
		ctx, account := audited(t)
		if _, err := core.Vend(ctx, of("ann")); err != nil {
			t.Fatal(err)
		}
		if after := d.grantOf(user()).Grant.Fingerprint; after == before || !warned(account, "refresh_token_saved_late") {
			t.Errorf("saved %v", after != before)
		}
	})
	t.Run("FI-49 nothing of it outlives a disconnection", func(t *testing.T) {
		d, core := unsaved(t)
		if err := core.Disconnect(t.Context(), user()); !problem.Is(err, problem.StoreUnavailable) || len(d.idp.revoked) != 0 {
			t.Errorf("while the table does not take it: %v, revoked %q", err, d.idp.revoked)
		}
		d.store.refuse("commit", false)
		if err := core.Disconnect(t.Context(), user()); err != nil {
			t.Fatal(err)
		}
		if len(d.idp.revoked) != 1 || d.idp.revoked[0] != "refresh_4" {
			t.Errorf("revoked %q, want the living refresh token", d.idp.revoked)
		}
		if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestGrantProofEndAfterConsent(t *testing.T) {
	t.Run("CR-27 the documented life counts from the consent", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.declare("user", `{"provider":"creative-force","grant_type":"authorization_code","client_id":"app","client_secret":"hush"}`)
		d.consent(d.process(), user())
		if end, want := d.grantOf(user()).Grant.ExpiresAt, d.clock.Now().Add(30*24*time.Hour); !end.Equal(want) {
			t.Errorf("the refresh token ends at %v, want %v", end, want)
		}
	})
}

// interposed lets something happen before the first drop.
type interposed struct {
	*flakyStore
	first func()
}

func (s *interposed) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	if first := s.first; first != nil {
		s.first = nil
		first()
	}
	return s.flakyStore.Drop(ctx, d)
}

func TestGrantProofStaysOnTheWheel(t *testing.T) {
	t.Run("CR-27 a consent that comes while the token is being dropped", func(t *testing.T) {
		d := newDelegation(t, rotates)
		core := d.processWith(proofSetup{store: &interposed{d.store, func() { d.consent(d.process(), user()) }}})
		if err := core.Forget(t.Context(), user(), false); err != nil {
			t.Fatal(err)
		}
		if item := d.grantOf(user()); item.Grant.Fingerprint == "" || item.Token.ID != "" || item.RenewSlot == "" {
			t.Errorf("grant %q, token %q, slot %q", item.Grant.Fingerprint, item.Token.ID, item.RenewSlot)
		}
	})
	t.Run("CR-27 a grant that has ended has no place there", func(t *testing.T) {
		d, core := consented(t, rotates)
		key := tokenstore.Key{Connection: "user"}
		if home, err := core.Home(t.Context(), key); err != nil || home == "" {
			t.Fatalf("while it lives: %q, %v", home, err)
		}
		d.clock.advance(expired)
		d.idp.end()
		if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
			t.Fatal(err)
		}
		if home, err := core.Home(t.Context(), key); err != nil || home != "" {
			t.Errorf("when it has ended: %q, %v", home, err)
		}
	})
}

// uninformed is a table whose replicas know nothing yet.
type uninformed struct{ *flakyStore }

func (s uninformed) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	if !consistent {
		return tokenstore.Item{Key: key}, nil
	}
	return s.flakyStore.Get(ctx, key, true)
}

// A provider whose new token ends the one in callers' hands is asked when that
// has ended, and not before.
func TestGrantProofNewTokenRevokesOld(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		revokes bool
		left    time.Duration
		ahead   bool
	}{
		{"a new token leaves the old one alone", false, 20 * time.Minute, true},
		{"a new token ends the old one, which lives", true, 20 * time.Minute, false},
		{"a new token ends the old one, which has ended", true, -time.Second, true},
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
	t.Run("CR-08 the token of a consent that a replica has not heard of is served without a lease", func(t *testing.T) {
		d, core := consented(t, rotates)
		first, leases := d.vend(core, user()), d.store.count("acquire")
		v := d.vend(d.processWith(proofSetup{store: uninformed{d.store}}), user())
		if n := d.store.count("acquire") - leases; v.ID != first.ID || n != 0 {
			t.Errorf("%d leases taken, the same token: %v", n, v.ID == first.ID)
		}
	})
}

// unready seals and opens, and cannot promise that it will.
type unready struct{ vending.Sealer }

func (unready) Prefetch(context.Context) error { return seal.ErrUnavailable }

func TestGrantProofMarkStays(t *testing.T) {
	t.Run("CR-14 who gives the lease back unused leaves the mark of who died with it", func(t *testing.T) {
		d, core := consented(t, rotates)
		first := d.vend(core, user())
		d.clock.advance(52 * time.Minute)
		d.diedSpending(user())
		if v := d.vend(d.processWith(proofSetup{sealer: unready{d.sealer}}), user()); v.ID != first.ID {
			t.Fatal("it was refreshed without the keyset")
		}
		if v := d.vend(d.process(), user()); v.ID != first.ID || d.idp.calls() != 1 {
			t.Errorf("%d calls although the old token lives", d.idp.calls())
		}
	})
}
