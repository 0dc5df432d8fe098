package connection_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// canary is part of each secret that the tests declare; no error may show it.
const canary = "c4n4ry"

// Declarations of which the tests change one member.
const (
	creativeForce = `{"provider":"creative-force","client_id":"id","client_secret":"c4n4ry"}`
	delegated     = `{"provider":"creative-force","grant_type":"authorization_code","client_id":"id","client_secret":"c4n4ry"}`
	agileNow      = `{"provider":"agile-now","client_id":"id","client_secret":"c4n4ry","base_url":"https://tenant.example.com"}`
	generic       = `{"provider":"oauth2","client_id":"id","client_secret":"c4n4ry","token_url":"https://as.example.com/token"}`
)

func secretOf(text string) clientsecret.Secret {
	return clientsecret.Secret{
		Name: "crm", ARN: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:tokenvend/crm-AbCdEf",
		VersionID: "version-1", Origin: "file crm.json", Text: redact.New(text),
	}
}

// parse parses a declaration. It fails if schema.json refuses what the parser accepts.
func parse(text string) (connection.Connection, error) {
	c, err := connection.Parser{}.Parse("crm", secretOf(text))
	if err == nil {
		if problem := validate(text); problem != nil {
			return c, fmt.Errorf("AZ-44 schema.json refuses what the parser accepts: %w", problem)
		}
	}
	return c, err
}

// uncompared are the fields of a connection that the tests check apart.
var uncompared = cmp.Options{
	cmpopts.IgnoreFields(connection.Connection{}, "ClientSecret", "ConfigHash", "InputsHash", "ProofHash", "SecretIncarnation"),
	cmpopts.EquateComparable(redact.Secret{}),
}

