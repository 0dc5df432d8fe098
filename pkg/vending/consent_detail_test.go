package vending_test

import (
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// A 409 says what happened and when, and does not claim that no user has consented
// where one has.
func TestAuthorizationRequiredSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		play func(d *delegation)
		// detail is part of what is said; timed: the instant of play follows.
		detail string
		timed  bool
	}{
		"FI-24 no consent": {play: func(*delegation) {}, detail: "there is no consent to connection user: no user has given one, or it was disconnected or forgotten"},
		"OC-14 FI-24 disconnected": {play: func(d *delegation) {
			d.consent(d.process(), user())
			if err := d.process().Disconnect(d.t.Context(), user()); err != nil {
				d.t.Fatal(err)
			}
		}, detail: "or it was disconnected"},
		"OC-14 FI-24 a token without a grant that was forgotten": {play: func(d *delegation) {
			if _, err := d.withoutRefreshToken("jane", 2*day); err != nil {
				d.t.Fatal(err)
			}
			if err := d.process().Forget(d.t.Context(), user(), false); err != nil {
				d.t.Fatal(err)
			}
		}, detail: "or forgotten"},
		"FI-24 the grant has ended": {play: func(d *delegation) {
			d.consent(d.process(), user())
			d.clock.advance(expired)
			d.idp.end()
			_, _ = d.process().Vend(d.t.Context(), user())
		}, detail: "the provider reported at ", timed: true},
		"AZ-30 the consent was given to another client": {play: func(d *delegation) {
			d.consent(d.process(), user())
			d.declare("user", declaredBy("other", "hush"))
		}, detail: "the consent of ", timed: true},
		"FI-24 an import was refused": {play: func(d *delegation) {
			err := d.process().Import(d.t.Context(), vending.Import{Request: user(), RefreshToken: redact.New("unknown")})
			if !problem.Is(err, problem.AuthorizationRequired) {
				d.t.Fatalf("import: %v", err)
			}
		}, detail: "the import of a refresh token was refused by the provider at ", timed: true},
		"FI-24 an import failed for another reason": {play: func(d *delegation) {
			d.idp.unavailable = true
			err := d.process().Import(d.t.Context(), vending.Import{Request: user(), RefreshToken: redact.New("unknown")})
			if !problem.Is(err, problem.ProviderUnavailable) {
				d.t.Fatalf("import: %v", err)
			}
			d.idp.unavailable = false
		}, detail: "there is no consent to connection user: no user has given one"},
		"FI-44 a consent whose code was refused": {play: func(d *delegation) {
			d.idp.unavailable = true
			_ = d.tryConsent(d.process(), user(), nil)
			d.idp.unavailable = false
		}, detail: "there is no consent to connection user: no user has given one"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDelegation(t, rotates)
			d.clock.advance(time.Hour)
			detail := c.detail
			c.play(d)
			if c.timed {
				detail += d.clock.Now().Format(time.RFC3339)
			}
			d.clock.advance(2 * expired)
			_, err := d.process().Vend(t.Context(), user())
			if !problem.Is(err, problem.AuthorizationRequired) || !contains(problem.Of(err).Detail, detail) {
				t.Errorf("got %v, want %q", err, detail)
			}
		})
	}
	t.Run("FI-24 an import that was refused leaves the stored grant alone", func(t *testing.T) {
		d, core := consented(t, rotatesSoft)
		if err := core.Import(t.Context(), vending.Import{Request: user(), RefreshToken: redact.New("unknown")}); !problem.Is(err, problem.AuthorizationRequired) {
			t.Fatalf("import: %v", err)
		}
		if !d.works() {
			t.Error("the stored grant does not work")
		}
	})
	t.Run("FI-24 a refused import delays nothing", func(t *testing.T) {
		d := newDelegation(t, keeps)
		i := vending.Import{Request: user(), RefreshToken: redact.New("unknown")}
		_ = d.process().Import(t.Context(), i)
		i.RefreshToken = d.idp.knows("known")
		if err := d.process().Import(t.Context(), i); err != nil {
			t.Fatalf("import: %v", err)
		}
		d.vend(d.process(), user())
	})
}
