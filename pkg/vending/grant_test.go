package vending_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// expired is longer than the lifetime of an access token.
const expired = time.Hour + time.Minute

func TestConsentRequired(t *testing.T) {
	d := newDelegation(t, rotates)
	core := d.process()
	_, err := core.Vend(t.Context(), user())
	if !problem.Is(err, problem.AuthorizationRequired) || d.idp.calls() != 0 {
		t.Errorf("got %v after %d calls", err, d.idp.calls())
	}
	if n := d.store.count("acquire"); n != 0 {
		t.Errorf("a request wrote %d leases for a connection without a consent", n)
	}
}

func TestConsentIsVended(t *testing.T) {
	for _, r := range []rotation{keeps, repeats, rotates, rotatesSoft} {
		t.Run(fmt.Sprint("OC-67 rotation ", r), func(t *testing.T) {
			d, core := consented(t, r)
			first := d.vend(core, user())
			if d.idp.calls() != 1 || first.AccessToken.Reveal() != "access_1" {
				t.Fatalf("OC-02 %d calls, token %s", d.idp.calls(), first.AccessToken.Reveal())
			}
			for range 5 {
				d.clock.advance(expired)
				if v := d.vend(d.process(), user()); v.ID == first.ID {
					t.Fatal("CR-01 the expired token was served")
				}
			}
			if d.idp.reused != 0 || d.idp.calls() != 6 {
				t.Errorf("INV-3 %d reuses in %d calls", d.idp.reused, d.idp.calls())
			}
		})
	}
}

func TestCodeRequest(t *testing.T) {
	d, _ := consented(t, keeps)
	r := d.idp.requests[0]
	if r.GrantType != "authorization_code" || r.Code.Reveal() != "code" || r.CodeVerifier.Reveal() != "verifier" ||
		r.RedirectURI != "https://example.com/callback/user" || r.Scope != "" {
		t.Errorf("OC-02 %s, redirect URI %s, scope %q", r.GrantType, r.RedirectURI, r.Scope)
	}
}

func TestScopeIsRepeatedWhereTheProviderWantsIt(t *testing.T) {
	d := newDelegation(t, rotates)
	d.declare("user", `{"provider":"creative-force","grant_type":"authorization_code","client_id":"app","client_secret":"hush"}`)
	core := d.process()
	d.consent(core, user())
	d.declare("user", `{"provider":"creative-force","grant_type":"authorization_code","client_id":"app","client_secret":"hush","scope":"more"}`)
	d.clock.advance(expired)
	d.vend(d.process(), user())
	for i, r := range d.idp.requests {
		if r.Scope != "cfgateway offline_access" {
			t.Errorf("OC-03 request %d asked for %q, not for what was consented to", i, r.Scope)
		}
	}
	if got := d.grantOf(user()).Grant; got.ExpiresAt.Sub(got.RefreshedAt) != 30*24*time.Hour {
		t.Errorf("CR-27 the refresh token ends %v after its last use", got.ExpiresAt.Sub(got.RefreshedAt))
	}
}

func TestSubjectsAreSeparate(t *testing.T) {
	d := newDelegation(t, rotates)
	core := d.process()
	d.consent(core, of("ann"))
	d.consent(core, of("bob"))
	ann, bob := d.vend(core, of("ann")), d.vend(core, of("bob"))
	if ann.ID == bob.ID {
		t.Error("INV-1 two subjects share a token")
	}
	if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
		t.Errorf("INV-1 the default subject got %v", err)
	}
}

func TestRefreshTokenIsNotSentWhileTheTableIsDown(t *testing.T) {
	d, _ := consented(t, rotates)
	d.clock.advance(expired)
	d.store.setDown(true)
	_, err := d.process().Vend(t.Context(), user())
	if !problem.Is(err, problem.StoreUnavailable) || d.idp.calls() != 1 {
		t.Errorf("CR-32 FI-27 got %v after %d calls", err, d.idp.calls())
	}
}

func TestKeysetUnavailable(t *testing.T) {
	d, _ := consented(t, rotates)
	d.clock.advance(expired)
	before := d.grantOf(user())
	d.sealer = seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k2","k2":"0123456789abcdef0123456789abcdef"}`), nil
	}})
	_, err := d.process().Vend(t.Context(), user())
	if !problem.Is(err, problem.StoreUnavailable) || d.idp.calls() != 1 {
		t.Errorf("FI-36 got %v after %d calls", err, d.idp.calls())
	}
	if got := d.grantOf(user()); string(got.Grant.Sealed) != string(before.Grant.Sealed) {
		t.Error("FI-36 the grant was overwritten")
	}
}

