package vending_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// Many servers keep one grant per user and client: revoking one refresh token ends
// all of that user. So nothing is revoked unasked, unless it is another user's.

// consentAs consents for the default subject as a named user, and returns the audit
// entry.
func (d *delegation) consentAs(name string) *audit.Entry {
	d.t.Helper()
	d.idp.user = name
	entry := new(audit.Entry)
	core := d.process()
	conn, err := core.Delegated(d.t.Context(), user())
	if err == nil {
		err = core.Authorize(audit.With(d.t.Context(), entry), authorizationOf(conn))
	}
	if err != nil {
		d.t.Fatalf("consent of %q: %v", name, err)
	}
	return entry
}

// works reports whether the stored grant can be refreshed.
func (d *delegation) works() bool {
	d.clock.advance(expired)
	_, err := d.process().Vend(d.t.Context(), user())
	return err == nil
}

func TestConsentAgainRevokes(t *testing.T) {
	for _, c := range []struct {
		name, former, next string
		revoked            string
	}{
		{"the same user", "jane", "jane", "[]"},
		{"neither user is named", "", "", "[]"},
		{"only the former user is named", "jane", "", "[]"},
		{"only the new user is named", "", "jane", "[]"},
		{"another user", "jane", "joe", "[refresh_1]"},
	} {
		t.Run("AZ-30 "+c.name, func(t *testing.T) {
			d := newDelegation(t, rotates)
			d.idp.onePerUser = true
			d.consentAs(c.former)
			entry := d.consentAs(c.next)
			if got := fmt.Sprint(d.idp.revoked); got != c.revoked {
				t.Errorf("revoked %s, want %s", got, c.revoked)
			}
			if warned(entry, "not_revoked") != (c.revoked == "[]") {
				t.Error("the audit line does not say what became of the former refresh token")
			}
			if !d.works() {
				t.Error("the new grant does not work")
			}
		})
	}
	for left, revoked := range map[time.Duration]int{17 * time.Second: 1, 16 * time.Second: 0} {
		t.Run(fmt.Sprintf("CR-06 the answer of the consent is due, %v from its start", left), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDelegation(t, rotates)
				d.inRealTime()
				d.consentAs("jane")
				d.idp.user, d.idp.during = "joe", func(oauth.Request) { time.Sleep(10 * time.Second) }
				d.store.before = func(operation string) {
					if operation == "adopt" {
						time.Sleep(4 * time.Second)
					}
				}
				ctx, entry := audited(t)
				ctx, cancel := context.WithTimeout(ctx, left)
				defer cancel()
				core := d.process()
				conn, err := core.Delegated(ctx, user())
				if err == nil {
					err = core.Authorize(ctx, authorizationOf(conn))
				}
				if err != nil || len(d.idp.revoked) != revoked || warned(entry, "refresh_token_not_revoked") == (revoked == 1) {
					t.Errorf("%v, revoked %v", err, d.idp.revoked)
				}
			})
		})
	}
	t.Run("AZ-30 a grant of another client is not sent to this one", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.consentAs("jane")
		d.declare("user", declaredBy("other", "hush"))
		if entry := d.consentAs("joe"); len(d.idp.revoked) > 0 || !warned(entry, "not_revoked") {
			t.Errorf("revoked %v", d.idp.revoked)
		}
	})
}

// Grants that come too late to be stored, and what is revoked of them.
func TestOrphanIsRevoked(t *testing.T) {
	for _, c := range []struct {
		name, other string
		revoked     []string // of each way that a grant becomes an orphan
	}{
		{"of the user whose grant is stored", "jane", []string{"[]", "[]", "[]", "[]"}},
		{"of a user who is not known to be another", "", []string{"[]", "[]", "[]", "[]"}},
		{"of another user", "joe", []string{"[refresh_1]", "[refresh_1 refresh_2]", "[refresh_1 refresh_2]", "[]"}},
	} {
		for i, way := range []struct {
			name string
			play func(d *delegation, other string)
		}{
			{"a consent overtaken by another", (*delegation).overtakenConsent},
			{"a refresh overtaken by a consent", (*delegation).overtakenRefresh},
			{"a pending write overtaken by a consent", (*delegation).overtakenWrite},
			{"a consent with an unusable answer", (*delegation).unusableConsent},
		} {
			t.Run("AZ-30 FI-49 "+c.name+", "+way.name, func(t *testing.T) {
				d := newDelegation(t, rotates)
				d.idp.onePerUser = true
				way.play(d, c.other)
				if got := fmt.Sprint(d.idp.revoked); got != c.revoked[i] {
					t.Errorf("revoked %s, want %s", got, c.revoked[i])
				}
				if !d.works() {
					t.Error("the stored grant does not work")
				}
			})
		}
	}
}

// overtakenConsent: while the code of jane is exchanged, another consent is stored.
func (d *delegation) overtakenConsent(other string) {
	d.t.Helper()
	d.idp.after = func(oauth.Request) *oauth.Error {
		d.idp.after = nil
		d.clock.advance(time.Minute) // past the lease
		d.consentAs(other)
		d.clock.advance(time.Second)
		return nil
	}
	d.idp.user = "jane"
	ctx, entry := audited(d.t)
	core := d.process()
	conn, err := core.Delegated(ctx, user())
	if err != nil {
		d.t.Fatal(err)
	}
	err = core.Authorize(ctx, authorizationOf(conn))
	if !problem.Is(err, problem.RefreshInProgress) || warned(entry, "not_revoked") != (other != "joe") {
		d.t.Errorf("the earlier consent: %v, warned %v", err, warned(entry, "not_revoked"))
	}
}

