package sandbox_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

const (
	callback     = "https://app.example/callback/creative-force-user"
	cfScope      = "cfgateway offline_access"
	verifier     = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge    = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	delegatedApp = "creative-force-user"
)

// newUserFixture is a fixture whose delegated client has its redirect URI.
func newUserFixture(t *testing.T) *fixture {
	t.Helper()
	g := newFixture(t)
	must(t, g.SetRedirectURIs(delegatedApp, callback))
	return g
}

// changed sets parameters, alternately name and value; "-" removes one.
func changed(v url.Values, changes []string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			v.Del(changes[i])
		} else {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

// authorizationURL is the documented authorization URL of the delegated client, with changes.
func (g *fixture) authorizationURL(changes ...string) string {
	g.t.Helper()
	d := g.declared(delegatedApp)
	return d["authorization_url"] + "?" + changed(url.Values{
		"client_id": {d["client_id"]}, "redirect_uri": {callback}, "scope": {cfScope}, "response_type": {"code"}, "state": {"s1"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}, changes).Encode()
}

// person is an HTTP client with its own cookies.
func (g *fixture) person() *http.Client {
	jar, err := cookiejar.New(nil)
	must(g.t, err)
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
}

// consents lets a user allow or deny, and returns the parameters at the redirect URI.
func (g *fixture) consents(at, user string, allow bool) url.Values {
	g.t.Helper()
	redirect, err := browserclient.Consent(g.t.Context(), g.person(), at, user, allow)
	must(g.t, err)
	u, err := url.Parse(redirect)
	must(g.t, err)
	return u.Query()
}

// exchange sends the documented request of step 3, with changes.
func (g *fixture) exchange(code string, changes ...string) reply {
	g.t.Helper()
	d := g.declared(delegatedApp)
	return g.send(g.formRequest(tokenPaths[delegatedApp], changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {d["client_id"]}, "client_secret": {d["client_secret"]},
		"scope": {cfScope}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	}, changes)))
}

// code is a new authorization code.
func (g *fixture) code(changes ...string) string {
	g.t.Helper()
	return g.consents(g.authorizationURL(changes...), "ada@studio.example", true).Get("code")
}

// pair is an access token and a refresh token.
type pair struct{ access, refresh string }

func pairOf(t *testing.T, got reply) pair {
	t.Helper()
	wantStatus(t, got, http.StatusOK)
	body := got.json(t)
	access, _ := body["access_token"].(string)
	refresh, _ := body["refresh_token"].(string)
	return pair{access, refresh}
}

// granted is the result of a complete consent.
func (g *fixture) granted() pair {
	g.t.Helper()
	return pairOf(g.t, g.exchange(g.code()))
}

// renew sends the documented refresh request, with changes.
func (g *fixture) renew(refreshToken string, changes ...string) reply {
	g.t.Helper()
	d := g.declared(delegatedApp)
	return g.send(g.formRequest(tokenPaths[delegatedApp], changed(url.Values{
		"grant_type": {"refresh_token"}, "client_id": {d["client_id"]}, "client_secret": {d["client_secret"]},
		"scope": {cfScope}, "refresh_token": {refreshToken},
	}, changes)))
}

func (g *fixture) policy(p sandbox.RefreshPolicy) {
	g.t.Helper()
	must(g.t, g.SetRefreshPolicy(delegatedApp, p))
}

func (g *fixture) refreshCounters() sandbox.RefreshCounters {
	g.t.Helper()
	c, err := g.Counters(delegatedApp)
	must(g.t, err)
	return c.Refresh
}

func wantDead(t *testing.T, got reply) {
	t.Helper()
	wantStatus(t, got, http.StatusBadRequest)
	wantJSON(t, got, map[string]any{"error": "invalid_grant"})
}

func TestDocumentedConsentOfAUser(t *testing.T) {
	g := newUserFixture(t)
	redirect, err := browserclient.Consent(t.Context(), nil, g.authorizationURL(), "ada@studio.example", true)
	must(t, err)
	u, err := url.Parse(redirect)
	must(t, err)
	code := u.Query().Get("code")
	t.Run("doc the redirect is exactly the documented one", func(t *testing.T) {
		if want := callback + "?code=" + code + "&scope=cfgateway+offline_access&state=s1"; redirect != want || len(code) != 43 {
			t.Errorf("redirect to %s", redirect)
		}
	})
	got := g.exchange(code)
	first := pairOf(t, got)
	t.Run("doc step 3 returns an access token and a refresh token", func(t *testing.T) {
		wantJSON(t, got, map[string]any{
			"access_token": first.access, "refresh_token": first.refresh, "token_type": "Bearer", "expires_in": 3600.0, "scope": cfScope,
		})
		if first.access == "" || first.refresh == "" || first.access == first.refresh {
			t.Error("the tokens are not two")
		}
	})
	t.Run("doc the access token acts for the user", func(t *testing.T) {
		wantJSON(t, g.access("creative-force", first.access), map[string]any{
			"connection": delegatedApp, "scope": cfScope, "on_behalf_of": "ada@studio.example", "expires_in": 3600.0,
		})
	})
	t.Run("doc the refresh token of step 3 stays valid", func(t *testing.T) {
		for range 3 {
			next := pairOf(t, g.renew(first.refresh))
			if next.refresh != first.refresh || next.access == first.access || !g.lives("creative-force", next.access) {
				t.Error("the refresh is not one")
			}
		}
	})
}
