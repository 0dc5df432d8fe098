package sandbox_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// revoke sends a token to the revocation endpoint, with changes.
func (g *fixture) revoke(token string, changes ...string) reply {
	g.t.Helper()
	d := g.declared(delegatedApp)
	return g.send(g.formRequest("/creative-force/connect/revocation", changed(url.Values{
		"client_id": {d["client_id"]}, "client_secret": {d["client_secret"]}, "token": {token}, "token_type_hint": {"refresh_token"},
	}, changes)))
}

func TestRevocation(t *testing.T) {
	t.Run("OC-14 a refresh token ends its family, and no other", func(t *testing.T) {
		g := newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways})
		bystander, first := g.granted(), g.granted()
		second := pairOf(t, g.renew(first.refresh))
		got := g.revoke(second.refresh)
		wantStatus(t, got, 200)
		if got.body != "" {
			t.Errorf("says %q", got.body)
		}
		wantDead(t, g.renew(second.refresh))
		if g.lives("creative-force", first.access) || g.lives("creative-force", second.access) {
			t.Error("an access token lives")
		}
		if !g.lives("creative-force", bystander.access) {
			t.Error("another grant ended")
		}
	})
	t.Run("OC-14 an access token is revoked alone, whatever the hint", func(t *testing.T) {
		g := newUserFixture(t)
		token := g.granted()
		wantStatus(t, g.revoke(token.access), 200)
		if g.lives("creative-force", token.access) {
			t.Error("it lives")
		}
		pairOf(t, g.renew(token.refresh))
	})
	t.Run("OC-14 an unknown token counts as revoked", func(t *testing.T) {
		wantStatus(t, newUserFixture(t).revoke("nothing"), 200)
	})
	for name, row := range map[string]struct{ change, want string }{
		"no token":       {"token", "invalid_request"},
		"no credentials": {"client_secret", "invalid_client"},
	} {
		t.Run("OC-14 refused: "+name, func(t *testing.T) {
			g := newUserFixture(t)
			token := g.granted()
			got := g.revoke(token.refresh, row.change, "-")
			wantStatus(t, got, 400)
			wantJSON(t, got, map[string]any{"error": row.want})
			pairOf(t, g.renew(token.refresh))
		})
	}
	t.Run("OC-14 another client's token is refused and stays valid", func(t *testing.T) {
		g := newUserFixture(t)
		token := g.granted()
		must(t, g.Register(sandbox.Client{Connection: "other", Delegated: true}))
		d := g.declared("other")
		for _, text := range []string{token.refresh, token.access} {
			req := g.formRequest("/oauth2/revoke", url.Values{"token": {text}})
			req.SetBasicAuth(url.QueryEscape(d["client_id"]), url.QueryEscape(d["client_secret"]))
			wantStatus(t, g.send(req), 400)
		}
		if !g.lives("creative-force", token.access) {
			t.Error("the access token died")
		}
		pairOf(t, g.renew(token.refresh))
	})
	t.Run("OC-14 it is a POST, counted separately, and can fail on demand", func(t *testing.T) {
		g := newUserFixture(t)
		token := g.granted()
		must(t, g.Fault(delegatedApp, sandbox.Fault{On: sandbox.OnRevocation, Status: 503, RetryAfter: "1", Count: 1}))
		if got := g.revoke(token.refresh); got.status != 503 || got.header.Get("Retry-After") != "1" {
			t.Errorf("status %d", got.status)
		}
		wantStatus(t, g.revoke(token.refresh), 200)
		wantStatus(t, g.send(g.request("GET", "/creative-force/connect/revocation", "")), 405)
		got, err := g.Counters(delegatedApp)
		must(t, err)
		if diff := cmp.Diff(sandbox.Counters{Total: 1, Outcomes: map[string]int{"issued": 1}, Revocations: 2}, got); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
	})
	t.Run("OC-14 faults of the token endpoint are not for it", func(t *testing.T) {
		g := newUserFixture(t)
		must(t, g.Fault(delegatedApp, sandbox.Fault{Status: 503}))
		wantStatus(t, g.revoke("x"), 200)
	})
	t.Run("OC-14 an abandoned one counts as nothing else", func(t *testing.T) {
		g := newUserFixture(t)
		must(t, g.Fault(delegatedApp, sandbox.Fault{On: sandbox.OnRevocation, Latency: time.Minute}))
		g.waitErr = context.Canceled
		d := g.declared(delegatedApp)
		_, err := g.try(g.formRequest("/creative-force/connect/revocation", url.Values{"client_id": {d["client_id"]}, "token": {"x"}}))
		got, errCounters := g.Counters(delegatedApp)
		must(t, errCounters)
		if diff := cmp.Diff(sandbox.Counters{Outcomes: map[string]int{}, Revocations: 1}, got); diff != "" || err == nil {
			t.Errorf("error %v, counters (-want +got):\n%s", err, diff)
		}
	})
}
