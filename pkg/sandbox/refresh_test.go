package sandbox_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

func wantRefreshes(t *testing.T, g *fixture, want sandbox.RefreshCounters) {
	t.Helper()
	if diff := cmp.Diff(want, g.refreshCounters()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestRefreshScope(t *testing.T) {
	for scope, status := range map[string]int{
		cfScope: 200, "offline_access cfgateway": 200,
		"cfgateway": 400, cfScope + " openid": 400, "-": 400,
	} {
		t.Run("OC-03 Creative Force requires the same scope: "+scope, func(t *testing.T) {
			g := newUserFixture(t)
			token := g.granted().refresh
			got := g.renew(token, "scope", scope)
			wantStatus(t, got, status)
			if status == 400 {
				wantJSON(t, got, map[string]any{"error": "invalid_scope"})
				pairOf(t, g.renew(token)) // it is not used up
			}
		})
	}
	t.Run("OC-03 the same scope is the same set, in any order", func(t *testing.T) {
		g := newUserFixture(t)
		token := pairOf(t, g.exchange(g.code("scope", "offline_access cfgateway")))
		pairOf(t, g.renew(token.refresh))
	})
	for scope, want := range map[string]string{"-": "read write", "read": "read", "read admin": "", "read  write": ""} {
		t.Run("OC-03 the plain server accepts any part of it: "+scope, func(t *testing.T) {
			g := newFixture(t)
			must(t, g.Register(sandbox.Client{Connection: "app", Delegated: true, RedirectURIs: []string{callback}, Scopes: []string{"read", "write", "admin"}}))
			d := g.declared("app")
			ask := func(form url.Values) reply {
				req := g.formRequest("/oauth2/token", form)
				req.SetBasicAuth(url.QueryEscape(d["client_id"]), url.QueryEscape(d["client_secret"]))
				return g.send(req)
			}
			at := d["authorization_url"] + "?" + url.Values{"client_id": {d["client_id"]}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"read write"}}.Encode()
			first := pairOf(t, ask(url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {callback}, "code": {g.consents(at, "", true).Get("code")}}))
			got := ask(changed(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.refresh}}, []string{"scope", scope}))
			if granted, _ := got.json(t)["scope"].(string); granted != want {
				t.Errorf("granted %q; %d %s", granted, got.status, got.body)
			}
		})
	}
}

func TestResponseWithAKeptRefreshToken(t *testing.T) {
	for repeat, want := range map[sandbox.RepeatedToken]any{
		sandbox.RepeatOmit: "absent", sandbox.RepeatEmpty: "", sandbox.RepeatNull: nil, sandbox.RepeatSame: "same", "": "same",
	} {
		t.Run("OC-67 "+string(repeat), func(t *testing.T) {
			g := newUserFixture(t)
			g.policy(sandbox.RefreshPolicy{Repeat: repeat})
			first := g.granted()
			if first.refresh == "" {
				t.Fatal("step 3 hides the refresh token")
			}
			got, there := g.renew(first.refresh).json(t)["refresh_token"]
			switch {
			case !there:
				got = "absent"
			case got == first.refresh:
				got = "same"
			}
			if got != want {
				t.Errorf("the response has %v, want %v", got, want)
			}
			wantStatus(t, g.renew(first.refresh), 200)
		})
	}
}