// with sets a member of a declaration to JSON text; empty text removes it.
func with(t testing.TB, declaration, member, value string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(declaration), &members); err != nil {
		t.Fatal(err)
	}
	members[member] = json.RawMessage(value)
	if value == "" {
		delete(members, member)
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseCompletesFromTheCatalogue(t *testing.T) {
	tests := []struct {
		name, text string
		want       connection.Connection
	}{
		{"creative-force", creativeForce, connection.Connection{
			Provider: "creative-force", GrantType: connection.ClientCredentials, ClientAuth: provider.ClientSecretPost,
			TokenURL: "https://accounts.creativeforce.io/connect/token", Scope: "cfgateway", DefaultExpiresIn: time.Hour,
			Request: provider.RequestShape{RepeatScope: true},
		}},
		{"creative-force, delegated", delegated, connection.Connection{
			Provider: "creative-force", GrantType: connection.AuthorizationCode, ClientAuth: provider.ClientSecretPost, PKCE: true,
			TokenURL:         "https://accounts.creativeforce.io/connect/token",
			AuthorizationURL: "https://accounts.creativeforce.io/connect/authorize",
			Scope:            "cfgateway offline_access", DefaultExpiresIn: time.Hour,
			RefreshToken: provider.RefreshToken{ExpiresIn: 30 * 24 * time.Hour},
			Request:      provider.RequestShape{RepeatScope: true},
		}},
		{"agile-now", agileNow, connection.Connection{
			Provider: "agile-now", GrantType: connection.ClientCredentials, ClientAuth: provider.ClientSecretPost,
			TokenURL: "https://tenant.example.com/oAuth/rest/v2/Token", DefaultExpiresIn: 3599 * time.Second,
		}},
		{"cliquify", with(t, creativeForce, "provider", `"cliquify"`), connection.Connection{
			Provider: "cliquify", GrantType: connection.ClientCredentials, ClientAuth: provider.ClientSecretPost,
			TokenURL: "https://oauth.cliquify.me/oauth/access-token", DefaultExpiresIn: 30 * 24 * time.Hour,
			Response: provider.Shape{
				AccessToken: "/token/access_token", TokenType: "/token/token_type", ExpiresIn: "/token/expires_in", Success: "/success",
			},
		}},
		{"oauth2", generic, connection.Connection{
			Provider: "oauth2", GrantType: connection.ClientCredentials, ClientAuth: provider.ClientSecretBasic,
			TokenURL: "https://as.example.com/token", DefaultExpiresIn: 300 * time.Second,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Name, tt.want.SecretVersion, tt.want.ClientID, tt.want.EarlyRefresh = "crm", "version-1", "id", true
			diff := cmp.Diff(tt.want, got, uncompared)
			if diff != "" {
				t.Errorf("connection (-want +got):\n%s", diff)
			}
			if got.ClientSecret.Reveal() != canary {
				t.Error("the client secret is not the declared one")
			}
		})
	}
}

func TestParseTakesEveryMember(t *testing.T) {
	text := `{"provider":"oauth2","grant_type":"authorization_code","client_id":"id","client_secret":"c4n4ry",
		"client_auth":"client_secret_post","scope":"b a","token_url":"https://as.example.com/t?v=1",
		"authorization_url":"https://as.example.com/a","revocation_url":"https://as.example.com/r","issuer":"https://as.example.com",
		"redirect_uri":"https://tools.example.net/done","pkce":false,
		"token_params":{"resource":["https://b.example.com","https://a.example.com"],"audience":"x"},
		"authorization_params":{"prompt":"consent"},
		"response":{"access_token":"/data/0/a~1b","refresh_token_expires_in":"/refresh_expires_in"},
		"default_expires_in":7776000,"refresh_token_expires_in":31536000,"early_refresh":false,
		"callers":[{"principal":"arn:aws:iam::111122223333:role/team/app","scopes":["a"],"subjects":["default","bot"]}]}`
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := connection.Connection{
		Name: "crm", Provider: "oauth2", GrantType: connection.AuthorizationCode, ClientID: "id", ClientAuth: provider.ClientSecretPost,
		Scope: "b a", TokenURL: "https://as.example.com/t?v=1", AuthorizationURL: "https://as.example.com/a",
		RevocationURL: "https://as.example.com/r", Issuer: "https://as.example.com", RedirectURI: "https://tools.example.net/done",
		TokenParams:         url.Values{"resource": {"https://b.example.com", "https://a.example.com"}, "audience": {"x"}},
		AuthorizationParams: url.Values{"prompt": {"consent"}},
		Response:            provider.Shape{AccessToken: "/data/0/a~1b", RefreshTokenExpiresIn: "/refresh_expires_in"},
		DefaultExpiresIn:    90 * 24 * time.Hour, RefreshToken: provider.RefreshToken{ExpiresIn: 365 * 24 * time.Hour}, SecretVersion: "version-1",
		Callers: connection.Callers{{Principal: "arn:aws:iam::111122223333:role/team/app", Scopes: []string{"a"}, Subjects: []string{"default", "bot"}}},
	}
	if diff := cmp.Diff(want, got, uncompared); diff != "" {
		t.Errorf("connection (-want +got):\n%s", diff)
	}
}

// Each case changes one member; an empty value removes it.
func TestParseAccepts(t *testing.T) {
	secretIs := func(want string) func(connection.Connection) bool {
		return func(c connection.Connection) bool { return c.ClientSecret.Reveal() == want }
	}
	tests := []struct {
		name, base, member, value string
		check                     func(connection.Connection) bool
	}{
		{"BI-47 star", agileNow, "scope", `"*"`, func(c connection.Connection) bool { return c.Scope == "*" }},
		{"scope as declared, unsorted", agileNow, "scope", `"openid name"`, func(c connection.Connection) bool { return c.Scope == "openid name" }},
		{"allowed_scopes", generic, "allowed_scopes", `["b","a"]`, func(c connection.Connection) bool { return cmp.Equal(c.AllowedScopes, []string{"b", "a"}) }},
		{"BI-63 reserved characters", generic, "client_secret", `"a:b+c%d&é"`, secretIs("a:b+c%d&é")},
		{"BI-63 4 KiB", generic, "client_secret", `"` + strings.Repeat("x", 4096) + `"`, secretIs(strings.Repeat("x", 4096))},
		{"BI-63 white space inside", generic, "client_secret", `"a b\nc"`, secretIs("a b\nc")},
		{"BI-63 a colon where the id is encoded", generic, "client_id", `"a:b"`, func(c connection.Connection) bool { return c.ClientID == "a:b" }},
		{"another client_auth than the provider's", agileNow, "client_auth", `"client_secret_basic"`, func(c connection.Connection) bool { return c.ClientAuth == provider.ClientSecretBasic }},
		{"an override of one address", creativeForce, "token_url", `"https://test.example.com:8443/t"`, func(c connection.Connection) bool { return c.TokenURL == "https://test.example.com:8443/t" }},
		{"base_url with a slash", agileNow, "base_url", `"https://tenant.example.com/"`, func(c connection.Connection) bool {
			return c.TokenURL == "https://tenant.example.com/oAuth/rest/v2/Token"
		}},
		{"base_url with a path, kept byte for byte", agileNow, "base_url", `"https://tenant.example.com/A%2fb//C/"`, func(c connection.Connection) bool {
			return c.TokenURL == "https://tenant.example.com/A%2fb//C/oAuth/rest/v2/Token"
		}},
		{"BI-51 a pointer over the provider's, the others stay", with(t, creativeForce, "provider", `"cliquify"`), "response", `{"scope":"/token/scope"}`, func(c connection.Connection) bool {
			return c.Response.Scope == "/token/scope" && c.Response.AccessToken == "/token/access_token" && c.Response.Success == "/success"
		}},
		{"BI-50 one second", generic, "default_expires_in", `1`, func(c connection.Connection) bool { return c.DefaultExpiresIn == time.Second }},
		{"BI-50 five years of a refresh token", delegated, "refresh_token_expires_in", `157680000`, func(c connection.Connection) bool { return c.RefreshToken.ExpiresIn == 5*365*24*time.Hour }},
		{"revocation with client_credentials", generic, "revocation_url", `"https://as.example.com/revoke"`, func(c connection.Connection) bool { return c.RevocationURL != "" }},
		{"redirect_uri on a private host, for consent by hand", delegated, "redirect_uri", `"https://localhost:1234/cb?x=1"`, func(c connection.Connection) bool { return c.RedirectURI == "https://localhost:1234/cb?x=1" }},
		{"OC-02 redirect_uri out of band", delegated, "redirect_uri", `"urn:ietf:wg:oauth:2.0:oob"`, func(c connection.Connection) bool { return c.RedirectURI == "urn:ietf:wg:oauth:2.0:oob" }},
		{"OC-02 redirect_uri that is a name", delegated, "redirect_uri", `"Acme_Inc-AcmeIn-App-abcdef"`, func(c connection.Connection) bool { return c.RedirectURI == "Acme_Inc-AcmeIn-App-abcdef" }},
		{"a federated user by name", generic, "callers", `[{"principal":"arn:aws:sts::111122223333:federated-user/f"}]`, func(c connection.Connection) bool { return len(c.Callers) == 1 }},
		{"pkce for servers that refuse it", delegated, "pkce", `false`, func(c connection.Connection) bool { return !c.PKCE }},
		{"early_refresh", generic, "early_refresh", `false`, func(c connection.Connection) bool { return !c.EarlyRefresh }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parse(with(t, tt.base, tt.member, tt.value))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(c) {
				t.Errorf("read as %+v", c)
			}
		})
	}
}

