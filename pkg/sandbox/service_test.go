package sandbox_test

import (
	"net/netip"
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
)

// loopback lets the service reach the sandbox, as the local run does.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// parsed reads a connection file the way the service does.
func (g *rig) parsed(name string) connection.Connection {
	g.t.Helper()
	valid, err := connection.ParseName(name)
	must(g.t, err)
	c, err := connection.Parser{Egress: loopback}.Parse(valid, clientsecret.Secret{
		Name: name, ARN: "arn:local:" + name, VersionID: "1", Text: redact.New(string(g.Connections()[name])), Origin: "file " + name + ".json",
	})
	must(g.t, err)
	return c
}

// obtain asks for a connection's token the way the service does.
func (g *rig) obtain(c connection.Connection) (oauth.Token, error) {
	return oauth.New(oauth.Config{Egress: loopback, Now: g.clock, Wait: g.wait}).Token(g.t.Context(), oauth.Request{
		TokenURL: c.TokenURL,
		Authentication: oauth.Authentication{
			Method: c.ClientAuth, ClientID: c.ClientID, ClientSecret: c.ClientSecret,
			PrivateKey: c.PrivateKey, KeyID: c.KeyID, Audience: c.Issuer,
		},
		GrantType: string(c.GrantType), Scope: c.Scope, Params: c.TokenParams,
		Response: c.Response, DefaultExpiresIn: c.DefaultExpiresIn,
	})
}

func TestTheServiceGetsATokenFromEveryServer(t *testing.T) {
	g := newRig(t)
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
		t.Run("§0.3 "+name, func(t *testing.T) {
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
				t.Error("the token is dead")
			}
		})
	}
}

func TestTheDelegatedConnectionIsDeclaredInFull(t *testing.T) {
	g := newRig(t)
	c := g.parsed("creative-force-user")
	got := []string{string(c.GrantType), c.Scope, c.TokenURL, c.AuthorizationURL, string(c.ClientAuth)}
	want := []string{
		"authorization_code", "cfgateway offline_access",
		g.url + "/creative-force/connect/token", g.url + "/creative-force/connect/authorize", "client_secret_post",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("§0.3 (-want +got):\n%s", diff)
	}
}
