package vending_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// visit runs the renewer every minute of a period, and returns the number of
// renewals.
func (d *delegation) visit(core *vending.Core, span time.Duration) (renewals int) {
	d.t.Helper()
	renewer := renewal.New(renewal.Config{Core: core, Index: d.store, Documents: d.store, Versions: noVersions{},
		Audit: audit.NewWriter(audit.Config{Output: io.Discard}), Now: d.now})
	for end := d.clock.Now().Add(span); d.clock.Now().Before(end); {
		d.clock.advance(time.Minute)
		renewals += renewer.Tick(d.t.Context()).Renewed
	}
	return renewals
}

// noVersions is a source without changes.
type noVersions struct{}

func (noVersions) Versions(context.Context, int, string) ([]clientsecret.Version, string, error) {
	return nil, "", nil
}

func TestUnusedGrantIsKeptAlive(t *testing.T) {
	for _, c := range []struct {
		name        string
		lifetime    time.Duration
		refreshLife time.Duration
		least, most int
	}{
		{"hour's token", time.Hour, 0, 3, 4},
		{"short token", 2 * time.Minute, 0, 3, 6},
		{"week's token", 7 * 24 * time.Hour, 0, 3, 6},
		{"refresh token of a day", time.Hour, 24 * time.Hour, 12, 15},
		{"refresh token of half an hour", time.Hour, 30 * time.Minute, 3 * 24 * 8, 3 * 24 * 15},
	} {
		t.Run("CR-27 "+c.name, func(t *testing.T) {
			d := newDelegation(t, rotates)
			d.idp.lifetime, d.idp.refreshLife = c.lifetime, c.refreshLife
			core := d.process()
			d.consent(core, user())
			if n := d.visit(core, 3*24*time.Hour); n < c.least || n > c.most {
				t.Errorf("%d refreshes in three days, want %d to %d", n, c.least, c.most)
			}
			if left := d.grantOf(user()).Grant.RefreshedAt.Add(25 * time.Hour).Sub(d.clock.Now()); left < 0 {
				t.Errorf("unused for %v", -left+25*time.Hour)
			}
		})
	}
}

func TestUsedGrantIsRenewedAhead(t *testing.T) {
	d, core := consented(t, rotates)
	for range 20 {
		first := d.vend(core, user())
		d.visit(core, 50*time.Minute)
		d.clock.advance(9 * time.Minute)
		if v := d.vend(core, user()); v.ID == first.ID {
			t.Fatal("CR-02 a used token was not renewed ahead")
		}
	}
	if d.idp.reused != 0 {
		t.Errorf("INV-3 %d reuses", d.idp.reused)
	}
}

func TestGrantOutlivesItsTokenOnTheWheel(t *testing.T) {
	d, core := consented(t, rotates)
	d.vend(core, user())
	if err := core.Forget(t.Context(), user(), false); err != nil {
		t.Fatal(err)
	}
	if item := d.grantOf(user()); item.Grant.Fingerprint == "" || item.Token.ID != "" || item.RenewSlot == "" {
		t.Fatalf("CR-27 after the token was forgotten: slot %q", item.RenewSlot)
	}
	if n := d.visit(core, 48*time.Hour); n == 0 {
		t.Error("CR-27 the grant is not kept alive")
	}
}

func TestFailingGrantIsTriedAgain(t *testing.T) {
	d, core := consented(t, rotates)
	d.idp.unavailable = true
	d.visit(core, 3*24*time.Hour)
	if item := d.grantOf(user()); item.Failure.Count < 3 || item.RenewSlot == "" {
		t.Fatalf("CR-28 %d failures, slot %q: it is not retried", item.Failure.Count, item.RenewSlot)
	}
	d.idp.unavailable = false
	d.visit(core, time.Hour)
	if item := d.grantOf(user()); item.Failure.Count != 0 || !item.Token.ExpiresAt.After(d.clock.Now()) {
		t.Errorf("CR-28 an hour after it came back: %d failures", item.Failure.Count)
	}
}

func TestEndedGrantLeavesTheWheel(t *testing.T) {
	d, core := consented(t, rotates)
	d.idp.end()
	d.visit(core, 48*time.Hour)
	calls := d.idp.calls()
	d.visit(core, 24*time.Hour)
	if item := d.grantOf(user()); item.RenewSlot != "" || d.idp.calls() != calls || calls != 2 {
		t.Errorf("CR-28 slot %q, %d calls", item.RenewSlot, d.idp.calls())
	}
	status, err := d.directory().Status(t.Context(), "user", 100, "")
	if err != nil || status.State != directory.AuthorizationRequired {
		t.Errorf("CR-28 status %v, %v", status.State, err)
	}
}

func TestGrantExpiryWarnings(t *testing.T) {
	for _, c := range []struct {
		left time.Duration
		want string
	}{{8 * 24 * time.Hour, ""}, {6 * 24 * time.Hour, "grant_expires_7d"}, {20 * time.Hour, "grant_expires_1d"}} {
		t.Run("CR-27 "+c.left.String(), func(t *testing.T) {
			d := newDelegation(t, keeps)
			d.idp.refreshLife = 30 * 24 * time.Hour
			core := d.process()
			d.consent(core, user())
			d.clock.advance(30*24*time.Hour - c.left)
			ctx, entry := audited(t)
			if _, err := core.Vend(ctx, user()); err != nil {
				t.Fatal(err)
			}
			for _, invalidGrantReport := range []string{"grant_expires_7d", "grant_expires_1d"} {
				if warned(entry, invalidGrantReport) != (invalidGrantReport == c.want) {
					t.Errorf("warned of %s: %v", invalidGrantReport, !(invalidGrantReport == c.want))
				}
			}
		})
	}
}

func (d *delegation) directory() *directory.Directory {
	return directory.New(directory.Config{Store: d.store, Sealer: d.sealer, Secrets: d.secrets, Now: d.now})
}
