package vending_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// goneDeclarations are the ways in which a declaration can be gone.
var goneDeclarations = map[string]func(*fleet){
	"deleted": func(f *fleet) { f.secrets.fail = clientsecret.ErrNotFound },
	"scheduled for deletion, binary or without AWSCURRENT": func(f *fleet) {
		f.secrets.fail = fmt.Errorf("secret user: %w", clientsecret.ErrNoText)
	},
	"refused by the parser": func(f *fleet) { f.declare("user", `{"provider":`); f.declare("crm", `{}`) },
}

const someoneElse = "arn:aws:iam::111122223333:role/else"

// Forgetting and disconnecting need no declaration: who deletes a secret first can
// still have what it left behind forgotten.
func TestForgetWithoutADeclaration(t *testing.T) {
	for name, remove := range goneDeclarations {
		t.Run("FI-35 OC-14 disconnect, "+name, func(t *testing.T) {
			d, core := consented(t, rotates)
			remove(d.fleet)
			ctx, entry := audited(t)
			if err := core.Disconnect(ctx, user()); err != nil {
				t.Fatal(err)
			}
			if item := d.grantOf(user()); item.Grant.Fingerprint != "" || item.Token.ID != "" {
				t.Error("something is left")
			}
			if len(d.idp.revoked) > 0 || !warned(entry, "not_revoked") {
				t.Errorf("revoked %v, warned %v", d.idp.revoked, warned(entry, "not_revoked"))
			}
		})
		t.Run("FI-35 forget a user's token, "+name, func(t *testing.T) {
			d, core := consented(t, rotates)
			remove(d.fleet)
			ctx, entry := audited(t)
			if err := core.Forget(ctx, user(), true); err != nil {
				t.Fatal(err)
			}
			if item := d.grantOf(user()); item.Grant.Fingerprint == "" || item.Token.ID != "" {
				t.Errorf("grant %q, token %q", item.Grant.Fingerprint, item.Token.ID)
			}
			if len(d.idp.revoked) > 0 || !warned(entry, "not_revoked") {
				t.Errorf("revoked %v, warned %v", d.idp.revoked, warned(entry, "not_revoked"))
			}
		})
		t.Run("FI-35 forget a connection's own token and its variants, "+name, func(t *testing.T) {
			f := newFleet(t)
			f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token","allowed_scopes":["read"]}`)
			core := f.process()
			scoped := crm()
			scoped.Scope = "read"
			f.vend(core, crm())
			f.vend(core, scoped)
			variant := f.item("crm").Variants[0]
			remove(f)
			if err := core.Forget(t.Context(), crm(), false); err != nil {
				t.Fatal(err)
			}
			item, err := f.store.Get(t.Context(), tokenstore.Key{Connection: "crm", Variant: variant}, true)
			if err != nil || item.Token.ID != "" || f.item("crm").Token.ID != "" {
				t.Errorf("a token is left, %v", err)
			}
		})
	}
}

// A grant that is left of a time when the connection was delegated can be
// disconnected.
func TestDisconnectWhatWasDelegated(t *testing.T) {
	t.Run("OC-14 BI-22 the connection uses client_credentials by now", func(t *testing.T) {
		d, core := consented(t, rotates)
		d.declare("user", valid)
		r := user()
		if err := core.Disconnect(t.Context(), r); err != nil || d.grantOf(r).Grant.Fingerprint != "" {
			t.Errorf("got %v", err)
		}
		if err := core.Disconnect(t.Context(), r); !problem.Is(err, problem.InvalidRequest) {
			t.Errorf("without a grant: %v", err)
		}
	})
}

// deletions are the requests that forget.
var deletions = map[string]func(*vending.Core, context.Context, vending.Request) error{
	"disconnect": (*vending.Core).Disconnect,
	"forget":     func(c *vending.Core, ctx context.Context, r vending.Request) error { return c.Forget(ctx, r, false) },
}

func TestForgetIsPermitted(t *testing.T) {
	const restricted = `{"provider":"oauth2","grant_type":"authorization_code","client_id":"app","client_secret":"hush",
		"token_url":"https://idp.example.com/token","authorization_url":"https://idp.example.com/authorize",
		"callers":[{"principal":"` + principal + `"}]}`
	for name, remove := range map[string]func(*fleet){
		"declared": func(*fleet) {},
		"gone":     func(f *fleet) { f.secrets.fail = clientsecret.ErrNotFound },
	} {
		for request, call := range deletions {
			t.Run("AZ-01 FI-35 "+request+" by a caller that is not in callers, "+name, func(t *testing.T) {
				d := newDelegation(t, rotates)
				d.declare("user", restricted)
				d.consent(d.process(), user())
				before := d.grantOf(user())
				d.clock.advance(expired) // the sealed callers of an expired token count too
				remove(d.fleet)
				r := user()
				r.Caller = someoneElse
				if err := call(d.process(), t.Context(), r); !problem.Is(err, problem.AccessDenied) {
					t.Errorf("got %v", err)
				}
				if after := d.grantOf(user()); after.Version != before.Version {
					t.Error("something was forgotten")
				}
				if err := call(d.process(), t.Context(), user()); err != nil {
					t.Errorf("a caller that is: %v", err)
				}
			})
		}
	}
	for request, call := range deletions {
		for name, c := range map[string]struct {
			fails error
			want  problem.Code
		}{
			"for the moment":     {clientsecret.ErrUnavailable, problem.StoreUnavailable},
			"without permission": {clientsecret.ErrUnreadable, problem.ConnectionMisconfigured},
		} {
			t.Run("FI-34 "+request+" while the secret cannot be read "+name, func(t *testing.T) {
				d, core := consented(t, rotates)
				d.secrets.fail = c.fails
				before := d.grantOf(user())
				if err := call(core, t.Context(), user()); !problem.Is(err, c.want) {
					t.Errorf("got %v", err)
				}
				if after := d.grantOf(user()); after.Version != before.Version {
					t.Error("something was forgotten")
				}
			})
		}
	}
}

