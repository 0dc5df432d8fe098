package sandbox_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// Each subtest is a statement of the provider's document.

func TestCreativeForceClientCredentials(t *testing.T) {
	t.Run("the response is the documented one", func(t *testing.T) {
		g := newFixture(t)
		got := g.ask("creative-force")
		wantStatus(t, got, http.StatusOK)
		body := got.json(t)
		token, _ := body["access_token"].(string)
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(token) {
			t.Errorf("access token of %d characters is not opaque", len(token))
		}
		wantJSON(t, got, map[string]any{"access_token": token, "expires_in": 3600.0, "token_type": "Bearer", "scope": "cfgateway"})
		if cc := got.header.Get("Cache-Control"); cc != "no-store" {
			t.Errorf("Cache-Control %q", cc)
		}
	})
	t.Run("the access token expires after 1 hour", func(t *testing.T) {
		g := newFixture(t)
		token := g.mint("creative-force")
		g.advance(time.Hour - time.Second)
		if !g.lives("creative-force", token) {
			t.Error("invalid a second early")
		}
		g.advance(time.Second)
		if g.lives("creative-force", token) {
			t.Error("alive after an hour")
		}
	})
	for _, grace := range []time.Duration{0, time.Hour} {
		t.Run("FI-23 the access token expires after generating a new secret key, grace "+grace.String(), func(t *testing.T) {
			g := newFixture(t)
			token, other := g.mint("creative-force"), g.mint("agile-now")
			must(t, g.Rotate("creative-force", sandbox.Rotation{Grace: grace}))
			if g.lives("creative-force", token) {
				t.Error("the token successorHeld the secret")
			}
			if !g.lives("creative-force", g.mint("creative-force")) || !g.lives("agile-now", other) {
				t.Error("a token died that should not")
			}
		})
	}
	t.Run("the access token expires after changing the on behalf user", func(t *testing.T) {
		g := newFixture(t)
		token := g.mint("creative-force")
		must(t, g.ChangeUser("creative-force", "b@studio.example"))
		if g.lives("creative-force", token) {
			t.Error("the token successorHeld the change of user")
		}
		got := g.access("creative-force", g.mint("creative-force")).json(t)
		if got["on_behalf_of"] != "b@studio.example" {
			t.Errorf("acts on behalf of %v", got["on_behalf_of"])
		}
	})
	t.Run("the same user again is no change", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.ChangeUser("creative-force", "b@studio.example"))
		token := g.mint("creative-force")
		must(t, g.ChangeUser("creative-force", "b@studio.example"))
		if !g.lives("creative-force", token) {
			t.Error("the token died although nothing changed")
		}
	})
	for name, changes := range map[string][]string{
		"another scope":     {"scope", "openid"},
		"too wide a scope":  {"scope", "cfgateway offline_access"},
		"the scope missing": {"scope", "-"},
		"another case":      {"scope", "CFGateway"},
	} {
		t.Run("OC-47 invalid_scope for "+name, func(t *testing.T) {
			got := newFixture(t).ask("creative-force", changes...)
			wantStatus(t, got, http.StatusBadRequest)
			wantJSON(t, got, map[string]any{"error": "invalid_scope"})
		})
	}
	for name, changes := range map[string][]string{
		"a wrong secret":   {"client_secret", "wrong"},
		"no secret":        {"client_secret", "-"},
		"another client":   {"client_id", "717ed07d"},
		"no client at all": {"client_id", "-"},
	} {
		t.Run("OC-46 400 invalid_client for "+name, func(t *testing.T) {
			got := newFixture(t).ask("creative-force", changes...)
			wantStatus(t, got, http.StatusBadRequest)
			wantJSON(t, got, map[string]any{"error": "invalid_client"})
		})
	}
	t.Run("OC-05 the secret is in the form: Basic is refused", func(t *testing.T) {
		g := newFixture(t)
		d := g.declared("creative-force")
		req := g.formRequest(tokenPaths["creative-force"], g.form("creative-force", "client_id", "-", "client_secret", "-"))
		req.SetBasicAuth(d["client_id"], d["client_secret"])
		got := g.send(req)
		wantStatus(t, got, http.StatusBadRequest)
		wantJSON(t, got, map[string]any{"error": "invalid_client"})
		if got.header.Get("WWW-Authenticate") != "" {
			t.Error("a challenge for an authentication that the server lacks")
		}
	})
	t.Run("a client for users may not use client_credentials", func(t *testing.T) {
		got := newFixture(t).ask("creative-force-user")
		wantStatus(t, got, http.StatusBadRequest)
		wantJSON(t, got, map[string]any{"error": "unauthorized_client"})
	})
}

