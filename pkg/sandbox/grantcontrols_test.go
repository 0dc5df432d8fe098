package sandbox_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

func TestRedirectURIsAreRegistered(t *testing.T) {
	local := []string{
		"http://localhost:1234/", "http://LOCALHOST/", "http://app.localhost/", "http://127.0.0.1/", "http://127.8.8.8:80/x", "http://[::1]:8080/",
		"http://[::ffff:127.0.0.1]/", "http://localhost./", "http://0.0.0.0/",
	}
	for _, uri := range local {
		t.Run("doc localhost is not supported: "+uri, func(t *testing.T) {
			g := newUserFixture(t)
			if g.SetRedirectURIs(delegatedApp, uri) == nil || g.SetPostLogoutRedirectURI(delegatedApp, uri) == nil {
				t.Error("registered")
			}
			pairOf(t, g.exchange(g.code())) // the previous ones stay registered
			told := sandbox.New(sandbox.Config{LocalRedirects: true})
			must(t, told.SetRedirectURIs(delegatedApp, uri))
			must(t, g.Register(sandbox.Client{Connection: "plain", Delegated: true, RedirectURIs: []string{uri}}))
		})
	}
	for _, uri := range []string{"", "/callback", "app.example/callback", "javascript:alert(1)", "com.app:/callback", "https:///x", "https://u:p@app.example/", "https://app.example/#x", "https://app.example/#"} {
		t.Run("OC-02 no redirect URI: "+uri, func(t *testing.T) {
			g := newUserFixture(t)
			if g.SetRedirectURIs(delegatedApp, callback, uri) == nil {
				t.Error("registered")
			}
		})
	}
	t.Run("doc without one no user can consent", func(t *testing.T) {
		g := newUserFixture(t)
		must(t, g.SetRedirectURIs(delegatedApp))
		wantStatus(t, g.surfer().open(g.authorizationURL()), 400)
	})
	t.Run("doc several, each compared exactly", func(t *testing.T) {
		g := newUserFixture(t)
		second := "https://app.example/other?x=1"
		must(t, g.SetRedirectURIs(delegatedApp, callback, second))
		got := g.consents(g.authorizationURL("redirect_uri", second), "", true)
		pairOf(t, g.exchange(got.Get("code"), "redirect_uri", second))
	})
}

func TestControlsOfDelegatedClientsNeedOne(t *testing.T) {
	g := newFixture(t)
	for name, apply := range map[string]func(connection string) error{
		"redirects":   func(c string) error { return g.SetRedirectURIs(c, callback) },
		"post logout": func(c string) error { return g.SetPostLogoutRedirectURI(c, callback) },
		"refresh":     func(c string) error { return g.SetRefreshPolicy(c, sandbox.RefreshPolicy{}) },
		"issuer":      func(c string) error { return g.SetResponseIssuer(c, sandbox.IssuerTrue) },
		"end":         func(c string) error { _, err := g.EndGrants(c, ""); return err },
		"expire":      func(c string) error { _, err := g.ExpireRefreshTokens(c); return err },
		"forget":      func(c string) error { _, err := g.ForgetCodes(c); return err },
	} {
		t.Run("BI-14 "+name, func(t *testing.T) {
			must(t, apply(delegatedApp))
			if err := apply("creative-force"); err == nil || errors.Is(err, sandbox.ErrNoConnection) {
				t.Errorf("a client that is not delegated: %v", err)
			}
			if err := apply("unknown"); !errors.Is(err, sandbox.ErrNoConnection) {
				t.Errorf("an unknown connection: %v", err)
			}
		})
	}
	for name, policy := range map[string]sandbox.RefreshPolicy{
		"an unknown rotation":    {Rotation: "sometimes"},
		"an unknown repeat":      {Repeat: "twice"},
		"rotating in secret":     {Rotation: sandbox.RotateAlways, Repeat: sandbox.RepeatOmit},
		"a grace for nothing":    {Grace: time.Second},
		"a negative grace":       {Rotation: sandbox.RotateAlways, Grace: -time.Second},
		"a negative life":        {Life: -time.Second},
		"a fraction of a second": {Life: time.Millisecond},
	} {
		t.Run("BI-14 refused: "+name, func(t *testing.T) {
			if g.SetRefreshPolicy(delegatedApp, policy) == nil || g.Register(sandbox.Client{Connection: "app", Delegated: true, Refresh: policy}) == nil {
				t.Error("accepted")
			}
		})
	}
	for name, client := range map[string]sandbox.Client{
		"an unknown iss":                     {Delegated: true, Issuer: "maybe"},
		"a bad redirect URI":                 {Delegated: true, RedirectURIs: []string{"x"}},
		"a bad post logout URI":              {Delegated: true, PostLogoutRedirectURI: "x"},
		"redirect URIs without users":        {RedirectURIs: []string{callback}},
		"a post logout URI without users":    {PostLogoutRedirectURI: callback},
		"PKCE without users":                 {RequirePKCE: true},
		"an issuer without users":            {Issuer: sandbox.IssuerTrue},
		"an id_token without users":          {IDToken: true},
		"a policy of refresh without a user": {Refresh: sandbox.RefreshPolicy{Rotation: sandbox.RotateNever}},
	} {
		t.Run("BI-14 not registered: "+name, func(t *testing.T) {
			client.Connection = "app"
			if g.Register(client) == nil {
				t.Error("registered")
			}
		})
	}
	if g.SetResponseIssuer(delegatedApp, "maybe") == nil {
		t.Error("BI-14 an unknown iss is accepted")
	}
}

