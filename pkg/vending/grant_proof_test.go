package vending_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Each test here proves a rule that no other test depends on.

// proofSetup is how a process differs from the others of a delegation; the zero
// value of a field is no difference.
type proofSetup struct {
	store  vending.Store
	minter vending.Minter
	sealer vending.Sealer
	wait   func(context.Context, time.Duration) error
}

// processWith is a new process with parts of its own.
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

// put replaces the stored item of r, as anyone with write access to the table could.
func (d *delegation) put(r vending.Request, g tokenstore.SealedGrant) {
	d.t.Helper()
	item := d.grantOf(r)
	_, err := d.store.Store.StoreGrant(d.t.Context(), tokenstore.StoreGrant{Key: item.Key, Owner: "another", Version: item.Version, Grant: g, Now: d.clock.Now()})
	if err != nil {
		d.t.Fatal(err)
	}
}

// diedRefreshing leaves the mark of a holder that died while it refreshed r's grant,
// without its lease.
func (d *delegation) diedRefreshing(r vending.Request) {
	d.t.Helper()
	key := tokenstore.Key{Connection: string(r.Connection), Subject: string(r.Subject)}
	_, err := d.store.Store.Acquire(d.t.Context(), tokenstore.Acquire{Key: key, Owner: "dead", Now: d.clock.Now(), TTL: 19 * time.Second, UsesRefreshToken: true})
	if err != nil {
		d.t.Fatal(err)
	}
	d.clock.advance(21 * time.Second)
}

// declaredBy is the delegated connection of another client than the fixture's.
func declaredBy(clientID, secret string) string {
	return strings.Replace(fmt.Sprintf(userConnection, secret), `"app"`, `"`+clientID+`"`, 1)
}

// refusesClients answers invalid_client, after which the secret is read again.
func refusesClients(oauth.Request) *oauth.Error {
	return &oauth.Error{Kind: oauth.Rejected, Reason: "error", Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
}

func TestGrantProofSentByItsClientOnly(t *testing.T) {
	other, app, renewed := declaredBy("other", "hush"), declaredBy("app", "hush"), declaredBy("app", "renewed")
	for _, c := range []struct {
		name string
		// versions of the secret, before the consent and after it; the process
		// that refreshes has the one that was consented to in its cache.
		before, after []string
		// remade: the secret after it was deleted and created again.
		remade  bool
		clients string
	}{
		{"the former secret, of the same client, is tried", []string{declaredBy("app", "former"), app}, nil, false, "app app"},
		{"the former secret is another client's", []string{other, app}, nil, false, "app"},
		{"the current secret, of the same client, is tried", []string{app}, []string{renewed}, false, "app app"},
		{"the current secret is another client's", []string{app}, []string{other}, false, "app"},
		{"the current secret was deleted and created again", []string{app}, []string{renewed}, true, "app"},
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
				t.Errorf("it was sent by %q, want %q", got, c.clients)
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
				t.Errorf("it was sent by %q, want %q", got, c.clients)
			}
		})
	}
}

// declareAfter declares the connection again, in the same secret or a recreated one.
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

// A grant is unusable for another client, and after the secret was recreated.
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
		{"another provider of the same host", fmt.Sprintf(declaration, "creative-force", id, url, issuer), false, ""},
		{"another client id", fmt.Sprintf(declaration, provider, "other", url, issuer), false, problem.AuthorizationRequired},
		{"another path of the token URL", fmt.Sprintf(declaration, provider, id, url+"2", issuer), false, ""},
		{"another host of the token URL", fmt.Sprintf(declaration, provider, id, "https://other.example.com/token", issuer), false, problem.AuthorizationRequired},
		{"another issuer", fmt.Sprintf(declaration, provider, id, url, issuer+"/tenant"), false, ""},
		{"a secret deleted and created again", fmt.Sprintf(declaration, provider, id, url, issuer), true, problem.AuthorizationRequired},
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

// Write access to the table does not suffice to use one subject's refresh token
// for another, or one that has been replaced.
func TestGrantProofSealedToItsPlace(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong func(d *delegation) tokenstore.SealedGrant
	}{
		{"another subject's grant", func(d *delegation) tokenstore.SealedGrant {
			return d.grantOf(of("bob")).Grant
		}},
		{"the grant of the connection's default subject", func(d *delegation) tokenstore.SealedGrant {
			return d.grantOf(user()).Grant
		}},
		{"a refresh token that was replaced", func(d *delegation) tokenstore.SealedGrant {
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

// answersAnotherScope answers refreshes with a scope of its own.
type answersAnotherScope struct {
	*consentServer
	scope string
}

func (s answersAnotherScope) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
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
			core := d.processWith(proofSetup{minter: answersAnotherScope{d.idp, answered}})
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