func TestAgileNowClientCredentials(t *testing.T) {
	t.Run("OC-01 the response is the documented one, with a refresh token", func(t *testing.T) {
		got := newFixture(t).ask("agile-now")
		wantStatus(t, got, http.StatusOK)
		body := got.json(t)
		if token, _ := body["access_token"].(string); !strings.HasPrefix(token, "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI") {
			t.Error("the access token does not begin like the documented one")
		}
		if refresh, _ := body["refresh_token"].(string); len(refresh) != len("tGzv3JOkF0XG5Qx2TlKWIA") {
			t.Errorf("refresh token of %d characters", len(refresh))
		}
		wantJSON(t, got, map[string]any{
			"token_type": "Bearer", "expires_in": 3599.0, "access_token": body["access_token"], "refresh_token": body["refresh_token"],
		})
	})
	t.Run("OC-04 Basic authentication is supported, encoded as in RFC 6749", func(t *testing.T) {
		g := newFixture(t)
		d := g.declared("agile-now")
		bare := g.form("agile-now", "client_id", "-", "client_secret", "-")
		req := g.formRequest(tokenPaths["agile-now"], bare)
		req.SetBasicAuth(url.QueryEscape(d["client_id"]), url.QueryEscape(d["client_secret"]))
		wantStatus(t, g.send(req), http.StatusOK)
		req = g.formRequest(tokenPaths["agile-now"], bare)
		req.SetBasicAuth(d["client_id"], d["client_secret"])
		wantStatus(t, g.send(req), http.StatusBadRequest)
	})
	t.Run("BI-63 the client secret must be URL-encoded", func(t *testing.T) {
		g := newFixture(t)
		d := g.declared("agile-now")
		raw := "grant_type=client_credentials&client_id=" + d["client_id"] + "&client_secret=" + d["client_secret"]
		got := g.send(g.request("POST", tokenPaths["agile-now"], raw, "Content-Type", "application/x-www-form-urlencoded"))
		wantStatus(t, got, http.StatusBadRequest)
		wantStatus(t, g.ask("agile-now"), http.StatusOK)
	})
	for name, row := range map[string]struct{ asked, granted string }{
		"the default is openid profile name":  {"-", "openid profile name"},
		"* gives all the client's scopes":     {"*", "openid profile name email orders.read orders.write"},
		"a list of scopes gives these scopes": {"orders.read openid", "orders.read openid"},
	} {
		t.Run("scope: "+name, func(t *testing.T) {
			g := newFixture(t)
			token := g.ask("agile-now", "scope", row.asked).json(t)["access_token"].(string)
			if got := g.access("agile-now", token).json(t)["scope"]; got != row.granted {
				t.Errorf("granted %q, want %q", got, row.granted)
			}
		})
	}
	for name, row := range map[string]struct {
		changes []string
		text    string
	}{
		"a wrong secret":        {[]string{"client_secret", "wrong"}, "Client authentication failed."},
		"an unknown scope":      {[]string{"scope", "admin"}, "The client is not registered for that scope."},
		"two spaces in a scope": {[]string{"scope", "openid  name"}, "The scope is malformed."},
		"its own refresh token": {[]string{"grant_type", "refresh_token", "refresh_token", "x"}, "The grant_type is not supported."},
		"no grant type":         {[]string{"grant_type", "-"}, "The grant_type is missing."},
	} {
		t.Run("OC-44 400 with a description, an array and no error code for "+name, func(t *testing.T) {
			got := newFixture(t).ask("agile-now", row.changes...)
			wantStatus(t, got, http.StatusBadRequest)
			wantJSON(t, got, map[string]any{"error_description": row.text, "messages": []any{row.text}})
		})
	}
	t.Run("a new secret does not affect tokens", func(t *testing.T) {
		g := newFixture(t)
		token := g.mint("agile-now")
		must(t, g.Rotate("agile-now", sandbox.Rotation{}))
		g.advance(3598 * time.Second)
		if !g.lives("agile-now", token) {
			t.Error("the token died with the secret")
		}
		g.advance(time.Second)
		if g.lives("agile-now", token) {
			t.Error("alive after 3599 seconds")
		}
	})
}