func TestGrantsEndAtTheProvider(t *testing.T) {
	t.Run("FI-24 one user withdraws, another does not", func(t *testing.T) {
		g := newUserFixture(t)
		ada := g.granted()
		grace := pairOf(t, g.exchange(g.consents(g.authorizationURL(), "grace@studio.example", true).Get("code")))
		ended, err := g.EndGrants(delegatedApp, "ada@studio.example")
		if err != nil || ended != 1 {
			t.Fatalf("%d ended, %v", ended, err)
		}
		wantDead(t, g.renew(ada.refresh))
		if g.lives("creative-force", ada.access) || !g.lives("creative-force", grace.access) {
			t.Error("the wrong access token died")
		}
		pairOf(t, g.renew(grace.refresh))
		wantRefreshes(t, g, sandbox.RefreshCounters{Requests: 2, Granted: 1, Refused: 1})
	})
	t.Run("FI-24 all users, once", func(t *testing.T) {
		g := newUserFixture(t)
		g.granted()
		g.granted()
		for _, want := range []int{2, 0} {
			if ended, err := g.EndGrants(delegatedApp, ""); err != nil || ended != want {
				t.Errorf("%d ended, want %d; %v", ended, want, err)
			}
		}
		pairOf(t, g.renew(g.granted().refresh)) // consenting again helps
	})
	t.Run("FI-24 refresh tokens expire, access tokens stay valid", func(t *testing.T) {
		g := newUserFixture(t)
		token := g.granted()
		for _, want := range []int{1, 0} {
			if expired, err := g.ExpireRefreshTokens(delegatedApp); err != nil || expired != want {
				t.Errorf("%d expired, want %d; %v", expired, want, err)
			}
		}
		wantDead(t, g.renew(token.refresh))
		if !g.lives("creative-force", token.access) {
			t.Error("the access token died")
		}
	})
	t.Run("OC-02 a code is forgotten", func(t *testing.T) {
		g := newUserFixture(t)
		pairOf(t, g.exchange(g.code()))
		code := g.code()
		if forgotten, err := g.ForgetCodes(delegatedApp); err != nil || forgotten != 1 {
			t.Errorf("%d forgotten, %v", forgotten, err)
		}
		wantDead(t, g.exchange(code))
	})
	t.Run("FI-23 a new client secret ends access tokens, and no grant", func(t *testing.T) {
		g := newUserFixture(t)
		token := g.granted()
		must(t, g.Rotate(delegatedApp, sandbox.Rotation{}))
		if g.lives("creative-force", token.access) {
			t.Error("the access token successorHeld the secret")
		}
		pairOf(t, g.renew(token.refresh))
	})
}

