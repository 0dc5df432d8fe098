package vending_test

import (
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// withoutRefreshToken is a consent as a named user that brings no refresh token.
func (d *delegation) withoutRefreshToken(name string, lifetime time.Duration) (*audit.Entry, error) {
	d.t.Helper()
	d.idp.user, d.idp.lifetime, d.idp.noRefreshToken = name, lifetime, true
	defer func() { d.idp.lifetime, d.idp.noRefreshToken = time.Hour, false }()
	ctx, entry := audited(d.t)
	core := d.process()
	conn, err := core.Delegated(ctx, user())
	if err != nil {
		d.t.Fatal(err)
	}
	return entry, core.Authorize(ctx, authorizationOf(conn))
}

const day = 24 * time.Hour

// The grants that an item may have had before a consent without refresh token.
var formerGrants = map[string]func(*delegation){
	"none":                           func(*delegation) {},
	"jane's":                         func(d *delegation) { d.consentAs("jane") },
	"one of a user who is not named": func(d *delegation) { d.consentAs("") },
	"jane's, which has ended": func(d *delegation) {
		d.consentAs("jane")
		d.clock.advance(expired)
		d.idp.end()
		_, _ = d.process().Vend(d.t.Context(), user())
		d.idp.dead = false
	},
	"jane's, whose refresh token has expired": func(d *delegation) {
		d.idp.refreshLife = day
		d.consentAs("jane")
		d.idp.refreshLife = 0
		d.clock.advance(2 * day)
	},
	"jane's, given to another client": func(d *delegation) {
		d.consentAs("jane")
		d.declare("user", declaredBy("other", "hush"))
	},
	"jane's access token": func(d *delegation) {
		if _, err := d.withoutRefreshToken("jane", 2*day); err != nil {
			d.t.Fatal(err)
		}
	},
}

func TestConsentWithoutRefreshToken(t *testing.T) {
	for _, c := range []struct {
		former, user string
		lifetime     time.Duration
		// kept: the former grant is refreshed afterwards; stored: the access token is
		// all that there is. Otherwise nothing is stored.
		kept, stored bool
	}{
		{former: "none", user: "jane", lifetime: day, stored: true},
		{former: "none", user: "", lifetime: 60 * day, stored: true},
		{former: "none", user: "jane", lifetime: day - time.Second},
		{former: "jane's", user: "jane", lifetime: time.Hour, kept: true},
		{former: "jane's", user: "jane", lifetime: 60 * day, kept: true},
		{former: "jane's", user: "joe", lifetime: time.Hour},
		{former: "jane's", user: "joe", lifetime: 60 * day},
		{former: "jane's", user: "", lifetime: 60 * day},
		{former: "one of a user who is not named", user: "", lifetime: 60 * day},
		{former: "jane's, which has ended", user: "jane", lifetime: 60 * day, stored: true},
		{former: "jane's, which has ended", user: "joe", lifetime: day, stored: true},
		{former: "jane's, which has ended", user: "jane", lifetime: time.Hour},
		{former: "jane's, whose refresh token has expired", user: "joe", lifetime: day, stored: true},
		{former: "jane's, given to another client", user: "joe", lifetime: day, stored: true},
		{former: "jane's access token", user: "joe", lifetime: 3 * day, stored: true},
		{former: "jane's access token", user: "joe", lifetime: time.Hour},
	} {
		t.Run("AZ-30 former grant: "+c.former+"; now "+c.user+" for "+c.lifetime.String(), func(t *testing.T) {
			d := newDelegation(t, rotates)
			formerGrants[c.former](d)
			before, calls := d.grantOf(user()), d.idp.calls()
			entry, err := d.withoutRefreshToken(c.user, c.lifetime)
			after := d.grantOf(user())
			if !warned(entry, "no_refresh_token") || len(d.idp.revoked) > 0 && c.user != "joe" {
				t.Errorf("warned %v, revoked %v", warned(entry, "no_refresh_token"), d.idp.revoked)
			}
			switch {
			case c.stored:
				d.checkTokenOnly(err, c.lifetime)
			case c.kept:
				d.checkKept(err, before, c.lifetime)
			default:
				if !problem.Is(err, problem.AuthorizationRequired) || !contains(problem.Of(err).Detail, "the provider returned no refresh token; request offline access") {
					t.Errorf("got %v", err)
				}
				if after.Token.ID != before.Token.ID || after.Grant.Fingerprint != before.Grant.Fingerprint || after.Version != before.Version {
					t.Error("something was stored")
				}
				if len(d.idp.revoked) > 0 || d.idp.calls() != calls+1 {
					t.Errorf("revoked %v", d.idp.revoked)
				}
				if c.former == "jane's" && !d.works() {
					t.Error("the former grant does not work any more")
				}
			}
		})
	}
}

// checkTokenOnly: the access token is served to its end, and then its user has to
// consent: no former grant is refreshed.
func (d *delegation) checkTokenOnly(err error, lifetime time.Duration) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("consent: %v", err)
	}
	if item := d.grantOf(user()); item.Grant.Fingerprint != "" || item.RenewSlot != "" {
		d.t.Errorf("grant %q in slot %q", item.Grant.Fingerprint, item.RenewSlot)
	}
	calls, ends := d.idp.calls(), d.clock.Now().Add(lifetime)
	d.vend(d.process(), user())
	d.clock.advance(lifetime - 5*time.Second)
	d.vend(d.process(), user())
	d.clock.advance(6 * time.Second)
	_, err = d.process().Vend(d.t.Context(), user())
	if !problem.Is(err, problem.AuthorizationRequired) || d.idp.calls() != calls {
		d.t.Fatalf("after its end: %v, %d more calls", err, d.idp.calls()-calls)
	}
	if detail := problem.Of(err).Detail; !contains(detail, "no refresh token") || !contains(detail, ends.Format(time.RFC3339)) {
		d.t.Errorf("detail %q", detail)
	}
}

// checkKept: the new access token is served, and then the former grant is
// refreshed.
func (d *delegation) checkKept(err error, before tokenstore.Item, lifetime time.Duration) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("consent: %v", err)
	}
	after := d.grantOf(user())
	if after.Token.ID == before.Token.ID || after.Grant.Fingerprint != before.Grant.Fingerprint || after.RenewSlot == "" {
		d.t.Errorf("token %q, grant %q, slot %q", after.Token.ID, after.Grant.Fingerprint, after.RenewSlot)
	}
	d.clock.advance(lifetime + time.Second)
	d.vend(d.process(), user())
	if d.idp.reused != 0 {
		d.t.Error("a used refresh token was sent")
	}
}

// A token without a refresh token cannot be replaced when a caller reports it.
func TestTokenOnlyReportedDead(t *testing.T) {
	t.Run("CR-28 AZ-30 the detail says when", func(t *testing.T) {
		d := newDelegation(t, rotates)
		if _, err := d.withoutRefreshToken("jane", 2*day); err != nil {
			t.Fatal(err)
		}
		r := user()
		r.RejectedTokenID = d.vend(d.process(), user()).ID
		d.clock.advance(time.Hour)
		reported := d.clock.Now().Format(time.RFC3339)
		for range 2 {
			_, err := d.process().Vend(t.Context(), r)
			if !problem.Is(err, problem.AuthorizationRequired) || !contains(problem.Of(err).Detail, "rejected at "+reported) {
				t.Errorf("got %v", err)
			}
			d.clock.advance(time.Minute)
		}
	})
}