func TestCliquifyClientCredentials(t *testing.T) {
	t.Run("OC-64 the response is nested and valid for 30 days, without a refresh token", func(t *testing.T) {
		g := newFixture(t)
		got := g.ask("cliquify")
		wantStatus(t, got, http.StatusOK)
		nested, _ := got.json(t)["token"].(map[string]any)
		token, _ := nested["access_token"].(string)
		if !strings.HasPrefix(token, "eyJ0eXAiOiJKV1QiLCJhbGci") {
			t.Error("the access token does not begin like the documented one")
		}
		wantJSON(t, got, map[string]any{
			"success": true, "token": map[string]any{"token_type": "Bearer", "expires_in": 2592000.0, "access_token": token},
		})
		g.advance(30*24*time.Hour - time.Second)
		if !g.lives("cliquify", token) {
			t.Error("invalid before 30 days")
		}
		g.advance(time.Second)
		if g.lives("cliquify", token) {
			t.Error("alive after 30 days")
		}
	})
	for name, row := range map[string]struct {
		changes []string
		status  int
		text    string
	}{
		"a wrong secret":        {[]string{"client_secret", "wrong"}, 401, "Client authentication failed."},
		"another grant type":    {[]string{"grant_type", "refresh_token"}, 400, "The grant_type is not supported."},
		"grant_type is missing": {[]string{"grant_type", "-"}, 400, "The grant_type is missing."},
	} {
		t.Run("OC-43 success is false for "+name, func(t *testing.T) {
			got := newFixture(t).ask("cliquify", row.changes...)
			wantStatus(t, got, row.status)
			wantJSON(t, got, map[string]any{"success": false, "message": row.text})
		})
	}
	t.Run("OC-05 id and secret are body parameters: Basic is refused", func(t *testing.T) {
		g := newFixture(t)
		d := g.declared("cliquify")
		req := g.formRequest(tokenPaths["cliquify"], g.form("cliquify", "client_id", "-", "client_secret", "-"))
		req.SetBasicAuth(d["client_id"], d["client_secret"])
		wantStatus(t, g.send(req), http.StatusUnauthorized)
	})
	t.Run("a token can be revoked", func(t *testing.T) {
		g := newFixture(t)
		one, two := g.mint("cliquify"), g.mint("cliquify")
		n, err := g.Revoke("cliquify", redact.New(one))
		must(t, err)
		if n != 1 || g.lives("cliquify", one) || !g.lives("cliquify", two) {
			t.Errorf("%d revoked, or the wrong one", n)
		}
	})
}

