package connection_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// declared is a connection with a provider of its own; sap's has a variable.
const (
	declared = `{"provider":{"token_url":"https://as.example.com/token"},"client_id":"id","client_secret":"c4n4ry"}`
	consents = `{"provider":{"token_url":"https://as.example.com/token","authorization_url":"https://as.example.com/a"},"grant_type":"authorization_code","client_id":"id","client_secret":"c4n4ry"}`
	tenant   = `{"provider":{"token_url":"https://{shop}.example.com/{shop}/token","variables":{"shop":{"about":"the shop's name"}}},"variables":{"shop":"acme"},"client_id":"id","client_secret":"c4n4ry"}`
)

// inProvider sets a member of the declared provider to JSON text; empty text
// removes it.
func inProvider(t testing.TB, declaration, member, value string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(declaration), &members); err != nil {
		t.Fatal(err)
	}
	return with(t, declaration, "provider", with(t, string(members["provider"]), member, value))
}

func TestDeclaredProvider_AZ44_everyMember(t *testing.T) {
	text := `{"provider":{
		"title":"Acme","documentation":["https://docs.example.com/oauth#tokens"],"note":"ask support",
		"variables":{"shop":{"pattern":"[a-z]+","about":"the shop","default":"acme"},"dc":{"values":["eu","com"]}},
		"token_url":"https://{shop}.example.{dc}/token","refresh_url":"https://{shop}.example.{dc}/refresh?v={shop}",
		"authorization_url":"https://{shop}.example.{dc}/a?x=1#/login","revocation_url":"https://{shop}.example.{dc}/r","issuer":"https://{shop}.example.{dc}",
		"grant_types":["authorization_code"],"client_auth":"client_secret_post","scope":{"authorization_code":"read:{shop} a"},
		"scope_separator":",","scope_aliases":{"a":"https://scopes.example.com/a","b":["c","d"]},
		"request":{"body":"json","headers":{"x-id":"{uuid}","User-Agent":"acme {shop}"},"names":{"client_id":"app_key"},
			"grant_type":{"authorization_code":"authorized_code"},"repeat_scope":true},
		"token_params":{"account":"{shop} {other}"},"refresh_params":{"k":["1","{dc}"]},"authorization_params":{"prompt":"consent"},
		"response":{"access_token":"/data/access_token","expires_at":"/data/end","expires_in_unit":"ms","success":{"pointer":"/code","equals":0},
			"ended":["bad_refresh_token",36004004],"user":"/data/user","extra":{"instance_url":"/instance_url"}},
		"callback":{"code":"auth_code","extra":{"realmId":"realmId"}},
		"default_expires_in":"never","refresh_token":{"expires_in":86400,"idle_expires_in":3600,"rotation":"grace","grace":60},
		"early_refresh":false,"new_token_revokes_old":true,"revocation_ends_grant":true,
		"present":{"header":"X-Access-Token","prefix":""},"max_renewal_groups":12},
		"variables":{"dc":"eu"},"grant_type":"authorization_code","client_id":"id","client_secret":"c4n4ry","token_params":{"more":"{shop}"}}`
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := connection.Connection{
		Name: "crm", Provider: provider.Inline, GrantType: connection.AuthorizationCode, ClientID: "id", ClientAuth: provider.ClientSecretPost,
		Scope: "read:acme a", ScopeSeparator: ",", ScopeAliases: map[string][]string{"a": {"https://scopes.example.com/a"}, "b": {"c", "d"}},
		TokenURL: "https://acme.example.eu/token", RefreshURL: "https://acme.example.eu/refresh?v=acme",
		AuthorizationURL: "https://acme.example.eu/a?x=1#/login", RevocationURL: "https://acme.example.eu/r", Issuer: "https://acme.example.eu",
		PKCE: true, SecretVersion: "version-1",
		TokenParams:   map[string][]string{"account": {"acme {other}"}, "more": {"{shop}"}},
		RefreshParams: map[string][]string{"k": {"1", "eu"}}, AuthorizationParams: map[string][]string{"prompt": {"consent"}},
		Request: provider.RequestShape{
			Body: provider.BodyJSON, Headers: map[string]string{"X-Id": "{uuid}", "User-Agent": "acme acme"},
			Names: map[string]string{"client_id": "app_key"}, GrantType: map[string]string{"authorization_code": "authorized_code"}, RepeatScope: true,
		},
		Response: provider.Shape{
			AccessToken: "/data/access_token", ExpiresAt: "/data/end", ExpiresInUnit: time.Millisecond, Success: "/code", SuccessEquals: json.Number("0"),
			Ended: []string{"bad_refresh_token", "36004004"}, User: "/data/user", Extra: map[string]string{"instance_url": "/instance_url"},
		},
		Callback:         provider.Callback{Code: "auth_code", Extra: map[string]string{"realmId": "realmId"}},
		DefaultExpiresIn: 300 * time.Second, NeverExpires: true,
		RefreshToken:       provider.RefreshToken{ExpiresIn: 24 * time.Hour, IdleExpiresIn: time.Hour, Rotation: provider.RotationGrace, Grace: time.Minute},
		NewTokenRevokesOld: true, RevocationEndsGrant: true, Present: provider.Present{Header: "X-Access-Token"}, MaxRenewalGroups: 12,
	}
	if diff := cmp.Diff(want, got, uncompared); diff != "" {
		t.Errorf("connection (-want +got):\n%s", diff)
	}
}