func TestGrantIsStoredBeforeItsTokenIsServed(t *testing.T) {
	d, core := consented(t, rotates)
	d.clock.advance(expired)
	d.store.refuse("commit", true)
	ctx, entry := audited(t)
	_, err := core.Vend(ctx, user())
	if !problem.Is(err, problem.StoreUnavailable) {
		t.Fatalf("FI-31 got %v", err)
	}
	if n := d.store.count("commit"); n < 6 {
		t.Errorf("CR-12 %d attempts to store the refresh token, want six", n)
	}
	if !warned(entry, "refresh_token_unsaved") {
		t.Error("CR-13 there was no warning")
	}
	if _, err = core.Vend(t.Context(), user()); !problem.Is(err, problem.StoreUnavailable) || d.idp.calls() != 2 {
		t.Errorf("INV-3 while it is unsaved: %v after %d calls", err, d.idp.calls())
	}
	d.store.refuse("commit", false)
	if v := d.vend(core, user()); v.AccessToken.Reveal() != "access_2" {
		t.Errorf("CR-13 served %s", v.AccessToken.Reveal())
	}
	d.clock.advance(expired)
	d.vend(d.process(), user())
	if d.idp.reused != 0 {
		t.Errorf("INV-3 %d dead refresh tokens were presented", d.idp.reused)
	}
}

func TestGrantEnded(t *testing.T) {
	d, core := consented(t, rotates)
	d.clock.advance(expired)
	d.idp.end()
	for range 3 {
		if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) || problem.Of(err).RetryAfter != 0 {
			t.Errorf("FI-24 got %v", err)
		}
	}
	d.clock.advance(30 * 24 * time.Hour)
	if _, err := d.process().Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
		t.Errorf("CR-28 a month later: %v", err)
	}
	if d.idp.calls() != 2 {
		t.Errorf("FI-24 %d calls, want the consent's and one more", d.idp.calls())
	}
	d.consent(d.process(), user())
	if v := d.vend(core, user()); v.AccessToken.Reveal() != "access_3" {
		t.Errorf("FI-24 after consenting again: %s", v.AccessToken.Reveal())
	}
}

func TestEndedGrantIsTriedAgainOnRequest(t *testing.T) {
	for name, ask := range map[string]func(*delegation, *vending.Core) error{
		"token forgotten": func(d *delegation, core *vending.Core) error {
			return core.Forget(d.t.Context(), user(), false)
		},
		"secret changed": func(d *delegation, _ *vending.Core) error {
			d.declare("user", fmt.Sprintf(userConnection, "another"))
			return nil
		},
	} {
		t.Run("FI-25 CR-28 "+name, func(t *testing.T) {
			d, core := consented(t, keeps)
			d.clock.advance(expired)
			d.idp.after = func(oauth.Request) *oauth.Error { return invalidGrant() }
			if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
				t.Fatalf("got %v", err)
			}
			d.idp.after = nil
			if err := ask(d, core); err != nil {
				t.Fatal(err)
			}
			d.clock.advance(time.Minute)
			d.vend(core, user())
		})
	}
}

func TestRejectionRetriesADeadGrant(t *testing.T) {
	d, core := consented(t, keeps)
	v := d.vend(core, user())
	d.clock.advance(55 * time.Minute) // due, and still valid
	d.idp.after = func(oauth.Request) *oauth.Error { return invalidGrant() }
	if stale := d.vend(core, user()); !stale.Stale || stale.ID != v.ID {
		t.Fatalf("CR-24 stale %v", stale.Stale)
	}
	d.idp.after = nil
	r := user()
	r.RejectedTokenID = v.ID
	if again, err := core.Vend(t.Context(), r); err != nil || again.ID == v.ID {
		t.Errorf("CR-28 got %v", err)
	}
}

func TestAmbiguousOutcome(t *testing.T) {
	for _, c := range []struct {
		name     string
		rotation rotation
		want     problem.Code
	}{
		{"FI-18 static", keeps, ""},
		{"FI-18 grace", rotatesSoft, ""},
		{"FI-06 strict", rotates, problem.AuthorizationRequired},
	} {
		t.Run("CR-14 "+c.name, func(t *testing.T) {
			d, core := consented(t, c.rotation)
			first := d.vend(core, user())
			d.clock.advance(52 * time.Minute)
			d.idp.after = func(oauth.Request) *oauth.Error { return unanswered() }
			for range 8 { // until it expires the old token is served, and the refresh token not sent
				if v := d.vend(d.process(), user()); v.ID != first.ID || !v.Stale {
					t.Fatalf("%v stale=%v", v.ID, v.Stale)
				}
				d.clock.advance(59 * time.Second)
			}
			if d.idp.calls() != 2 {
				t.Errorf("%d calls while the old token is valid, want the consent's and the lost one", d.idp.calls())
			}
			d.idp.after = nil
			d.clock.advance(time.Minute)
			for range 3 {
				_, err := core.Vend(t.Context(), user())
				if c.want == "" && err != nil || c.want != "" && !problem.Is(err, c.want) {
					t.Fatalf("after its end: %v", err)
				}
			}
			if d.idp.calls() != 3 {
				t.Errorf("%d calls, want one more", d.idp.calls())
			}
		})
	}
}