func TestTokenRequestsAreReadStrictly(t *testing.T) {
	const kind = "application/x-www-form-urlencoded"
	g := newFixture(t)
	good := g.form("creative-force").Encode()
	for name, row := range map[string]struct {
		method, query, body, kind string
		status                    int
	}{
		"as documented":              {"POST", "", good, kind, 200},
		"a charset of UTF-8":         {"POST", "", good, kind + "; charset=utf-8", 200},
		"an unknown parameter":       {"POST", "", good + "&foo=bar", kind, 200},
		"resource twice":             {"POST", "", good + "&resource=a&resource=b", kind, 200},
		"an empty extra parameter":   {"POST", "", good + "&client_assertion=", kind, 200},
		"GET":                        {"GET", "", "", kind, 405},
		"PUT":                        {"PUT", "", good, kind, 405},
		"parameters in the query":    {"POST", "?a=b", good, kind, 400},
		"an empty query":             {"POST", "?", good, kind, 400},
		"no content type":            {"POST", "", good, "", 400},
		"JSON":                       {"POST", "", `{"grant_type":"client_credentials"}`, "application/json", 400},
		"another charset":            {"POST", "", good, kind + "; charset=latin1", 400},
		"a parameter twice":          {"POST", "", good + "&scope=cfgateway", kind, 400},
		"grant_type twice":           {"POST", "", good + "&grant_type=client_credentials", kind, 400},
		"a broken escape":            {"POST", "", good + "&x=%zz", kind, 400},
		"not UTF-8":                  {"POST", "", good + "&x=%ff", kind, 400},
		"a body over 64 KiB":         {"POST", "", good + "&x=" + strings.Repeat("y", 64<<10), kind, 400},
		"grant_type without a value": {"POST", "", strings.Replace(good, "grant_type=client_credentials", "grant_type=", 1), kind, 400},
		"grant_type in capitals":     {"POST", "", strings.Replace(good, "client_credentials", "CLIENT_CREDENTIALS", 1), kind, 400},
	} {
		t.Run("OC-24 "+name, func(t *testing.T) {
			req := g.request(row.method, tokenPaths["creative-force"]+row.query, row.body)
			if row.kind != "" {
				req.Header.Set("Content-Type", row.kind)
			}
			got := g.send(req)
			wantStatus(t, got, row.status)
			if row.status == 405 && got.header.Get("Allow") != "POST" {
				t.Errorf("Allow %q", got.header.Get("Allow"))
			}
		})
	}
}

func TestTwoContentTypesAreRefused(t *testing.T) {
	g := newFixture(t)
	const kind = "application/x-www-form-urlencoded"
	req := g.formRequest(tokenPaths["cliquify"], g.form("cliquify"), "Content-Type", kind)
	wantStatus(t, g.send(req), http.StatusBadRequest)
}

func TestResourceRefusesByRFC6750(t *testing.T) {
	const invalid = `Bearer realm="sandbox", error="invalid_token", error_description="The access token is unknown, expired or revoked"`
	const malformed = `Bearer realm="sandbox", error="invalid_request", error_description="Send one Authorization header with one Bearer token"`
	g := newFixture(t)
	token := g.mint("creative-force")
	for name, row := range map[string]struct {
		method    string
		header    []string
		status    int
		challenge string
	}{
		"a valid token":          {"GET", []string{"Bearer " + token}, 200, ""},
		"the scheme in any case": {"GET", []string{"bEARER " + token}, 200, ""},
		"an unknown token":       {"GET", []string{"Bearer " + token + "x"}, 401, invalid},
		"no token":               {"GET", nil, 401, `Bearer realm="sandbox"`},
		"another scheme":         {"GET", []string{"Basic " + token}, 400, malformed},
		"two tokens":             {"GET", []string{"Bearer " + token, "Bearer " + token}, 400, malformed},
		"a token and a word":     {"GET", []string{"Bearer " + token + " x"}, 400, malformed},
		"another method":         {"POST", []string{"Bearer " + token}, 405, ""},
	} {
		t.Run("RFC 6750 §3 "+name, func(t *testing.T) {
			req := g.request(row.method, "/creative-force/resource", "")
			for _, h := range row.header {
				req.Header.Add("Authorization", h)
			}
			got := g.send(req)
			wantStatus(t, got, row.status)
			if c := got.header.Get("WWW-Authenticate"); c != row.challenge {
				t.Errorf("WWW-Authenticate %q, want %q", c, row.challenge)
			}
		})
	}
	t.Run("INV-1 a token of another server is unknown", func(t *testing.T) {
		wantStatus(t, g.access("cliquify", token), http.StatusUnauthorized)
	})
	t.Run("RFC 6750 §2.3 a token in the query is ignored", func(t *testing.T) {
		wantStatus(t, g.send(g.request("GET", "/creative-force/resource?access_token="+token, "")), http.StatusUnauthorized)
	})
	t.Run("the response says what the token is for", func(t *testing.T) {
		g.advance(1500 * time.Millisecond)
		wantJSON(t, g.access("creative-force", token), map[string]any{
			"connection": "creative-force", "scope": "cfgateway", "on_behalf_of": "integration@studio.example", "expires_in": 3598.0,
		})
	})
}