func TestDeclaredProvider_accepts(t *testing.T) {
	tests := []struct {
		name, text string
		check      func(connection.Connection) bool
	}{
		{"AZ-44 the smallest", declared, func(c connection.Connection) bool {
			return c.TokenURL == "https://as.example.com/token" && c.ClientAuth == provider.ClientSecretBasic && c.EarlyRefresh
		}},
		{"AZ-44 a member of the connection goes before the provider's", with(t, inProvider(t, declared, "early_refresh", "false"), "early_refresh", "true"), func(c connection.Connection) bool { return c.EarlyRefresh }},
		{"OC-06 a provider without PKCE", with(t, inProvider(t, inProvider(t, declared, "pkce", "false"), "authorization_url", `"https://as.example.com/authorize"`), "grant_type", `"authorization_code"`), func(c connection.Connection) bool { return !c.PKCE }},
		{"OC-06 PKCE although the provider says otherwise", with(t, with(t, inProvider(t, inProvider(t, declared, "pkce", "false"), "authorization_url", `"https://as.example.com/authorize"`), "grant_type", `"authorization_code"`), "pkce", "true"), func(c connection.Connection) bool { return c.PKCE }},
		{"OC-30 a lifetime over never", with(t, inProvider(t, declared, "default_expires_in", `"never"`), "default_expires_in", "60"), func(c connection.Connection) bool {
			return !c.NeverExpires && c.DefaultExpiresIn == time.Minute
		}},
		{"BI-50 never over a lifetime", with(t, inProvider(t, declared, "default_expires_in", "60"), "default_expires_in", `"never"`), func(c connection.Connection) bool { return c.NeverExpires }},
		{"OC-15 parameters add up", with(t, inProvider(t, declared, "token_params", `{"a":"1","b":"1"}`), "token_params", `{"b":["2","3"]}`), func(c connection.Connection) bool {
			return cmp.Equal(map[string][]string(c.TokenParams), map[string][]string{"a": {"1"}, "b": {"2", "3"}})
		}},
		{"OC-05 a form is the default body", inProvider(t, declared, "request", `{"body":"form"}`), func(c connection.Connection) bool { return c.Request.Body == "" }},
		{"the default presentation", inProvider(t, declared, "present", `{"header":"authorization"}`), func(c connection.Connection) bool { return c.Present == provider.Present{} }},
		{"another prefix", inProvider(t, declared, "present", `{"prefix":"Zoho-oauthtoken "}`), func(c connection.Connection) bool {
			return c.Present == provider.Present{Header: "Authorization", Prefix: "Zoho-oauthtoken "}
		}},
		{"BI-43 a variable in host and path", tenant, func(c connection.Connection) bool { return c.TokenURL == "https://acme.example.com/acme/token" }},
		{"BI-43 a host as a whole", with(t, inProvider(t, inProvider(t, tenant, "token_url", `"https://{shop}/t"`), "variables", `{"shop":{"host":true}}`), "variables", `{"shop":"a.b.example.com"}`), func(c connection.Connection) bool {
			return c.TokenURL == "https://a.b.example.com/t"
		}},
		{"BI-43 several labels where the pattern has them", with(t, inProvider(t, tenant, "variables", `{"shop":{"pattern":"[a-z.-]+"}}`), "variables", `{"shop":"acme--uat.sandbox"}`), func(c connection.Connection) bool {
			return c.TokenURL == "https://acme--uat.sandbox.example.com/acme--uat.sandbox/token"
		}},
		{"BI-63 an empty secret with Basic", with(t, generic, "client_secret", `""`), func(c connection.Connection) bool { return c.ClientSecret.IsZero() }},
		{"OC-24 secret headers", with(t, generic, "headers", `{"x-api-key":"c4n4ry"}`), func(c connection.Connection) bool { return c.Headers["X-Api-Key"].Reveal() == "c4n4ry" }},
		{"BI-49 token_timeout", with(t, generic, "token_timeout", "15"), func(c connection.Connection) bool { return c.TokenTimeout == 15*time.Second }},
		{"AZ-44 $schema is for editors", with(t, generic, "$schema", `"https://example.com/schema.json"`), func(c connection.Connection) bool {
			plain, err := parse(generic)
			return err == nil && c.ConfigHash == plain.ConfigHash && c.InputsHash == plain.InputsHash
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(c) {
				t.Errorf("read as %+v", c)
			}
		})
	}
}