func TestParseWithoutClientSecret(t *testing.T) {
	text := with(t, with(t, generic, "client_secret", ""), "client_auth", `"none"`)
	c, err := parse(text)
	if err != nil || !c.ClientSecret.IsZero() || c.ClientAuth != provider.NoClientAuth {
		t.Errorf("Parse = %+v, %v; want client_auth none and no secret", c, err)
	}
}

func TestLoopbackWhereAllowed(t *testing.T) {
	local := connection.Parser{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	text := with(t, with(t, delegated, "token_url", `"http://127.0.0.1:8090/connect/token"`), "redirect_uri", `"http://127.0.0.1:8080/cb"`)
	if _, err := local.Parse("crm", secretOf(text)); err != nil {
		t.Errorf("with the network allowed: %v", err)
	}
	if _, err := (connection.Parser{}).Parse("crm", secretOf(text)); err == nil {
		t.Error("accepted without the network allowed")
	}
}

func TestHash(t *testing.T) {
	base, err := parse(generic)
	if err != nil {
		t.Fatal(err)
	}
	same := `{ "token_url" : "https:\/\/as.example.com/token",
		"client_secret":"c4n4ry", "client_\u0069d":"id", "provider":"oauth2" }`
	if got, err := parse(same); err != nil || got.ConfigHash != base.ConfigHash {
		t.Errorf("CR-37 the same declaration written differently: hash %s, %v; want %s", got.ConfigHash, err, base.ConfigHash)
	}
	for member, value := range map[string]string{
		"client_secret": `"another"`, "client_id": `"another"`, "scope": `"a"`, "early_refresh": "true",
		"token_params": `{"resource":["a","b"]}`, "callers": `[{"principal":"arn:aws:iam::111122223333:root"}]`,
	} {
		got, err := parse(with(t, generic, member, value))
		if err != nil || got.ConfigHash == base.ConfigHash {
			t.Errorf("CR-37 with %s: hash %s, %v; want another", member, got.ConfigHash, err)
		}
	}
	if len(base.ConfigHash) != 32 {
		t.Errorf("hash has %d digits, want 32", len(base.ConfigHash))
	}
}

func TestSecretIncarnation(t *testing.T) {
	first, again := secretOf(generic), secretOf(generic)
	again.VersionID = "version-2"
	namesake := secretOf(generic)
	namesake.ARN += "2"
	generation := func(s clientsecret.Secret) string {
		c, err := connection.Parser{}.Parse("crm", s)
		if err != nil {
			t.Fatal(err)
		}
		return c.SecretIncarnation
	}
	if g := generation(first); len(g) != 16 || g != generation(again) || g == generation(namesake) {
		t.Errorf("CR-38 generation %q: want 16 digits that follow the ARN and not the version", g)
	}
}

func TestProblemReadsWell(t *testing.T) {
	_, err := parse(with(t, generic, "client_secret", `"c4n4ry\n"`))
	const want = `file crm.json: member "client_secret": ends with white space or a line break; remove it`
	if err == nil || err.Error() != want {
		t.Errorf("error = %v\nwant    %s", err, want)
	}
	var problem *connection.ValidationError
	if !errors.As(err, &problem) || problem.Where != "file crm.json" || problem.Member != "client_secret" {
		t.Errorf("as a *ValidationError: %+v", problem)
	}
}

func TestSeveralProblemsInAStableOrder(t *testing.T) {
	text := `{"zz":1,"aa":1,"provider":"oauth2","client_id":1,"token_url":"ftp://c4n4ry","pkce":true,"scope":"","early_refresh":"c4n4ry"}`
	_, first := parse(text)
	if first == nil {
		t.Fatal("accepted")
	}
	for range 20 {
		if _, err := parse(text); err.Error() != first.Error() {
			t.Fatalf("error = %s\nthen    %s", first, err)
		}
	}
	if !strings.HasPrefix(first.Error(), `file crm.json: member "aa": is unknown; remove it; member "zz"`) || !strings.HasSuffix(first.Error(), "; and 3 more") || strings.Count(first.Error(), "member ") != 5 {
		t.Errorf("error = %s", first)
	}
	var problem *connection.ValidationError
	if !errors.As(first, &problem) || problem.Member != "aa" {
		t.Errorf("first problem = %+v, want that of aa", problem)
	}
}

// TestUnusedMembers: members that an operator may keep beside one that overrides them.
func TestUnusedMembers(t *testing.T) {
	t.Run("a secret with client_auth none", func(t *testing.T) {
		c, err := parse(with(t, generic, "client_auth", `"none"`))
		if err != nil || !c.ClientSecret.IsZero() {
			t.Errorf("secret kept: %v, %v", !c.ClientSecret.IsZero(), err)
		}
	})
	t.Run("base_url beside token_url", func(t *testing.T) {
		c, err := parse(with(t, agileNow, "token_url", `"https://other.example.com/t"`))
		if err != nil || c.TokenURL != "https://other.example.com/t" {
			t.Errorf("token URL %s, %v", c.TokenURL, err)
		}
	})
}