func TestLifetimeOfARefreshToken(t *testing.T) {
	g := newUserFixture(t)
	g.policy(sandbox.RefreshPolicy{Life: time.Hour, StateLife: true})
	got := g.exchange(g.code())
	if left := got.json(t)["refresh_token_expires_in"]; left != 3600.0 {
		t.Errorf("OC-03 lives %v seconds, want 3600", left)
	}
	token := pairOf(t, got).refresh
	g.advance(20 * time.Minute)
	if left := g.renew(token).json(t)["refresh_token_expires_in"]; left != 2400.0 {
		t.Errorf("OC-03 %v seconds are left of one that stays, want 2400", left)
	}
	g.advance(40 * time.Minute)
	wantDead(t, g.renew(token))
}

func TestControlOfDelegatedClients(t *testing.T) {
	g := newUserFixture(t)
	wantStatus(t, g.post(delegatedApp+"/redirects", `{"redirect_uris":["https://app.example/a","`+callback+`"],"post_logout_redirect_uri":"https://app.example/"}`), 200)
	wantStatus(t, g.post(delegatedApp+"/refresh", `{"rotation":"detect","grace":10,"life":60,"state_life":true}`), 200)
	wantStatus(t, g.post(delegatedApp+"/issuer", `{"iss":"true"}`), 200)
	token := g.granted()
	g.renew(token.refresh)
	got := g.send(g.request("GET", "/control/"+delegatedApp, ""))
	shown := got.json(t)
	t.Run("BI-14 the state shows what was set, and no token", func(t *testing.T) {
		want := map[string]any{
			"authorization_url": g.url + "/creative-force/connect/authorize", "revocation_url": g.url + "/creative-force/connect/revocation",
			"redirect_uris": []any{"https://app.example/a", callback}, "post_logout_redirect_uri": "https://app.example/", "iss": "true",
			"refresh": map[string]any{"rotation": "detect", "repeat": "same", "grace": 10.0, "life": 60.0, "state_life": true},
			"grants":  []any{map[string]any{"user": "ada@studio.example", "scope": cfScope, "refresh_tokens": 2.0}},
		}
		for member, value := range want {
			if diff := cmp.Diff(value, shown[member]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", member, diff)
			}
		}
		refresh := map[string]any{"requests": 1.0, "granted": 1.0, "refused": 0.0, "superseded": 0.0, "reused": 0.0, "detected": 0.0}
		if diff := cmp.Diff(any(refresh), shown["token_requests"].(map[string]any)["refresh"]); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
		if strings.Contains(got.body, token.refresh) || strings.Contains(got.body, token.access) {
			t.Error("INV-5 a token is shown")
		}
	})
	t.Run("BI-14 the state omits tokens replaced before the grace period", func(t *testing.T) {
		g.advance(10 * time.Second)
		grants := g.send(g.request("GET", "/control/"+delegatedApp, "")).json(t)["grants"]
		if diff := cmp.Diff(any([]any{map[string]any{"user": "ada@studio.example", "scope": cfScope, "refresh_tokens": 1.0}}), grants); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	g.code()
	for _, row := range []struct{ path, body, want string }{
		{"forget", "", `{"forgotten":1}`}, {"expire", "", `{"expired":2}`},
		{"end", `{"user":"unknown@studio.example"}`, `{"ended":0}`}, {"end", "", `{"ended":0}`},
	} {
		t.Run("BI-14 "+row.path+row.body, func(t *testing.T) {
			if got := g.post(delegatedApp+"/"+row.path, row.body); strings.Join(strings.Fields(got.body), "") != row.want {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	t.Run("BI-14 register for users", func(t *testing.T) {
		got := g.send(g.request("PUT", "/control/app", `{"delegated":true,"require_pkce":true,"iss":"true","id_token":true,
			"redirect_uris":["`+callback+`"],"post_logout_redirect_uri":"https://app.example/","refresh":{"repeat":"null"}}`))
		wantStatus(t, got, 200)
		if file := got.json(t); file["grant_type"] != "authorization_code" || file["issuer"] != g.url+"/oauth2" || file["revocation_url"] != g.url+"/oauth2/revoke" {
			t.Errorf("file %v", file)
		}
		state := g.send(g.request("GET", "/control/app", "")).json(t)
		if state["require_pkce"] != true || state["id_token"] != true || state["iss"] != "true" || state["refresh"].(map[string]any)["repeat"] != "null" {
			t.Errorf("state %v", state)
		}
	})
	for name, row := range map[string][2]string{
		"redirects without any":     {"redirects", `{}`},
		"a redirect that is none":   {"redirects", `{"redirect_uris":["x"]}`},
		"a logout that is none":     {"redirects", `{"post_logout_redirect_uri":"x"}`},
		"an unknown rotation":       {"refresh", `{"rotation":"sometimes"}`},
		"an unknown member":         {"refresh", `{"mode":"never"}`},
		"no iss":                    {"issuer", `{}`},
		"an unknown iss":            {"issuer", `{"iss":"maybe"}`},
		"an end with a wrong name":  {"end", `{"usr":"x"}`},
		"an expiry with a body":     {"expire", `{"user":"x"}`},
		"a forgetting with a body":  {"forget", `{"user":"x"}`},
		"a fault on something else": {"fault", `{"on":"password","status":500}`},
	} {
		t.Run("BI-14 "+name, func(t *testing.T) {
			wantStatus(t, g.post(delegatedApp+"/"+row[0], row[1]), 400)
		})
	}
	for _, path := range []string{"redirects", "refresh", "issuer", "end", "expire", "forget"} {
		t.Run("BI-14 only for users: "+path, func(t *testing.T) {
			body := map[string]string{"redirects": `{"redirect_uris":[],"post_logout_redirect_uri":""}`, "issuer": `{"iss":""}`}[path]
			wantStatus(t, g.post("cliquify/"+path, body), 400)
			wantStatus(t, g.post("unknown/"+path, body), 404)
		})
	}
}

// A long run removes what has expired, and nothing else.
func TestExpiredCodesAndRefreshTokensAreRemoved(t *testing.T) {
	g := newUserFixture(t)
	g.policy(sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways, Life: time.Hour})
	token := g.granted()
	ask := func(text string) string {
		w := httptest.NewRecorder()
		d := g.declared(delegatedApp)
		form := g.form(delegatedApp, "grant_type", "refresh_token", "refresh_token", text, "client_id", d["client_id"], "scope", cfScope)
		g.ServeHTTP(w, g.formRequest(tokenPaths[delegatedApp], form))
		var body map[string]any
		must(t, json.Unmarshal(w.Body.Bytes(), &body))
		next, _ := body["refresh_token"].(string)
		return next
	}
	text := token.refresh
	for range 2200 {
		g.advance(time.Minute)
		text = ask(text)
	}
	if kept := g.RememberedGrants(); text == "" || kept > 1100 {
		t.Errorf("INV-2 %d are kept, or the last one died", kept)
	}
}

func TestBrowsersThatNeverSignedInAreRemoved(t *testing.T) {
	g := newUserFixture(t)
	s := g.surfer()
	s.signIn(g.authorizationURL(), "ada@studio.example")
	for range 1500 {
		g.ServeHTTP(httptest.NewRecorder(), g.request("GET", strings.TrimPrefix(g.authorizationURL(), g.url), ""))
	}
	if kept := g.RememberedBrowsers(); kept > 1024 {
		t.Errorf("INV-2 %d browsers are kept", kept)
	}
	if !strings.Contains(s.open(g.authorizationURL()).body, "Yes, Allow") {
		t.Error("doc who had signed in is forgotten")
	}
}
