package vending_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// rewrite stores r's item with an edit, as anyone with write access to the table could.
func (d *delegation) rewrite(r vending.Request, edit func(*tokenstore.Item)) {
	d.t.Helper()
	item := d.grantOf(r)
	write := tokenstore.StoreGrant{Key: item.Key, Version: item.Version, SecretIncarnation: item.SecretIncarnation, Now: d.clock.Now()}
	edit(&item)
	write.Token, write.Grant = item.Token, item.Grant
	if _, err := d.store.Store.StoreGrant(d.t.Context(), write); err != nil {
		d.t.Fatal(err)
	}
}

// TestSealedAttributes: a token and a grant are worth nothing beside other attributes
// than those that they were sealed with.
func TestSealedAttributes(t *testing.T) {
	for name, edit := range map[string]func(*tokenstore.Item){
		"mint_id":         func(item *tokenstore.Item) { item.Token.MintID = "another" },
		"mint_id removed": func(item *tokenstore.Item) { item.Token.MintID = "" },
	} {
		t.Run("BI-73 AZ-52 a token beside another "+name+" is not served, and its grant is not affected", func(t *testing.T) {
			d, core := consented(t, rotates)
			d.vend(core, user())
			d.rewrite(user(), edit)
			if v := d.vend(d.process(), user()); v.Source != vending.FromProvider {
				t.Errorf("served from %s", v.Source)
			}
		})
	}
	for name, edit := range map[string]func(*tokenstore.Item){
		"grant_bound":         func(item *tokenstore.Item) { item.Grant.Bound = "another" },
		"grant_bound removed": func(item *tokenstore.Item) { item.Grant.Bound = "" },
		"consented_at":        func(item *tokenstore.Item) { item.Grant.ConsentedAt = item.Grant.ConsentedAt.Add(time.Millisecond) },
		"grant removed":       func(item *tokenstore.Item) { item.Grant = tokenstore.SealedGrant{} },
	} {
		t.Run("BI-73 AZ-52 neither a token nor a grant is used beside another "+name, func(t *testing.T) {
			d, core := consented(t, rotates)
			d.vend(core, user())
			d.rewrite(user(), edit)
			calls := d.idp.calls()
			if v, err := d.process().Vend(t.Context(), user()); err == nil || d.idp.calls() != calls {
				t.Errorf("served from %s, %d calls to the provider", v.Source, d.idp.calls()-calls)
			}
		})
	}
	t.Run("BI-73 AZ-52 the token of a former consent is not served beside the grant of a later one", func(t *testing.T) {
		d, core := consented(t, rotates)
		former := d.vend(core, user())
		stored := d.grantOf(user()).Token
		d.clock.advance(time.Minute)
		d.consentAs("joe")
		d.rewrite(user(), func(item *tokenstore.Item) { item.Token = stored })
		if v := d.vend(d.process(), user()); v.ID == former.ID || v.Source != vending.FromProvider {
			t.Errorf("the former token was served from %s", v.Source)
		}
	})
}

// TestStatusAgreesWithVend: the status counts those tokens that a vend serves.
func TestStatusAgreesWithVend(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		want           directory.State
	}{
		{"callers are edited", `{`, `{"callers":[{"principal":"` + principal + `"}],`, directory.Ready},
		{"the scope is edited", "files offline_access", "files", directory.AuthorizationRequired},
	} {
		t.Run("CR-21 of a consent without a refresh token, when "+c.name, func(t *testing.T) {
			d := newDelegation(t, rotates)
			if _, err := d.withoutRefreshToken("jane", 2*day); err != nil {
				t.Fatal(err)
			}
			d.vend(d.process(), user())
			text := string(d.secrets.versions["user"][0].Text.Reveal())
			d.declare("user", strings.Replace(text, c.from, c.to, 1))
			reconcileSecret(t, d.fleet, d.process(), "user")
			s, err := d.directory().Status(t.Context(), "user", 10, "")
			_, vendErr := d.process().Vend(t.Context(), user())
			if err != nil || s.State != c.want || (vendErr == nil) != (c.want == directory.Ready) {
				t.Errorf("status %s, want %s; %v; vend: %v", s.State, c.want, err, vendErr)
			}
		})
	}
}

// TestRevocationStaysWithTheHost: who may edit a declaration, and not read its grants,
// cannot have them sent to another host by disconnecting.
func TestRevocationStaysWithTheHost(t *testing.T) {
	const same = "https://idp.example.com/revoke"
	for url, revoked := range map[string]int{same: 1, "https://IDP.example.com/other": 1, "https://evil.example.com/revoke": 0, "https://idp.example.com:8443/revoke": 0} {
		t.Run("OC-14 AZ-30 a refresh token is revoked only at a host that the grant is bound to: "+url, func(t *testing.T) {
			d, core := consented(t, rotates)
			d.declare("user", strings.Replace(string(d.secrets.versions["user"][0].Text.Reveal()), same, url, 1))
			ctx, entry := audited(t)
			if err := core.Disconnect(ctx, user()); err != nil {
				t.Fatal(err)
			}
			if len(d.idp.revoked) != revoked || warned(entry, `"not_revoked"`) != (revoked == 0) {
				t.Errorf("%d revoked, want %d; warned %v", len(d.idp.revoked), revoked, warned(entry, `"not_revoked"`))
			}
			if item := d.grantOf(user()); item.Grant.Fingerprint != "" {
				t.Error("the grant is still stored")
			}
		})
	}
}

// TestPresent_OC72_edited: how a token is presented is the record's to say.
func TestPresent_OC72_edited(t *testing.T) {
	f := newFleet(t)
	declare := func(header string) {
		f.declare("crm", `{"provider":{"token_url":"https://idp.example.com/token","present":{"header":"`+header+`","prefix":""}},
			"client_id":"app","client_secret":"hush"}`)
	}
	declare("X-Old")
	f.vend(f.process(), crm())
	declare("X-New")
	reconcileSecret(t, f, f.process(), "crm")
	if v := f.vend(f.process(), crm()); v.Present.Header != "X-New" || v.Source != vending.FromTable || f.server.calls() != 1 {
		t.Errorf("present %+v from %s, %d calls", v.Present, v.Source, f.server.calls())
	}
}
