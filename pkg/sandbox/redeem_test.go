package sandbox_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

func TestCodeWorksOnceAndForItsRequest(t *testing.T) {
	for name, changes := range map[string][]string{
		"OC-02 another redirect_uri":          {"redirect_uri", callback + "/"},
		"OC-02 no redirect_uri":               {"redirect_uri", "-"},
		"OC-02 an unknown code":               {"code", "8659m1X"},
		"OC-06 another verifier":              {"code_verifier", strings.Repeat("a", 43)},
		"OC-06 no verifier":                   {"code_verifier", "-"},
		"OC-06 the challenge as the verifier": {"code_verifier", challenge},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			g := newUserFixture(t)
			wantDead(t, g.exchange(g.code(), changes...))
		})
	}
	t.Run("OC-06 a verifier that is too short is refused, although it matches", func(t *testing.T) {
		g := newUserFixture(t)
		digest := sha256.Sum256([]byte("short"))
		code := g.code("code_challenge", base64.RawURLEncoding.EncodeToString(digest[:]))
		wantDead(t, g.exchange(code, "code_verifier", "short"))
	})
	t.Run("OC-06 a verifier without a challenge is refused", func(t *testing.T) {
		g := newUserFixture(t)
		wantDead(t, g.exchange(g.code("code_challenge", "-", "code_challenge_method", "-")))
	})
	t.Run("doc PKCE is not required", func(t *testing.T) {
		g := newUserFixture(t)
		pairOf(t, g.exchange(g.code("code_challenge", "-", "code_challenge_method", "-"), "code_verifier", "-"))
	})
	t.Run("OC-02 a request without a code is refused", func(t *testing.T) {
		got := newUserFixture(t).exchange("", "code", "-")
		wantStatus(t, got, 400)
		wantJSON(t, got, map[string]any{"error": "invalid_request"})
	})
	t.Run("OC-02 a code of another client is refused, and stays valid for its own", func(t *testing.T) {
		g := newUserFixture(t)
		code := g.code()
		must(t, g.Register(sandbox.Client{Connection: "other", Delegated: true}))
		d := g.declared("other")
		req := g.formRequest("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}})
		req.SetBasicAuth(url.QueryEscape(d["client_id"]), url.QueryEscape(d["client_secret"]))
		if got := g.send(req); got.status != 400 || got.json(t)["error"] != "invalid_grant" {
			t.Errorf("%d %s", got.status, got.body)
		}
		pairOf(t, g.exchange(code))
	})
	t.Run("OC-02 a refused exchange uses up the code", func(t *testing.T) {
		g := newUserFixture(t)
		code := g.code()
		wantDead(t, g.exchange(code, "redirect_uri", "https://elsewhere.example/"))
		wantDead(t, g.exchange(code))
	})
	t.Run("OC-02 a second use ends the grant of the first", func(t *testing.T) {
		g := newUserFixture(t)
		code := g.code()
		first := pairOf(t, g.exchange(code))
		bystander := g.granted()
		wantDead(t, g.exchange(code))
		if g.lives("creative-force", first.access) {
			t.Error("the access token lives")
		}
		wantDead(t, g.renew(first.refresh))
		pairOf(t, g.renew(bystander.refresh))
	})
}

func TestDocumentedCodesAndScopes(t *testing.T) {
	t.Run("doc the code expires after 30 minutes", func(t *testing.T) {
		g := newUserFixture(t)
		early, late := g.code(), g.code()
		g.advance(30*time.Minute - 1)
		pairOf(t, g.exchange(early))
		g.advance(1)
		wantDead(t, g.exchange(late))
	})
	t.Run("doc access tokens expire after 1 hour, refresh tokens after 30 days", func(t *testing.T) {
		g := newUserFixture(t)
		got := g.granted()
		g.advance(time.Hour)
		if g.lives("creative-force", got.access) {
			t.Error("the access token successorHeld its hour")
		}
		g.advance(30*24*time.Hour - time.Hour - 1)
		pairOf(t, g.renew(got.refresh))
		g.advance(1)
		wantDead(t, g.renew(got.refresh))
	})
	t.Run("doc without offline_access there is no refresh token", func(t *testing.T) {
		g := newUserFixture(t)
		code := g.code("scope", "cfgateway")
		got := g.exchange(code, "scope", "cfgateway")
		if pair := pairOf(t, got); pair.refresh != "" || got.json(t)["scope"] != "cfgateway" {
			t.Errorf("response %v", got.json(t))
		}
	})
	t.Run("doc step 3 repeats the scope", func(t *testing.T) {
		g := newUserFixture(t)
		got := g.exchange(g.code(), "scope", "cfgateway")
		wantStatus(t, got, 400)
		wantJSON(t, got, map[string]any{"error": "invalid_scope"})
		pairOf(t, g.exchange(g.code(), "scope", "-"))
	})
}

func TestIDTokenNamesTheUser(t *testing.T) {
	g := newFixture(t)
	must(t, g.Register(sandbox.Client{Connection: "app", Delegated: true, RedirectURIs: []string{callback}, IDToken: true, Scopes: []string{"openid"}}))
	d := g.declared("app")
	at := d["authorization_url"] + "?" + url.Values{"client_id": {d["client_id"]}, "redirect_uri": {callback}, "response_type": {"code"}, "nonce": {"n1"}}.Encode()
	req := g.formRequest("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "redirect_uri": {callback}, "code": {g.consents(at, "grace@crm.example", true).Get("code")},
	})
	req.SetBasicAuth(url.QueryEscape(d["client_id"]), url.QueryEscape(d["client_secret"]))
	got := g.send(req)
	pairOf(t, got)
	token, _ := got.json(t)["id_token"].(string)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(payload, &claims))
	now := float64(g.clock().Unix())
	want := map[string]any{
		"iss": g.url + "/oauth2", "sub": "grace@crm.example", "aud": d["client_id"], "nonce": "n1", "iat": now, "exp": now + 3600,
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("doc claims (-want +got):\n%s", diff)
	}
}