func TestRotation(t *testing.T) {
	for _, rotation := range []sandbox.RefreshRotation{sandbox.RotateAlways, sandbox.RotateAndDetect} {
		t.Run("OC-67 a new refresh token each time, the previous access token stays valid: "+string(rotation), func(t *testing.T) {
			g := newUserFixture(t)
			g.policy(sandbox.RefreshPolicy{Rotation: rotation})
			token := g.granted()
			for range 3 {
				next := pairOf(t, g.renew(token.refresh))
				if next.refresh == "" || next.refresh == token.refresh || !g.lives("creative-force", token.access) {
					t.Error("not rotated, or the access token before died")
				}
				token = next
			}
			wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 3, Granted: 3})
		})
	}
	t.Run("FI-24 a superseded one is refused, its successor works", func(t *testing.T) {
		g := newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways})
		first := g.granted()
		second := pairOf(t, g.renew(first.refresh))
		wantDead(t, g.renew(first.refresh))
		pairOf(t, g.renew(second.refresh))
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 3, Granted: 2, Refused: 1, Superseded: 1})
	})
	t.Run("FI-06 in its grace period it makes another successor, later none", func(t *testing.T) {
		g := newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAndDetect, Grace: 10 * time.Second})
		first := g.granted()
		second := pairOf(t, g.renew(first.refresh))
		g.advance(10*time.Second - 1)
		third := pairOf(t, g.renew(first.refresh))
		for _, successor := range []pair{second, third} {
			pairOf(t, g.renew(successor.refresh))
		}
		g.advance(1)
		wantDead(t, g.renew(first.refresh))
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 5, Granted: 4, Refused: 1, Superseded: 2, Reused: 1, Detected: 1})
	})
	t.Run("FI-24 reuse detection ends the whole family, and no other", func(t *testing.T) {
		g := newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAndDetect})
		bystander, first := g.granted(), g.granted()
		second := pairOf(t, g.renew(first.refresh))
		third := pairOf(t, g.renew(second.refresh))
		wantDead(t, g.renew(first.refresh))
		wantDead(t, g.renew(third.refresh))
		for _, token := range []pair{first, second, third} {
			if g.lives("creative-force", token.access) {
				t.Error("an access token of the family lives")
			}
		}
		pairOf(t, g.renew(bystander.refresh))
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 5, Granted: 3, Refused: 2, Superseded: 1, Reused: 1, Detected: 1})
	})
	t.Run("OC-03 each is valid for 30 days", func(t *testing.T) {
		g := newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways})
		token := g.granted()
		for range 3 {
			g.advance(29 * 24 * time.Hour)
			token = pairOf(t, g.renew(token.refresh))
		}
	})
}

func TestReuseIsCountedAfterTheSuccessorIsUsed(t *testing.T) {
	rotated := func(t *testing.T) (g *fixture, first, second pair) {
		g = newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways, Grace: time.Hour})
		first = g.granted()
		return g, first, pairOf(t, g.renew(first.refresh))
	}
	t.Run("FI-06 the first use after a lost response is not reuse", func(t *testing.T) {
		g, first, _ := rotated(t)
		g.renew(first.refresh)
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 2, Granted: 2, Superseded: 1})
	})
	t.Run("FI-06 the access token of the successor proves it", func(t *testing.T) {
		g, first, second := rotated(t)
		g.lives("creative-force", second.access)
		g.renew(first.refresh)
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 2, Granted: 2, Superseded: 1, Reused: 1})
	})
	t.Run("FI-06 the successor's successor proves it too", func(t *testing.T) {
		g, first, second := rotated(t)
		third := pairOf(t, g.renew(second.refresh))
		g.lives("creative-force", third.access)
		g.renew(first.refresh)
		g.renew(second.refresh)
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 4, Granted: 4, Superseded: 2, Reused: 2})
	})
	t.Run("FI-06 the previous access token proves nothing", func(t *testing.T) {
		g, first, _ := rotated(t)
		g.lives("creative-force", first.access)
		g.renew(first.refresh)
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 2, Granted: 2, Superseded: 1})
	})
	t.Run("FI-06 also behind a fault that replaces the response", func(t *testing.T) {
		g, first, second := rotated(t)
		g.lives("creative-force", second.access)
		must(t, g.Fault(delegatedApp, sandbox.Fault{Status: 503}))
		g.renew(first.refresh)
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 2, Granted: 1, Superseded: 1, Reused: 1})
	})
	t.Run("INV-2 a race for one token: one is granted, each other counts once", func(t *testing.T) {
		g := newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways})
		token := g.granted().refresh
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { g.renew(token) })
		}
		all.Wait()
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 20, Granted: 1, Refused: 19, Superseded: 19})
	})
}

func TestOvertakenRefreshCountsAsReuse(t *testing.T) {
	g := newUserFixture(t)
	var s *sandbox.Sandbox
	form := g.form(delegatedApp, "grant_type", "refresh_token", "scope", cfScope)
	refresh := func() int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, g.formRequest(tokenPaths[delegatedApp], form))
		return w.Code
	}
	overtaking := 0
	s = sandbox.New(sandbox.Config{Now: g.clock, BaseURL: g.url, Wait: func(context.Context, time.Duration) error {
		overtaking = refresh()
		return nil
	}})
	g.Sandbox, g.url = s, serve(t, s)
	g.SetBaseURL(g.url)
	must(t, g.SetRedirectURIs(delegatedApp, callback))
	g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways})
	token := g.granted()
	form = g.form(delegatedApp, "grant_type", "refresh_token", "scope", cfScope, "refresh_token", token.refresh)
	must(t, g.Fault(delegatedApp, sandbox.Fault{Latency: time.Second, Count: 1}))
	if slow := refresh(); slow != 400 || overtaking != 200 {
		t.Errorf("FI-06 statuses %d and %d", slow, overtaking)
	}
	wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 2, Granted: 1, Refused: 1, Superseded: 1})
}