func TestHolderDied(t *testing.T) {
	d, core := consented(t, rotatesSoft)
	first := d.vend(core, user())
	d.clock.advance(52 * time.Minute)
	_, err := d.store.Store.Acquire(t.Context(), tokenstore.Acquire{
		Key: tokenstore.Key{Connection: "user"}, Owner: "dead", Now: d.clock.Now(), TTL: 19 * time.Second, UsesRefreshToken: true})
	if err != nil {
		t.Fatal(err)
	}
	d.clock.advance(21 * time.Second)
	if v := d.vend(d.process(), user()); v.ID != first.ID || d.idp.calls() != 1 {
		t.Errorf("FI-06 %d calls although the old token is valid", d.idp.calls())
	}
	d.clock.advance(expired)
	if v := d.vend(d.process(), user()); v.ID == first.ID || d.idp.calls() != 2 {
		t.Errorf("FI-06 %d calls after its end", d.idp.calls())
	}
}

// A holder that was frozen for longer than its lease has the valid refresh token;
// the next holder was refused.
func TestFrozenHolderStoresTheValidRefreshToken(t *testing.T) {
	d, slow := consented(t, rotates)
	d.clock.advance(expired)
	quick, stopped := d.process(), false
	d.idp.after = func(oauth.Request) *oauth.Error {
		if stopped {
			return nil
		}
		stopped = true
		d.clock.advance(21 * time.Second) // its lease has expired
		_, err := quick.Vend(t.Context(), user())
		if !problem.Is(err, problem.AuthorizationRequired) {
			t.Errorf("FI-08 who came after it got %v", err)
		}
		return nil
	}
	_, err := slow.Vend(t.Context(), user())
	if err != nil {
		t.Errorf("FI-08 the holder itself: %v", err)
	}
}

func TestRefreshTokenOfAnUnusableResponseIsStored(t *testing.T) {
	d, core := consented(t, rotates)
	d.clock.advance(expired)
	d.idp.after = func(oauth.Request) *oauth.Error {
		return &oauth.Error{Kind: oauth.Malformed, Reason: "expires_in", Ambiguous: true,
			RefreshToken: redact.New("refresh_2"), Trace: oauth.Trace{Calls: 1, Status: 200}}
	}
	if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.ProviderMalformed) {
		t.Fatalf("got %v", err)
	}
	if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.ProviderMalformed) || d.idp.calls() != 2 {
		t.Errorf("CR-18 %v after %d calls", err, d.idp.calls())
	}
	d.idp.after = nil
	d.clock.advance(time.Minute)
	d.vend(core, user())
	if d.idp.reused != 0 {
		t.Error("INV-4 the refresh token of an unusable answer was lost")
	}
}

func TestDeclarationChanged(t *testing.T) {
	t.Run("client id", func(t *testing.T) {
		d, _ := consented(t, keeps)
		d.declare("user", `{"provider":"oauth2","grant_type":"authorization_code","client_id":"other","client_secret":"hush",
			"token_url":"https://idp.example.com/token","authorization_url":"https://idp.example.com/authorize"}`)
		d.clock.advance(expired)
		if _, err := d.process().Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) || d.idp.calls() != 1 {
			t.Errorf("got %v after %d calls", err, d.idp.calls())
		}
	})
	t.Run("CR-21 client secret", func(t *testing.T) {
		d, core := consented(t, rotates)
		d.consent(core, of("ann"))
		d.vend(core, user())
		d.vend(core, of("ann"))
		d.declare("user", fmt.Sprintf(userConnection, "another"))
		change, err := d.process().Reconcile(t.Context(), vending.Changed{Secret: "user"})
		if err != nil || change.Reissued != 1 || change.Recorded != 1 {
			t.Errorf("reissued %d, %d records written, %v; want the connection's own token and one record", change.Reissued, change.Recorded, err)
		}
	})
}