func TestForgetWhatIsNotThere(t *testing.T) {
	for name, remove := range map[string]func(*fleet){
		"declared": func(*fleet) {},
		"gone":     func(f *fleet) { f.secrets.fail = clientsecret.ErrNotFound },
	} {
		for request, call := range deletions {
			t.Run("OC-14 BI-22 "+request+" writes nothing, "+name, func(t *testing.T) {
				d := newDelegation(t, rotates)
				remove(d.fleet)
				core := d.process()
				for _, r := range []vending.Request{user(), of("ghost")} {
					if err := call(core, t.Context(), r); err != nil {
						t.Errorf("got %v", err)
					}
					if item := d.grantOf(r); item.Version != 0 {
						t.Errorf("there is an item of version %d", item.Version)
					}
				}
			})
		}
	}
	t.Run("OC-14 BI-22 a subject that a caller of jwt_bearer makes up writes nothing", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", bearer(t, `"{subject}@example.com"`))
		if err := f.process().Forget(t.Context(), ask("ghost"), false); err != nil {
			t.Fatal(err)
		}
		item, err := f.store.Get(t.Context(), tokenstore.Key{Connection: "crm", Subject: "ghost"}, true)
		if err != nil || item.Version != 0 {
			t.Errorf("there is an item of version %d, %v", item.Version, err)
		}
	})
	t.Run("CR-16 but a mint that is running is fenced", func(t *testing.T) {
		f := newFleet(t)
		other := f.process()
		var forgotten int64
		f.server.during = func() {
			f.server.during = nil
			if err := other.Forget(t.Context(), crm(), false); err != nil {
				t.Error(err)
			}
			forgotten = f.item("crm").Version
		}
		f.vend(f.process(), crm())
		if forgotten == 0 || f.server.calls() != 2 {
			t.Errorf("version %d, %d calls; the mint that began before was served", forgotten, f.server.calls())
		}
	})
	t.Run("CR-36 an item that cannot be understood is forgotten", func(t *testing.T) {
		f := newFleet(t)
		core := vending.New(vending.Config{Store: corruptOnce{f.store}, Secrets: f.secrets, Minter: f.server, Revoker: f.server,
			Sealer: f.sealer, Now: f.now, Wait: f.wait})
		if err := core.Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		if f.item("crm").Version == 0 {
			t.Error("it was left as it is")
		}
	})
}

// corruptOnce cannot decode what it reads consistently.
type corruptOnce struct{ *flakyStore }

func (s corruptOnce) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	_, record, err := s.flakyStore.GetWithDeclaration(ctx, key, consistent)
	if err != nil {
		return tokenstore.Item{}, record, err
	}
	item, err := s.Get(ctx, key, consistent)
	return item, record, err
}

func (s corruptOnce) Get(_ context.Context, key tokenstore.Key, _ bool) (tokenstore.Item, error) {
	return tokenstore.Item{Key: key}, tokenstore.ErrCorrupt
}

// A connection's token that only this process has is forgotten with nothing stored.
func TestForgetUnstored(t *testing.T) {
	t.Run("CR-32 a token that the table did not take", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.store.setDown(true)
		first := f.vend(core, crm())
		f.store.setDown(false)
		if err := core.Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Minute)
		if v := f.vend(core, crm()); v.ID == first.ID {
			t.Error("it is still served")
		}
	})
}

// TestForgetReachesUnstoredTokens: a token that one process minted while the table was
// down is not stored after it was forgotten.
func TestForgetReachesUnstoredTokens(t *testing.T) {
	t.Run("OC-14 CR-32 a token that the table has not accepted", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.store.setDown(true)
		unstored := f.vend(core, crm())
		f.store.setDown(false)
		if err := f.process().Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(11 * time.Second)
		if v := f.vend(core, crm()); v.ID == unstored.ID || f.item("crm").Token.ID == unstored.ID {
			t.Errorf("the forgotten token came back: served %v, stored %v", v.ID == unstored.ID, f.item("crm").Token.ID == unstored.ID)
		}
	})
	t.Run("CR-32 without that it is stored late", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.store.setDown(true)
		unstored := f.vend(core, crm())
		f.store.setDown(false)
		f.clock.advance(11 * time.Second)
		if v := f.vend(core, crm()); v.ID != unstored.ID || f.item("crm").Token.ID != unstored.ID {
			t.Error("the token was not stored")
		}
	})
	t.Run("OC-14 what has no declaration, and a subject that never was, leaves nothing", func(t *testing.T) {
		d := newDelegation(t, keeps)
		nothing := vending.Request{Connection: "nothing", Caller: principal}
		for _, r := range []vending.Request{nothing, of("stranger"), user()} {
			if err := d.process().Forget(t.Context(), r, true); err != nil {
				t.Fatal(err)
			}
			if item := d.grantOf(r); item.Version != 0 {
				t.Errorf("%s %s: version %d", r.Connection, r.Subject, item.Version)
			}
		}
	})
}