func TestDeclaredProvider_refuses(t *testing.T) {
	tests := []struct{ name, text, where, why string }{
		{"AZ-44 a typo", inProvider(t, declared, "tokenurl", `"c4n4ry"`), "provider/tokenurl", `did you mean "token_url"?`},
		{"AZ-44 a typo inside", inProvider(t, declared, "request", `{"bodys":"c4n4ry"}`), "provider/request/bodys", `did you mean "body"?`},
		{"AZ-44 verified is the catalogue's", inProvider(t, declared, "verified", `"2026-11-30"`), "provider/verified", "is unknown"},
		{"AZ-44 empty", with(t, declared, "provider", `{}`), "provider", "is empty"},
		{"AZ-44 an array", with(t, declared, "provider", `[]`), "provider", "a string or an object"},
		{"AZ-44 only in the provider", with(t, generic, "refresh_params", `{"a":"c4n4ry"}`), "refresh_params", "is unknown"},
		{"BI-45 OC-17 password", inProvider(t, declared, "grant_types", `["password"]`), "provider/grant_types/0", "an entry of the catalogue only"},
		{"BI-45 a grant that is not offered", with(t, inProvider(t, consents, "grant_types", `["client_credentials","jwt_bearer"]`), "grant_type", `"authorization_code"`), "grant_type", "offers: client_credentials, jwt_bearer"},
		{"BI-45 no grant is offered", inProvider(t, inProvider(t, declared, "grant_types", `[]`), "note", `"keys only"`), "provider", "offers no OAuth grant: keys only"},
		{"BI-45 the default grant is not offered", inProvider(t, declared, "grant_types", `["jwt_bearer"]`), "grant_type", "is missing; provider inline offers jwt_bearer"},
		{"BI-45 an unknown grant", inProvider(t, declared, "grant_types", `["implicit"]`), "provider/grant_types/0", "must be one of"},
		{"BI-43 a private token_url", inProvider(t, declared, "token_url", `"https://10.0.0.1/c4n4ry"`), "provider/token_url", ""},
		{"BI-43 a private refresh_url", inProvider(t, declared, "refresh_url", `"https://localhost/c4n4ry"`), "provider/refresh_url", "localhost"},
		{"BI-43 a host that a value makes private", with(t, inProvider(t, inProvider(t, tenant, "token_url", `"https://{shop}/t"`), "variables", `{"shop":{"host":true}}`), "variables", `{"shop":"169.254.169.254"}`), "variables", "make a token_url that"},
		{"BI-43 a whole host unstated", inProvider(t, tenant, "token_url", `"https://{shop}/t"`), "provider/token_url", `"host": true`},
		{"BI-43 the end of a host without values", inProvider(t, tenant, "token_url", `"https://as.example.{shop}/t"`), "provider/token_url", `state "values"`},
		{"BI-43 a variable for a port", inProvider(t, tenant, "token_url", `"https://as.example.com:{shop}/t"`), "provider/token_url", "in its port"},
		{"BI-43 a variable for everything", inProvider(t, tenant, "token_url", `"{shop}/t"`), "provider/token_url", "before its host"},
		{"BI-52 a value is missing", with(t, tenant, "variables", ""), "variables/shop", "is missing; it is: the shop's name"},
		{"BI-52 a value too many", with(t, tenant, "variables", `{"shop":"acme","shops":"c4n4ry"}`), "variables/shops", `did you mean "shop"?`},
		{"BI-52 variables where there are none", with(t, generic, "variables", `{"c4":"c4n4ry"}`), "variables/c4", "has no variables"},
		{"BI-52 a value that is a number", with(t, tenant, "variables", `{"shop":1}`), "variables/shop", "is a number"},
		{"BI-52 a value outside the list", with(t, inProvider(t, tenant, "variables", `{"shop":{"values":["a","b"]}}`), "variables", `{"shop":"c4n4ry"}`), "variables/shop", "must be one of a, b"},
		{"BI-52 a value beside the pattern", with(t, inProvider(t, tenant, "variables", `{"shop":{"pattern":"a|ab"}}`), "variables", `{"shop":"abc4n4ry"}`), "variables/shop", "does not match"},
		{"BI-43 a value with a dot", with(t, tenant, "variables", `{"shop":"c4n4ry.evil"}`), "variables/shop", "a part of a host name"},
		{"BI-43 a value with a slash", with(t, tenant, "variables", `{"shop":"c4n4ry/evil"}`), "variables/shop", "a part of a host name"},
		{"BI-52 a variable that is reserved", inProvider(t, tenant, "variables", `{"shop":{},"uuid":{}}`), "provider/variables/uuid", "is reserved"},
		{"BI-52 a variable that is not used", inProvider(t, tenant, "variables", `{"shop":{},"region":{}}`), "provider/variables/region", "used nowhere"},
		{"BI-52 a bad pattern", inProvider(t, tenant, "variables", `{"shop":{"pattern":"(c4n4ry"}}`), "provider/variables/shop/pattern", "RE2"},
		{"BI-52 a default beside the pattern", inProvider(t, tenant, "variables", `{"shop":{"pattern":"[a-z]+","default":"c4n4ry"}}`), "provider/variables/shop/default", "does not match"},
		{"OC-24 a header of ours", inProvider(t, declared, "request", `{"headers":{"AUTHORIZATION":"c4n4ry"}}`), "provider/request/headers/AUTHORIZATION", "sets itself"},
		{"OC-24 a header about the content", inProvider(t, declared, "request", `{"headers":{"Content-Encoding":"c4n4ry"}}`), "provider/request/headers/Content-Encoding", "sets itself"},
		{"OC-24 a header of one hop", inProvider(t, declared, "request", `{"headers":{"Proxy-Authorization":"c4n4ry"}}`), "provider/request/headers/Proxy-Authorization", "sets itself"},
		{"OC-24 no header's name", inProvider(t, declared, "request", `{"headers":{"X Id":"c4n4ry"}}`), "provider/request/headers/X Id", "not the name of a header"},
		{"OC-24 a header twice", inProvider(t, declared, "request", `{"headers":{"X-Id":"c4n4ry","x-id":"c4n4ry"}}`), "provider/request/headers/x-id", "same header"},
		{"OC-24 a line break in a header", inProvider(t, declared, "request", `{"headers":{"X-Id":"a\r\nc4n4ry: b"}}`), "provider/request/headers/X-Id", "control"},
		{"OC-24 a line break by a variable", with(t, inProvider(t, tenant, "request", `{"headers":{"X-Id":"{shop}"}}`), "variables", `{"shop":"a\r\nc4n4ry"}`), "variables/shop", "control character"},
		{"OC-05 an unknown body", inProvider(t, declared, "request", `{"body":"c4n4ry"}`), "provider/request/body", "must be one of form, json, query"},
		{"AZ-42 an unknown parameter renamed", inProvider(t, declared, "request", `{"names":{"client":"c4n4ry"}}`), "provider/request/names/client", "is unknown"},
		{"AZ-42 two parameters of one name", inProvider(t, declared, "request", `{"names":{"client_id":"code"}}`), "provider/request/names/client_id", "gets the name of code"},
		{"AZ-42 the new name is reserved", with(t, inProvider(t, declared, "request", `{"names":{"client_id":"app_key"}}`), "token_params", `{"App_Key":"c4n4ry"}`), "token_params/App_Key", "is reserved"},
		{"AZ-42 a reserved parameter of refreshes", inProvider(t, declared, "refresh_params", `{"refresh_token":"c4n4ry"}`), "provider/refresh_params/refresh_token", "is reserved"},
		{"BI-51 success without equals", with(t, generic, "response", `{"success":{"pointer":"/c4n4ry"}}`), "response/success/equals", "is missing"},
		{"BI-51 success equals null", with(t, generic, "response", `{"success":{"pointer":"/a","equals":null}}`), "response/success/equals", "is null"},
		{"OC-45 an ended code with a meaning", with(t, generic, "response", `{"ended":["invalid_client"]}`), "response/ended/0", "something else"},
		{"OC-45 an ended code that passes", with(t, generic, "response", `{"ended":[503]}`), "response/ended/0", "a failure that passes"},
		{"BI-51 extra is a token", with(t, generic, "response", `{"extra":{"t":"/refresh_token"}}`), "response/extra/t", "where the access token or the refresh token is"},
		{"BI-51 extra is a token that is elsewhere", with(t, generic, "response", `{"access_token":"/d/t","extra":{"t":"/d/t"}}`), "response/extra/t", "where the access token or the refresh token is"},
		{"BI-51 extra twice", inProvider(t, inProvider(t, consents, "callback", `{"extra":{"a":"b"}}`), "response", `{"extra":{"a":"/b"}}`), "provider/response/extra/a", "in callback/extra too"},
		{"BI-51 seventeen extras", with(t, generic, "response", `{"extra":{`+seventeen+`}}`), "response/extra", "more than 16"},
		{"BI-51 an extra's name", with(t, generic, "response", `{"extra":{"a b":"/c4n4ry"}}`), "response/extra/a b", "is not a name"},
		{"AZ-42 state as the code", inProvider(t, consents, "callback", `{"code":"state"}`), "provider/callback/code", "another meaning"},
		{"AZ-42 state as an extra", inProvider(t, consents, "callback", `{"extra":{"s":"state"}}`), "provider/callback/extra/s", "reads itself"},
		{"BI-50 grace without its time", inProvider(t, consents, "refresh_token", `{"rotation":"grace"}`), "provider/refresh_token/grace", "is missing"},
		{"BI-50 time without grace", inProvider(t, consents, "refresh_token", `{"rotation":"kept","grace":60}`), "provider/refresh_token/grace", "rotation grace only"},
		{"BI-50 an unknown rotation", inProvider(t, consents, "refresh_token", `{"rotation":"c4n4ry"}`), "provider/refresh_token/rotation", "must be one of"},
		{"BI-50 another word", with(t, generic, "default_expires_in", `"c4n4ry"`), "default_expires_in", `or "never"`},
		{"BI-47 a separator that is long", inProvider(t, declared, "scope_separator", `"c4n4ry"`), "provider/scope_separator", "1 to 4"},
		{"BI-47 an alias of no scope", inProvider(t, declared, "scope_aliases", `{"a b":"c4n4ry"}`), "provider/scope_aliases/a b", "not one scope token"},
		{"a presentation with a line break", inProvider(t, declared, "present", `{"prefix":"c4n4ry\n"}`), "provider/present/prefix", "control"},
		{"too many groups", inProvider(t, declared, "max_renewal_groups", "65"), "provider/max_renewal_groups", "from 1 to 64"},
		{"token_path beside token_url", inProvider(t, declared, "token_path", `"/t"`), "provider/token_url", "beside token_path"},
		{"BI-63 an empty secret in a body", with(t, creativeForce, "client_secret", `""`), "client_secret", "only the client_auth client_secret_basic"},
		{"OC-24 a secret header of ours", with(t, generic, "headers", `{"Host":"c4n4ry"}`), "headers/Host", "sets itself"},
		{"OC-24 a secret header with a line break", with(t, generic, "headers", `{"X-Key":"c4n4ry\r\na: b"}`), "headers/X-Key", "control"},
		{"BI-49 a timeout of 21 s", with(t, generic, "token_timeout", "21"), "token_timeout", "from 1 to 20"},
		{"BI-46 an assertion without a key", with(t, generic, "assertion", `{"lifetime":60}`), "assertion", "private_key_jwt and with grant_type jwt_bearer only"},
		{"BI-46 a user name", with(t, generic, "username", `"c4n4ry"`), "username", "grant_type password only"},
		{"AZ-44 $schema in a member's place", with(t, generic, "$schema", `1`), "$schema", "is a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.text, tt.where, tt.why) })
	}
}

var seventeen = func() string {
	var pairs []string
	for _, r := range "abcdefghijklmnopq" {
		pairs = append(pairs, `"`+string(r)+`":"/`+string(r)+`"`)
	}
	return strings.Join(pairs, ",")
}()

// TestDeclaredProvider_AZ44_oneBadMember: a provider that is not valid disables no
// other connection of the bundle.
func TestDeclaredProvider_AZ44_oneBadMember(t *testing.T) {
	bad := inProvider(t, declared, "request", `{"headers":{"Host":"c4n4ry"}}`)
	s := secretOf(`{"$schema":"https://example.com/s","connections":{"bad":` + bad + `,"good":` + declared + `,"schema":` + with(t, declared, "$schema", `"x"`) + `}}`)
	for _, tt := range []struct{ name, member string }{{"bad", "provider/request/headers/Host"}, {"good", ""}, {"schema", "$schema"}} {
		_, err := connection.Parser{}.Parse(connection.Name("crm."+tt.name), s)
		var problem *connection.ValidationError
		if tt.member == "" && err != nil || tt.member != "" && (!errors.As(err, &problem) || problem.Member != tt.member) {
			t.Errorf("%s: %v, want a problem of %q", tt.name, err, tt.member)
		}
	}
}

// TestPassword_OC17: an entry of the catalogue may offer the grant.
func TestPassword_OC17(t *testing.T) {
	base := `{"provider":"akeneo","grant_type":"password","base_url":"https://pim.example.com","client_id":"id","client_secret":"c4n4ry","username":"robot","password":"c4n4ry-too"}`
	c, err := parse(base)
	if err != nil || c.GrantType != connection.Password || c.Username != "robot" || c.Password.Reveal() != "c4n4ry-too" {
		t.Errorf("read as %+v, %v", c, err)
	}
	for _, tt := range []struct{ name, member, value, where, why string }{
		{"BI-61 no user", "username", "", "username", "is missing"},
		{"BI-61 no password", "password", "", "password", "is missing"},
		{"BI-61 an empty password", "password", `""`, "password", "is empty"},
		{"AZ-42 the user as a parameter", "token_params", `{"username":"c4n4ry"}`, "token_params/username", "is reserved"},
		{"BI-45 the default grant", "grant_type", "", "grant_type", "offers password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(with(t, base, tt.member, tt.value))
			if err == nil || !strings.Contains(err.Error(), tt.where) || !strings.Contains(err.Error(), tt.why) || strings.Contains(err.Error(), canary) {
				t.Errorf("error = %v; want member %s and %q", err, tt.where, tt.why)
			}
		})
	}
}
