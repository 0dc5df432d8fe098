package sandbox_test

import (
	"crypto/rand"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// loopback allows the service to reach the sandbox, as in the local run.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// parsed parses a connection file as the service does.
func (g *fixture) parsed(name string) connection.Connection {
	g.t.Helper()
	valid, err := connection.ParseName(name)
	must(g.t, err)
	c, err := connection.Parser{Egress: loopback}.Parse(valid, clientsecret.Secret{
		Name: name, ARN: "arn:local:" + name, VersionID: "1", Text: redact.New(string(g.Connections()[name])), Origin: "file " + name + ".json",
	})
	must(g.t, err)
	return c
}

// obtain requests a connection's token as the service does.
func (g *fixture) obtain(c connection.Connection) (oauth.Token, error) {
	return g.oauth().Token(g.t.Context(), request(c))
}

func (g *fixture) oauth() *oauth.Client {
	return oauth.New(oauth.Config{Egress: loopback, Now: g.clock, Wait: g.wait})
}

// request is the part of a token request that the connection determines.
func request(c connection.Connection) oauth.Request {
	var audience []string
	if c.Issuer != "" {
		audience = []string{c.Issuer}
	}
	return oauth.Request{
		TokenURL: c.TokenURL,
		Authentication: oauth.Authentication{
			Method: c.ClientAuth, ClientID: c.ClientID, ClientSecret: c.ClientSecret,
			PrivateKey: c.PrivateKey, KeyID: c.KeyID, Assertion: oauth.Assertion{Audience: audience},
		},
		GrantType: string(c.GrantType), Scope: c.Scope, Params: c.TokenParams,
		Response: c.Response, DefaultExpiresIn: c.DefaultExpiresIn,
	}
}

// consented is the token that the service's client gets for a user's consent.
func (g *fixture) consented(c connection.Connection, user string) oauth.Token {
	g.t.Helper()
	verifier, err := oauth.NewVerifier(rand.Reader)
	must(g.t, err)
	at, err := oauth.AuthorizationURL(oauth.AuthorizationRequest{
		AuthorizationURL: c.AuthorizationURL, ClientID: c.ClientID, RedirectURI: callback, Scope: c.Scope,
		State: "a.b", Challenge: oauth.Challenge(verifier), Params: c.AuthorizationParams,
	})
	must(g.t, err)
	redirect, err := browserclient.Consent(g.t.Context(), g.person(), at, user, true)
	must(g.t, err)
	back, err := url.Parse(redirect)
	must(g.t, err)
	response, err := oauth.ReadAuthorizationResponse(back.RawQuery, oauth.ResponseFormat{Issuer: c.Issuer, RequireIssuer: c.Issuer != ""})
	must(g.t, err)
	r := request(c)
	r.Code, r.RedirectURI, r.CodeVerifier = response.Code, callback, verifier
	got, err := g.oauth().Token(g.t.Context(), r)
	must(g.t, err)
	return got
}

func TestServiceWithUsersOfEveryServer(t *testing.T) {
	g := newUserFixture(t)
	for _, method := range []provider.ClientAuth{provider.ClientSecretPost, provider.ClientSecretBasic, provider.NoClientAuth, provider.PrivateKeyJWT} {
		must(t, g.Register(sandbox.Client{
			Connection: strings.ReplaceAll(string(method), "_", "-"), ClientAuth: method, Scopes: []string{"openid", "read"}, Delegated: true,
			RedirectURIs: []string{callback}, RequirePKCE: true, Issuer: sandbox.IssuerTrue, IDToken: true,
			Refresh: sandbox.RefreshPolicy{Rotation: sandbox.RotateAndDetect},
		}))
	}
	for name := range g.Connections() {
		c := g.parsed(name)
		if c.GrantType != connection.AuthorizationCode {
			continue
		}
		t.Run(name, func(t *testing.T) {
			first := g.consented(c, "grace@studio.example")
			if want := map[bool]string{true: "grace@studio.example"}[c.Provider == "oauth2"]; first.Subject != want {
				t.Errorf("OC-03 consented by %q, want %q", first.Subject, want)
			}
			r := request(c)
			r.GrantType, r.RefreshToken = "refresh_token", first.RefreshToken
			next, err := g.oauth().Token(t.Context(), r)
			must(t, err)
			if !g.lives(c.Provider, next.AccessToken.Reveal()) {
				t.Error("OC-03 the refreshed token is invalid")
			}
			if rotated := next.RefreshToken.Reveal() != first.RefreshToken.Reveal(); rotated != (c.Provider == "oauth2") {
				t.Errorf("OC-03 rotated: %v", rotated)
			}
			must(t, g.oauth().Revoke(t.Context(), oauth.Revocation{
				RevocationURL: c.RevocationURL, Authentication: r.Authentication, Token: next.RefreshToken, TokenTypeHint: "refresh_token",
			}))
			if g.lives(c.Provider, next.AccessToken.Reveal()) {
				t.Error("OC-14 the access token successorHeld its grant")
			}
		})
	}
}

func TestServiceGetsATokenFromEveryServer(t *testing.T) {
	g := newFixture(t)
	register := func(name string, method provider.ClientAuth, key keyCase) {
		must(t, g.Register(sandbox.Client{Connection: name, ClientAuth: method, Key: key.key, KeyID: key.algorithm, Scopes: []string{"read"}}))
	}
	for _, method := range []provider.ClientAuth{provider.ClientSecretPost, provider.ClientSecretBasic, provider.ClientSecretBasicRaw, provider.NoClientAuth} {
		register("plain-"+map[provider.ClientAuth]string{
			provider.ClientSecretPost: "post", provider.ClientSecretBasic: "basic", provider.ClientSecretBasicRaw: "raw", provider.NoClientAuth: "none",
		}[method], method, keyCase{})
	}
	register("plain-jwt", provider.PrivateKeyJWT, keyCase{})
	for name, key := range allKeys() {
		register("plain-jwt-"+name, provider.PrivateKeyJWT, key)
	}
	for name := range g.Connections() {
		if name == "creative-force-user" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := g.parsed(name)
			got, err := g.obtain(c)
			must(t, err)
			want := map[string]time.Duration{"agile-now": 3599 * time.Second, "cliquify": 30 * 24 * time.Hour}[name]
			if want == 0 {
				want = time.Hour
			}
			if life := got.ExpiresAt.Sub(got.RequestedAt); life != want || got.ExpiresInAssumed {
				t.Errorf("lives %v, want %v", life, want)
			}
			if !g.lives(c.Provider, got.AccessToken.Reveal()) {
				t.Error("the token is invalid")
			}
		})
	}
}

func TestDelegatedConnectionIsDeclaredCompletely(t *testing.T) {
	g := newFixture(t)
	c := g.parsed("creative-force-user")
	got := []string{string(c.GrantType), c.Scope, c.TokenURL, c.AuthorizationURL, c.RevocationURL, string(c.ClientAuth), c.RedirectURI}
	want := []string{
		"authorization_code", "cfgateway offline_access",
		g.url + "/creative-force/connect/token", g.url + "/creative-force/connect/authorize",
		g.url + "/creative-force/connect/revocation", "client_secret_post", "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
