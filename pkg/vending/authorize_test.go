package vending_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestDisconnect(t *testing.T) {
	d, core := consented(t, rotates)
	d.vend(core, user())
	if err := core.Disconnect(t.Context(), user()); err != nil {
		t.Fatal(err)
	}
	if len(d.idp.revoked) != 1 || d.idp.revoked[0] != "refresh_1" {
		t.Errorf("OC-14 revoked %v", d.idp.revoked)
	}
	if item := d.grantOf(user()); item.Grant.Fingerprint != "" || item.Token.ID != "" {
		t.Error("OC-14 the grant or its token is still stored")
	}
	if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
		t.Errorf("OC-14 vend after it: %v", err)
	}
	if err := core.Disconnect(t.Context(), user()); err != nil {
		t.Errorf("OC-14 a second time: %v", err)
	}
}

func TestDisconnectWhileTheProviderIsUnavailable(t *testing.T) {
	d, core := consented(t, rotates)
	d.idp.refuseRevocation = unavailable
	if err := core.Disconnect(t.Context(), user()); !problem.Is(err, problem.ProviderUnavailable) {
		t.Errorf("OC-14 got %v", err)
	}
	d.vend(core, user())
	d.idp.refuseRevocation = &oauth.Error{Kind: oauth.Rejected, Code: "unsupported_token_type", Trace: oauth.Trace{Calls: 1, Status: 400}}
	if err := core.Disconnect(t.Context(), user()); err != nil {
		t.Errorf("OC-14 a refusal kept the grant: %v", err)
	}
}

func TestDisconnectedWhileRefreshing(t *testing.T) {
	d, core := consented(t, rotates)
	other := d.process()
	d.clock.advance(expired)
	d.idp.during = func(r oauth.Request) {
		if r.GrantType == "refresh_token" {
			if err := other.Disconnect(t.Context(), user()); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := core.Vend(t.Context(), user()); !problem.Is(err, problem.AuthorizationRequired) {
		t.Errorf("FI-49 got %v", err)
	}
	if item := d.grantOf(user()); item.Grant.Fingerprint != "" || item.Token.ID != "" {
		t.Error("FI-49 the grant came back")
	}
	if n := len(d.idp.revoked); n != 2 || d.idp.revoked[1] != "refresh_2" {
		t.Errorf("FI-49 revoked %v", d.idp.revoked)
	}
}

func TestConsentAgain(t *testing.T) {
	d, core := consented(t, rotates)
	old := d.vend(core, user())
	err := d.tryConsent(core, user(), func(context.Context) error { return errors.New("no") })
	if err == nil || d.idp.calls() != 1 {
		t.Errorf("AZ-30 %v after %d calls", err, d.idp.calls())
	}
	if v := d.vend(core, user()); v.ID != old.ID {
		t.Error("AZ-30 a failed consent changed the grant")
	}
	d.consent(core, user())
	if v := d.vend(core, user()); v.ID == old.ID {
		t.Error("AZ-30 the former token is served")
	}
}

func TestConsentWithAnExpiredCode(t *testing.T) {
	d, core := consented(t, rotates)
	d.idp.after = func(oauth.Request) *oauth.Error { return invalidGrant() }
	if err := d.tryConsent(core, user(), nil); !problem.Is(err, problem.AuthorizationRequired) {
		t.Errorf("FI-44 got %v", err)
	}
	d.vend(core, user())
}

func TestCodeIsNotSentWhileTheTableIsDown(t *testing.T) {
	d := newDelegation(t, rotates)
	core, asked := d.process(), false
	d.store.setDown(true)
	err := d.tryConsent(core, user(), func(context.Context) error { asked = true; return nil })
	if !problem.Is(err, problem.StoreUnavailable) || asked || d.idp.calls() != 0 {
		t.Errorf("CR-12 %v, consumed %v, %d calls", err, asked, d.idp.calls())
	}
}

func TestConsentNeedsADelegatedConnection(t *testing.T) {
	d := newDelegation(t, rotates)
	if _, err := d.process().Delegated(t.Context(), crm()); !problem.Is(err, problem.InvalidRequest) {
		t.Errorf("BI-22 got %v", err)
	}
}

func TestImport(t *testing.T) {
	d := newDelegation(t, rotates)
	core := d.process()
	d.idp.knows("refresh_brought")
	end := d.clock.Now().Add(3 * 24 * time.Hour)
	i := vending.Import{Request: user(), RefreshToken: redact.New("refresh_brought"), ExpiresAt: end}
	if err := core.Import(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	d.vend(core, user())
	d.clock.advance(expired)
	d.vend(core, user())
	if d.idp.reused != 0 || d.idp.calls() != 2 {
		t.Errorf("%d reuses, %d calls", d.idp.reused, d.idp.calls())
	}
	i.RefreshToken = redact.New("refresh_unknown")
	if err := d.process().Import(t.Context(), i); !problem.Is(err, problem.AuthorizationRequired) {
		t.Errorf("an invalid one: %v", err)
	}
}

func TestImportKeepsItsRefreshToken(t *testing.T) {
	d := newDelegation(t, keeps)
	d.idp.knows("refresh_brought")
	end := d.clock.Now().Add(3 * 24 * time.Hour)
	if err := d.process().Import(t.Context(), vending.Import{Request: user(), RefreshToken: redact.New("refresh_brought"), ExpiresAt: end}); err != nil {
		t.Fatal(err)
	}
	if got := d.grantOf(user()).Grant.ExpiresAt; !got.Equal(end) {
		t.Errorf("renew_by %v, want %v", got, end)
	}
}
