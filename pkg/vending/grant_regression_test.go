package vending_test

import (
	"context"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Each test here is the shortest sequence that shows a fault of grants which the
// property test found.

// losesStoreResponse stores a grant, loses the response, and lets something happen before
// the write is repeated.
type losesStoreResponse struct {
	*flakyStore
	then func()
}

func (s *losesStoreResponse) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error) {
	item, err := s.flakyStore.StoreGrant(ctx, a)
	if then := s.then; then != nil {
		s.then = nil
		then()
		return tokenstore.Item{}, tokenstore.ErrUnavailable
	}
	return item, err
}

// losingStoreResponse is a process whose next stored grant is answered only when the write is repeated.
func (d *delegation) losingStoreResponse(then func()) *vending.Core {
	return vending.New(vending.Config{
		Store: &losesStoreResponse{flakyStore: d.store, then: then}, Secrets: d.secrets, Minter: d.idp, Revoker: d.idp,
		Sealer: d.sealer, Now: d.now, Wait: d.wait,
	})
}

func TestGrantPropertyLostAnswers(t *testing.T) {
	t.Run("INV-3 a consent whose stored response was lost does not replace its own refresh", func(t *testing.T) {
		d := newDelegation(t, rotates)
		core := d.losingStoreResponse(func() {
			d.clock.advance(expired)
			d.vend(d.process(), user())
		})
		d.consent(core, user())
		d.clock.advance(expired)
		d.vend(d.process(), user())
		if d.idp.reused != 0 || d.idp.calls() != 3 {
			t.Errorf("%d reuses in %d calls, want none in 3", d.idp.reused, d.idp.calls())
		}
	})
	t.Run("FI-49 nor a disconnection", func(t *testing.T) {
		d := newDelegation(t, rotates)
		core := d.losingStoreResponse(func() {
			if err := d.process().Disconnect(t.Context(), user()); err != nil {
				t.Fatal(err)
			}
		})
		if err := d.tryConsent(core, user(), nil); !problem.Is(err, problem.RefreshInProgress) {
			t.Errorf("got %v", err)
		}
		if item := d.grantOf(user()); item.Grant.Fingerprint != "" {
			t.Error("the disconnected grant is back")
		}
	})
}

func TestGrantPropertyStalledHolder(t *testing.T) {
	t.Run("INV-3 a holder whose lease is nearly over does not send the refresh token", func(t *testing.T) {
		d, _ := consented(t, rotates)
		d.clock.advance(expired)
		stalled := d.store.count("acquire") + 1
		d.store.before = func(operation string) {
			if operation == "acquire" && d.store.count("acquire") == stalled {
				d.clock.advance(6 * time.Second)
			}
		}
		d.vend(d.process(), user())
		if n := d.store.count("acquire"); n != stalled+1 || d.idp.calls() != 2 {
			t.Errorf("%d leases taken and %d calls; want a second lease, and one refresh under it", n-stalled+1, d.idp.calls())
		}
	})
}

func TestGrantPropertyImportsOfTheSameFamily(t *testing.T) {
	bring := func(d *delegation, token string) {
		t.Helper()
		if err := d.process().Import(t.Context(), vending.Import{Request: user(), RefreshToken: redact.New(token)}); err != nil {
			t.Fatalf("import: %v", err)
		}
	}
	t.Run("OC-14 the stored refresh token, imported, is refreshed and not revoked", func(t *testing.T) {
		d, _ := consented(t, rotates)
		bring(d, "refresh_1")
		if len(d.idp.revoked) != 0 || d.idp.reused != 0 {
			t.Errorf("revoked %q, %d reuses", d.idp.revoked, d.idp.reused)
		}
		if d.clock.advance(expired); d.vend(d.process(), user()).ID == "" || d.idp.calls() != 3 {
			t.Errorf("%d calls, want 3", d.idp.calls())
		}
	})
	t.Run("OC-14 an import revokes nothing: it may belong to the stored token family", func(t *testing.T) {
		d, _ := consented(t, rotatesSoft)
		d.clock.advance(expired)
		d.vend(d.process(), user()) // refresh_2, and refresh_1 works as well
		bring(d, "refresh_1")
		if len(d.idp.revoked) != 0 {
			t.Errorf("revoked %q", d.idp.revoked)
		}
	})
}