func serve(t *testing.T, s *sandbox.Sandbox) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

func TestRefreshTokenIsForItsClientOnly(t *testing.T) {
	g := newUserFixture(t)
	g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways})
	must(t, g.Register(sandbox.Client{Connection: "other", Delegated: true}))
	d := g.declared("other")
	first := g.granted()
	second := pairOf(t, g.renew(first.refresh))
	for _, text := range []string{first.refresh, second.refresh} {
		req := g.formRequest("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}})
		req.SetBasicAuth(url.QueryEscape(d["client_id"]), url.QueryEscape(d["client_secret"]))
		if got := g.send(req); got.status != 400 || got.json(t)["error"] != "invalid_grant" {
			t.Errorf("FI-24 another client's: %d %s", got.status, got.body)
		}
	}
	other, err := g.Counters("other")
	must(t, err)
	if diff := cmp.Diff(sandbox.RefreshCounters{Requests: 2, Refused: 2}, other.Refresh); diff != "" {
		t.Errorf("FI-24 counters of the other (-want +got):\n%s", diff)
	}
	pairOf(t, g.renew(second.refresh))
}

func TestFaultsOfARefresh(t *testing.T) {
	t.Run("FI-06 the server rotates, the client sees a reset", func(t *testing.T) {
		g := newUserFixture(t)
		g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways})
		token := g.granted().refresh
		must(t, g.Fault(delegatedApp, sandbox.Fault{On: "refresh_token", Processed: true, Reset: true, Count: 1}))
		pairOf(t, g.exchange(g.code())) // the fault is not for this one
		d := g.declared(delegatedApp)
		_, err := g.try(g.formRequest(tokenPaths[delegatedApp], url.Values{
			"grant_type": {"refresh_token"}, "client_id": {d["client_id"]}, "client_secret": {d["client_secret"]}, "scope": {cfScope}, "refresh_token": {token},
		}))
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Fatalf("the response came: %v", err)
		}
		wantDead(t, g.renew(token))
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 2, Granted: 1, Refused: 1, Superseded: 1})
	})
	t.Run("FI-25 invalid_grant once, then success", func(t *testing.T) {
		g := newUserFixture(t)
		token := g.granted().refresh
		must(t, g.Fault(delegatedApp, sandbox.Fault{On: "refresh_token", Status: 400, Body: `{"error":"invalid_grant"}`, Count: 1}))
		wantDead(t, g.renew(token))
		pairOf(t, g.renew(token))
	})
	t.Run("FI-06 each kind of request has its own faults", func(t *testing.T) {
		g := newUserFixture(t)
		token := g.granted().refresh
		must(t, g.Fault(delegatedApp,
			sandbox.Fault{On: "refresh_token", Count: 1, Status: 500}, sandbox.Fault{On: "refresh_token", Count: 1, Status: 502},
			sandbox.Fault{On: sandbox.OnRevocation, Status: 503}, sandbox.Fault{On: "authorization_code", Count: 1, Status: 504}))
		got := []int{
			g.revoke(token).status, g.exchange("x").status, g.renew(token).status, g.renew(token).status, g.renew(token).status,
			g.revoke(token).status, g.exchange("x").status,
		}
		if diff := cmp.Diff([]int{503, 504, 500, 502, 200, 503, 400}, got); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
	for name, script := range map[string][]sandbox.Fault{
		"an unknown kind":                   {{On: "password", Status: 500}},
		"one that hides the same kind":      {{On: "refresh_token", Status: 500}, {On: "refresh_token", Status: 502}},
		"one for all that hides the second": {{Status: 500}, {On: "refresh_token", Status: 502}},
	} {
		t.Run("FI-10 refused: "+name, func(t *testing.T) {
			if newUserFixture(t).Fault(delegatedApp, script...) == nil {
				t.Error("accepted")
			}
		})
	}
}
