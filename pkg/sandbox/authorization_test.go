package sandbox_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

func TestInvalidClientIsNotRedirected(t *testing.T) {
	for name, changes := range map[string][]string{
		"an unknown client":             {"client_id", "717ed07d"},
		"no client":                     {"client_id", "-"},
		"no redirect_uri":               {"redirect_uri", "-"},
		"another path":                  {"redirect_uri", callback + "/"},
		"another case":                  {"redirect_uri", strings.ToUpper(callback)},
		"a query more":                  {"redirect_uri", callback + "?x=y"},
		"an escaped letter":             {"redirect_uri", strings.Replace(callback, "callback", "%63allback", 1)},
		"another host":                  {"redirect_uri", "https://attacker.example/callback/creative-force-user"},
		"another host, and bad besides": {"redirect_uri", "https://attacker.example/", "response_type", "token"},
	} {
		t.Run("OC-02 "+name, func(t *testing.T) {
			s := newUserFixture(t).surfer()
			got := s.open(s.authorizationURL(changes...))
			wantStatus(t, got, http.StatusBadRequest)
			if got.header.Get("Location") != "" || !strings.Contains(got.body, "<h1>This did not work</h1>") || strings.Contains(got.body, "attacker") {
				t.Errorf("Location %q, page %s", got.header.Get("Location"), got.body)
			}
		})
	}
	for name, suffix := range map[string]string{
		"redirect_uri twice": "&redirect_uri=" + url.QueryEscape(callback), "client_id twice": "&client_id=x", "no query": "&%zz",
	} {
		t.Run("OC-02 "+name, func(t *testing.T) {
			s := newUserFixture(t).surfer()
			got := s.open(s.authorizationURL() + suffix)
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("%d, Location %q", got.status, got.header.Get("Location"))
			}
		})
	}
	t.Run("OC-02 a client of client_credentials has no users", func(t *testing.T) {
		s := newUserFixture(t).surfer()
		got := s.open(s.authorizationURL("client_id", s.declared("creative-force")["client_id"]))
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "No registered app for users") {
			t.Errorf("%d, page %s", got.status, got.body)
		}
	})
	t.Run("OC-02 a client of another server is unknown", func(t *testing.T) {
		s := newUserFixture(t).surfer()
		must(t, s.Register(sandbox.Client{Connection: "app", Delegated: true, RedirectURIs: []string{callback}}))
		wantStatus(t, s.open(s.authorizationURL("client_id", s.declared("app")["client_id"])), http.StatusBadRequest)
	})
	t.Run("OC-02 another method is refused", func(t *testing.T) {
		s := newUserFixture(t).surfer()
		wantStatus(t, s.send(s.request("PUT", strings.TrimPrefix(s.authorizationURL(), s.url), "")), http.StatusMethodNotAllowed)
	})
}

func TestInvalidRequestsRedirectToTheApp(t *testing.T) {
	for name, row := range map[string]struct {
		changes []string
		want    string
	}{
		"OC-02 no response_type":           {[]string{"response_type", "-"}, "invalid_request"},
		"OC-02 another response_type":      {[]string{"response_type", "token"}, "unsupported_response_type"},
		"OC-02 no scope":                   {[]string{"scope", "-"}, "invalid_scope"},
		"OC-02 an unknown scope":           {[]string{"scope", "cfgateway openid"}, "invalid_scope"},
		"doc cfgateway is required":        {[]string{"scope", "offline_access"}, "invalid_scope"},
		"OC-02 doubled spaces":             {[]string{"scope", "cfgateway  offline_access"}, "invalid_scope"},
		"OC-06 plain":                      {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"OC-06 no method, which is plain":  {[]string{"code_challenge_method", "-"}, "invalid_request"},
		"OC-06 a method without challenge": {[]string{"code_challenge", "-"}, "invalid_request"},
		"OC-06 a padded challenge":         {[]string{"code_challenge", challenge + "="}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newUserFixture(t).surfer()
			got := queryOf(t, s.open(s.authorizationURL(row.changes...)))
			if got.Get("error") != row.want || got.Get("state") != "s1" || got.Has("code") {
				t.Errorf("response %v", got)
			}
		})
	}
	t.Run("OC-02 a parameter that is repeated", func(t *testing.T) {
		s := newUserFixture(t).surfer()
		if got := queryOf(t, s.open(s.authorizationURL()+"&state=s2")); got.Get("error") != "invalid_request" || got.Has("state") {
			t.Errorf("response %v", got)
		}
	})
	t.Run("OC-06 a client that must use PKCE", func(t *testing.T) {
		s := newUserFixture(t).surfer()
		must(t, s.Register(sandbox.Client{Connection: "app", Delegated: true, RedirectURIs: []string{callback}, RequirePKCE: true}))
		d := s.declared("app")
		at := d["authorization_url"] + "?" + url.Values{"client_id": {d["client_id"]}, "redirect_uri": {callback}, "response_type": {"code"}}.Encode()
		if got := queryOf(t, s.open(at)); got.Get("error") != "invalid_request" {
			t.Errorf("response %v", got)
		}
		wantStatus(t, s.open(at+"&code_challenge_method=S256&code_challenge="+challenge), http.StatusOK)
	})
}

func TestStateIsReturnedUnchanged(t *testing.T) {
	for _, state := range []string{"a.b-c_d~", "a b+c%20&d=e#f", `"<script>é`, strings.Repeat("x", 2000)} {
		t.Run("doc "+state[:5], func(t *testing.T) {
			g := newUserFixture(t)
			for _, allow := range []bool{true, false} {
				if got := g.consents(g.authorizationURL("state", state), "", allow); got.Get("state") != state {
					t.Errorf("state %q", got.Get("state"))
				}
			}
		})
	}
	t.Run("doc no state stays absent", func(t *testing.T) {
		g := newUserFixture(t)
		if got := g.consents(g.authorizationURL("state", "-"), "", true); got.Has("state") {
			t.Errorf("response %v", got)
		}
	})
}

func TestResponseIssuer(t *testing.T) {
	for iss, want := range map[sandbox.ResponseIssuer]string{
		sandbox.IssuerAbsent: "", sandbox.IssuerTrue: "/oauth2", sandbox.IssuerFalse: "https://another.example",
	} {
		t.Run("OC-08 iss "+string(iss), func(t *testing.T) {
			g := newFixture(t)
			must(t, g.Register(sandbox.Client{Connection: "app", Delegated: true, RedirectURIs: []string{callback + "?tenant=1"}, Issuer: sandbox.IssuerTrue}))
			d := g.declared("app")
			must(t, g.SetResponseIssuer("app", iss))
			at := d["authorization_url"] + "?" + url.Values{"client_id": {d["client_id"]}, "redirect_uri": {callback + "?tenant=1"}, "response_type": {"code"}}.Encode()
			for _, allow := range []bool{true, false} {
				got := g.consents(at, "", allow)
				if strings.TrimPrefix(got.Get("iss"), g.url) != want || got.Has("iss") != (want != "") || got.Get("tenant") != "1" || got.Has("scope") {
					t.Errorf("response %v", got)
				}
			}
			if d["issuer"] != g.url+"/oauth2" {
				t.Errorf("the file names the issuer %q", d["issuer"])
			}
		})
	}
}