// overtakenRefresh: while jane's grant is refreshed, another consent is stored.
func (d *delegation) overtakenRefresh(other string) {
	d.t.Helper()
	d.consentAs("jane")
	d.clock.advance(expired)
	d.idp.after = func(oauth.Request) *oauth.Error {
		d.idp.after = nil
		d.clock.advance(time.Minute)
		d.consentAs(other)
		return nil
	}
	ctx, entry := audited(d.t)
	_, _ = d.process().Vend(ctx, user())
	if warned(entry, "not_revoked") != (other != "joe") {
		d.t.Errorf("warned %v", warned(entry, "not_revoked"))
	}
}

// overtakenWrite: a refresh token of jane's grant could not be stored before another
// consent was.
func (d *delegation) overtakenWrite(other string) {
	d.t.Helper()
	d.consentAs("jane")
	d.clock.advance(expired)
	core := d.process()
	d.store.refuse("commit", true)
	_, _ = core.Vend(d.t.Context(), user())
	d.clock.advance(21 * time.Second)
	d.consentAs(other)
	d.store.refuse("commit", false)
	ctx, entry := audited(d.t)
	core.FlushPending(ctx)
	if warned(entry, "not_revoked") != (other != "joe") {
		d.t.Errorf("warned %v", warned(entry, "not_revoked"))
	}
}

// unusableConsent: jane's grant is stored, and the answer to another code has
// nothing but a refresh token.
func (d *delegation) unusableConsent(other string) {
	d.t.Helper()
	d.consentAs("jane")
	d.idp.user = other
	core := d.processWithServer(func(r oauth.Request) (oauth.Token, error) {
		token, _ := d.idp.Token(d.t.Context(), r)
		return oauth.Token{}, unusable(token)
	})
	ctx, entry := audited(d.t)
	conn, err := core.Delegated(ctx, user())
	if err != nil {
		d.t.Fatal(err)
	}
	if err := core.Authorize(ctx, authorizationOf(conn)); !problem.Is(err, problem.ProviderMalformed) || !warned(entry, "not_revoked") {
		d.t.Errorf("got %v, warned %v", err, warned(entry, "not_revoked"))
	}
}

func TestOrphanOfAnEndedGrant(t *testing.T) {
	t.Run("AZ-30 FI-49 a consent that brought an access token only is in its place", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.idp.onePerUser = true
		d.consentAs("jane")
		d.clock.advance(expired)
		d.idp.after = func(oauth.Request) *oauth.Error {
			d.idp.after = nil
			d.clock.advance(time.Minute)
			_, err := d.process().Vend(t.Context(), user()) // with the used refresh token
			if !problem.Is(err, problem.AuthorizationRequired) {
				t.Errorf("meanwhile: %v", err)
			}
			if _, err := d.withoutRefreshToken("jane", 2*day); err != nil {
				t.Errorf("the consent: %v", err)
			}
			return nil
		}
		ctx, entry := audited(t)
		_, _ = d.process().Vend(ctx, user())
		if len(d.idp.revoked) > 0 || !warned(entry, "not_revoked") {
			t.Errorf("revoked %v, warned %v", d.idp.revoked, warned(entry, "not_revoked"))
		}
		d.vend(d.process(), user())
	})
}

// A provider without a revocation endpoint is nothing to warn of.
func TestNotRevokedNeedsAnEndpoint(t *testing.T) {
	t.Run("OC-14 without a revocation endpoint", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.declare("user", `{"provider":"oauth2","grant_type":"authorization_code","client_id":"app","client_secret":"hush",
			"token_url":"https://idp.example.com/token","authorization_url":"https://idp.example.com/authorize"}`)
		d.consentAs("jane")
		if entry := d.consentAs("joe"); warned(entry, "not_revoked") {
			t.Error("warned")
		}
		if err := d.process().Disconnect(context.Background(), user()); err != nil || len(d.idp.revoked) > 0 {
			t.Errorf("%v, revoked %v", err, d.idp.revoked)
		}
	})
}

// A grant was disconnected, and its user consents again, while a refresh of it is
// still to be stored. At a server that keeps one grant per user, revoking what that
// refresh returned would end the new grant.
func TestConsentAfterDisconnectLives(t *testing.T) {
	t.Run("AZ-30 FI-49 a disconnected grant is not revoked while its user consents again", func(t *testing.T) {
		d, late := consented(t, rotates)
		d.idp.onePerUser = true
		d.clock.advance(expired)
		d.store.refuse("commit", true)
		wantCode(t, second(late.Vend(t.Context(), user())), problem.StoreUnavailable)
		d.store.refuse("commit", false)
		d.clock.advance(expired)
		core := d.process()
		if err := core.Disconnect(t.Context(), user()); err != nil {
			t.Fatal(err)
		}
		ctx, entry := audited(t)
		d.idp.after = func(r oauth.Request) *oauth.Error {
			if r.GrantType == "authorization_code" {
				late.FlushPending(ctx) // the code is used, and its grant is not stored yet
			}
			return nil
		}
		d.consent(core, user())
		if !d.works() {
			t.Errorf("the new grant has ended; revoked %v", d.idp.revoked)
		}
		if !warned(entry, "not_revoked") {
			t.Error("no warning that the late grant was not revoked")
		}
	})
}
