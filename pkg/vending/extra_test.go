package vending_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// sends makes a server answer with extra values.
type sends struct {
	vending.Minter
	values extra.Values
}

func (s *sends) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	t, err := s.Minter.Token(ctx, r)
	t.Extra = s.values
	return t, err
}

func (d *delegation) sending(s *sends) *vending.Core {
	s.Minter = d.idp
	return vending.New(vending.Config{
		Store: d.store, Secrets: d.secrets, Minter: s, Revoker: d.idp, Sealer: d.sealer, Now: d.now, Wait: d.wait, Rand: d.random,
	})
}

// TestExtraOfAGrant: what came with the consent stays with the grant, however many
// refreshes do not repeat it, and what comes later replaces it.
func TestExtraOfAGrant(t *testing.T) {
	d := newDelegation(t, rotates)
	server := &sends{values: extra.Values{"api_domain": "a.example", "n": json.Number("1.50")}}
	core := d.sending(server)
	conn, err := core.Delegated(t.Context(), user())
	if err != nil {
		t.Fatal(err)
	}
	a := authorizationOf(conn)
	a.Extra = extra.Values{"realmId": "12", "echo": "x"}
	if err := core.Authorize(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	wants := func(want extra.Values) {
		t.Helper()
		v := d.vend(d.sending(server), user()) // another process reads the table
		if diff := cmp.Diff(want, v.Extra); diff != "" {
			t.Errorf("OC-72 extra (-want +got):\n%s", diff)
		}
	}
	first := extra.Values{"api_domain": "a.example", "n": json.Number("1.50"), "realmId": "12", "echo": "x"}
	wants(first)
	server.values = nil
	for range 2 {
		d.clock.advance(expired)
		wants(first)
	}
	server.values = extra.Values{"api_domain": "b.example"}
	d.clock.advance(expired)
	wants(extra.Values{"api_domain": "b.example", "n": json.Number("1.50"), "realmId": "12", "echo": "x"})
	item := d.grantOf(user())
	if diff := cmp.Diff([]string{"api_domain", "echo", "n", "realmId"}, item.Token.ExtraNames); diff != "" {
		t.Errorf("OC-72 names (-want +got):\n%s", diff)
	}
	if stored := append(item.Token.Sealed, item.Grant.Sealed...); bytes.Contains(stored, []byte("b.example")) {
		t.Error("OC-72 AZ-54 extra is not sealed")
	}
}

func TestExtraOfAnImport(t *testing.T) {
	d := newDelegation(t, keeps)
	core := d.process()
	err := core.Import(t.Context(), vending.Import{Request: user(), RefreshToken: d.idp.knows("imported"),
		Extra: extra.Values{"realmId": "12", "leak": "x imported"}})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := core.Extra(t.Context(), user())
	if err != nil || !cmp.Equal(stored, extra.Values{"realmId": "12"}) {
		t.Errorf("OC-72 after the import: %v, %v", stored, err)
	}
	if v := d.vend(core, user()); !cmp.Equal(v.Extra, extra.Values{"realmId": "12"}) {
		t.Errorf("OC-72 OC-68 extra %v, want it without the refresh token", v.Extra)
	}
}

// TestPresent: a caller learns how to present the token, also from the table.
func TestPresent(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", `{"provider":{"token_url":"https://idp.example.com/token","present":{"header":"X-Shopify-Access-Token","prefix":""}},
		"client_id":"app","client_secret":"hush"}`)
	const want = "X-Shopify-Access-Token"
	for range 2 {
		if v := f.vend(f.process(), crm()); v.Present.Header != want || v.Present.Prefix != "" {
			t.Errorf("OC-72 present %+v", v.Present)
		}
	}
}
