package connection_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// refused fails unless text is refused because of that one member, for that
// reason.
func refused(t *testing.T, text, member, why string) {
	t.Helper()
	c, err := parse(text)
	if err == nil {
		t.Fatalf("accepted as %+v", c)
	}
	var problem *connection.ValidationError
	if !errors.As(err, &problem) {
		t.Fatalf("error = %v, not a *ValidationError", err)
	}
	var several connection.ValidationErrors
	if errors.As(err, &several) {
		t.Errorf("one mistake, several errors: %v", err)
	}
	if problem.Member != member || !strings.Contains(problem.Text, why) {
		t.Errorf("problem = member %q: %s; want member %q and %q", problem.Member, problem.Text, member, why)
	}
	if strings.Contains(err.Error(), canary) {
		t.Error("the error shows a value")
	}
	refusedBySchema(t, text)
}

// refusedBySchema fails unless schema.json refuses what concerns one member alone, or
// the test is listed in beyondSchema, and only then.
func refusedBySchema(t *testing.T, text string) {
	t.Helper()
	beyond := slices.Contains(slices.Concat(slices.Collect(maps.Values(beyondSchema))...), t.Name())
	if refusal := validate(text); (refusal == nil) != beyond {
		t.Errorf("AZ-44 schema.json refuses it: %v (listed as beyond the schema: %v)", refusal, beyond)
	}
}

func TestRefusesText(t *testing.T) {
	tests := []struct{ name, text, member, why string }{
		{"BI-60 not JSON", "client_id=c4n4ry", "", "is not JSON (line 1, column 1)"},
		{"BI-60 cut off", `{"provider":"c4n4ry`, "", "ends too early"},
		{"BI-60 array", `["c4n4ry"]`, "", "is not an object"},
		{"BI-60 string", `"c4n4ry"`, "", "is not an object"},
		{"BI-60 empty or binary", "", "", "has no text"},
		{"BI-60 white space", " \n", "", "is empty"},
		{"BI-60 null", "null", "", "is not an object"},
		{"BI-40 UTF-16", "\xff\xfe{\x00}\x00", "", "UTF-8"},
		{"BI-40 byte order mark", "\xef\xbb\xbf" + generic, "", "byte order mark"},
		{"BI-40 trailing text", generic + " c4n4ry", "", "after its end"},
		{"BI-40 larger than 64 KiB", generic + strings.Repeat(" ", 64<<10), "", "larger than 65536 bytes"},
		{"BI-40 deep", with(t, generic, "response", strings.Repeat(`{"a":`, 40)+"1"+strings.Repeat("}", 40)), "response" + strings.Repeat("/a", 31), "nests deeper"},
		{"BI-64 repeated member", `{"client_id":"c4n4ry","client_id":"c4n4ry"}`, "client_id", "is repeated"},
		{"BI-64 repeated by escape", `{"client_id":"c4n4ry","\u0063lient_id":"c4n4ry"}`, "client_id", "is repeated"},
		{"BI-64 repeated inside", `{"token_params":{"a":"1","a":"c4n4ry"}}`, "token_params/a", "is repeated"},
		{"half a surrogate", `{"client_secret":"c4n4ry\ud800"}`, "client_secret", "surrogate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.text, tt.member, tt.why) })
	}
}

// Each case changes one member; an empty value removes it. where is the member that
// the error names if that is another one.
func TestRefusesMember(t *testing.T) {
	tests := []struct{ name, base, member, value, where, why string }{
		{"provider missing", generic, "provider", "", "", "is missing"},
		{"provider unknown", generic, "provider", `"creativeforce"`, "", `did you mean "creative-force"?`},
		{"provider unlike any", generic, "provider", `"c4n4ry"`, "", "not a name of the catalogue"},
		{"provider null", generic, "provider", "null", "", "is null"},

		{"BI-45 password", generic, "grant_type", `"password"`, "", "provider oauth2 offers: client_credentials, authorization_code, jwt_bearer"},
		{"BI-45 implicit", generic, "grant_type", `"implicit"`, "", "provider oauth2 offers: client_credentials, authorization_code, jwt_bearer"},
		{"BI-45 unknown", generic, "grant_type", `"c4n4ry"`, "", "provider oauth2 offers: client_credentials, authorization_code, jwt_bearer"},
		{"BI-45 an array", generic, "grant_type", `["client_credentials"]`, "", "is an array"},
		{"BI-45 empty", generic, "grant_type", `""`, "", "is empty"},

		{"BI-61 client_id missing", generic, "client_id", "", "", "is missing"},
		{"BI-61 client_id null", generic, "client_id", "null", "", "is null"},
		{"BI-61 client_id a number", generic, "client_id", "17", "", "is a number"},
		{"BI-61 client_id empty", generic, "client_id", `""`, "", "is empty"},
		{"BI-61 client_secret missing", generic, "client_secret", "", "", "is missing"},
		{"BI-61 client_secret null", generic, "client_secret", "null", "", "is null"},
		{"BI-61 client_secret nested", generic, "client_secret", `{"secret":"a","v":"c4n4ry"}`, "client_secret/v", "is unknown"},
		{"BI-61 client_secret true", generic, "client_secret", "true", "", "is a boolean"},
		{"BI-62 line break at the end", generic, "client_secret", `"c4n4ry\r\n"`, "", "ends with white space"},
		{"BI-62 space at the beginning", generic, "client_secret", `" c4n4ry"`, "", "begins with white space"},
		{"BI-62 white space only", generic, "client_secret", `"\t"`, "", "white space"},
		{"BI-62 no-break space", generic, "client_id", `"c4n4ry\u00a0"`, "", "ends with white space"},
		{"BI-62 zero-width space", generic, "client_id", `"\u200bc4n4ry"`, "", "begins with white space"},
		{"BI-63 NUL", generic, "client_secret", `"c4n4ry\u0000x"`, "", "NUL"},

		{"client_auth unknown", generic, "client_auth", `"post"`, "", "must be one of client_secret_post"},
		{"client_auth tls_client_auth", generic, "client_auth", `"tls_client_auth"`, "", "client certificates (RFC 8705) are not in this release"},
		{"a key beside a secret", generic, "private_key", `"c4n4ry"`, "", "private_key_jwt and with grant_type jwt_bearer only"},
		{"a key id beside a secret", generic, "key_id", `"c4n4ry"`, "", "private_key_jwt and with grant_type jwt_bearer only"},
		{"a colon that basic_raw would split at", with(t, generic, "client_auth", `"client_secret_basic_raw"`), "client_id", `"c4n4ry:b"`, "", "contains a colon"},

		{"BI-47 quote", generic, "scope", `"c4n4ry\""`, "", "character that"},
		{"BI-47 control", generic, "scope", `"a\tb"`, "", "character"},
		{"BI-47 non-ASCII", generic, "scope", `"é"`, "", "character"},
		{"BI-47 empty", generic, "scope", `""`, "", "remove it"},
		{"BI-47 an array", generic, "scope", `["a"]`, "", "is an array"},
		{"BI-47 two spaces", generic, "scope", `"a  b"`, "", "one space between"},
		{"BI-47 empty array", generic, "allowed_scopes", `[]`, "", "is an empty array"},
		{"BI-47 two tokens in one", generic, "allowed_scopes", `["a b"]`, "allowed_scopes/0", "not one scope token"},
		{"BI-47 a token twice", generic, "allowed_scopes", `["a","b","a"]`, "allowed_scopes/2", "repeated in the array"},
		{"BI-47 a number", generic, "allowed_scopes", `["a",1]`, "allowed_scopes/1", "is a number"},

		{"token_url missing", generic, "token_url", "", "", "provider oauth2 has no default"},
		{"BI-42 http", generic, "token_url", `"http://as.example.com/token"`, "", "https"},
		{"BI-42 ftp", generic, "token_url", `"ftp://as.example.com/c4n4ry"`, "", "https"},
		{"BI-42 no host", generic, "token_url", `"https:///c4n4ry"`, "", "no host"},
		{"BI-42 userinfo", generic, "token_url", `"https://c4n4ry@as.example.com/"`, "", "user name"},
		{"BI-42 fragment", generic, "token_url", `"https://as.example.com/#c4n4ry"`, "", "fragment"},
		{"BI-42 port 22", generic, "token_url", `"https://as.example.com:22/c4n4ry"`, "", "port"},
		{"BI-43 metadata service", generic, "token_url", `"https://169.254.169.254/c4n4ry"`, "", ""},
		{"BI-43 runtime API", generic, "token_url", `"https://127.0.0.1:9001/c4n4ry"`, "", ""},
		{"BI-43 IPv6 loopback", generic, "revocation_url", `"https://[::1]/c4n4ry"`, "", ""},
		{"BI-43 decimal address", generic, "issuer", `"https://2130706433/"`, "", ""},
		{"BI-43 hexadecimal address", generic, "token_url", `"https://0x7f.1/"`, "", ""},
		{"BI-43 localhost", generic, "token_url", `"https://localhost/"`, "", ""},
		{"BI-43 internal name", delegated, "authorization_url", `"https://as.corp.internal/"`, "", ""},

		{"base_url missing", agileNow, "base_url", "", "", "needs the address of the tenant"},
		{"base_url with a query", agileNow, "base_url", `"https://tenant.example.com/?c4n4ry"`, "", "query"},
		{"base_url with a fragment", agileNow, "base_url", `"https://tenant.example.com/#c4n4ry"`, "", "fragment"},
		{"base_url with slashes", agileNow, "base_url", `"https://tenant.example.com//"`, "", "several slashes"},
		{"base_url that is private", agileNow, "base_url", `"https://10.0.0.5"`, "", ""},
		{"base_url without a tenant", generic, "base_url", `"https://tenant.example.com"`, "", "one host for all tenants"},

		{"BI-46 no authorization_url", with(t, generic, "grant_type", `"authorization_code"`), "scope", `"a"`, "authorization_url", "authorization_code needs it"},
		{"BI-46 redirect_uri", generic, "redirect_uri", `"https://x.example.com/"`, "", "authorization_code only"},
		{"BI-46 authorization_url", generic, "authorization_url", `"https://x.example.com/"`, "", "authorization_code only"},
		{"BI-46 authorization_params", generic, "authorization_params", `{"prompt":"consent"}`, "", "authorization_code only"},
		{"BI-46 pkce", generic, "pkce", `true`, "", "authorization_code only"},
		{"BI-46 refresh_token_expires_in", generic, "refresh_token_expires_in", `3600`, "", "authorization_code only"},
		{"BI-46 allowed_scopes", delegated, "allowed_scopes", `["a"]`, "", "is used with grant_type client_credentials, jwt_bearer, password only"},
		{"BI-37 response_mode", delegated, "authorization_params", `{"response_mode":"form_post"}`, "authorization_params/response_mode", "must be query"},
		{"redirect_uri http", delegated, "redirect_uri", `"http://x.example.com/c4n4ry"`, "", "http"},
		{"redirect_uri without a host", delegated, "redirect_uri", `"https:///c4n4ry"`, "", "no host"},
		{"redirect_uri with a fragment", delegated, "redirect_uri", `"https://x.example.com/#c4n4ry"`, "", "fragment"},
		{"redirect_uri with userinfo", delegated, "redirect_uri", `"https://c4n4ry@x.example.com/"`, "", "user name"},
		{"redirect_uri with a line break", delegated, "redirect_uri", `"https://x.example.com/\nc4n4ry"`, "", "percent-encoded"},
		{"pkce as a string", delegated, "pkce", `"false"`, "", "without quotes"},
		{"early_refresh as a number", generic, "early_refresh", `0`, "", "is a number"},

		{"token_params an array", generic, "token_params", `["c4n4ry"]`, "", "is an array"},
		{"token_params empty", generic, "token_params", `{}`, "", "is empty"},
		{"token_params a number", generic, "token_params", `{"a":1}`, "token_params/a", "is a number"},
		{"token_params empty array", generic, "token_params", `{"a":[]}`, "token_params/a", "is an empty array"},
		{"token_params nested array", generic, "token_params", `{"a":["c4n4ry",["c4n4ry"]]}`, "token_params/a/1", "is an array"},
		{"token_params empty value", generic, "token_params", `{"a":["c4n4ry",""]}`, "token_params/a/1", "is empty"},
		{"token_params empty name", generic, "token_params", `{"":"c4n4ry"}`, "token_params/", "without a name"},

		{"BI-51 not a pointer", generic, "response", `{"access_token":"c4n4ry.access_token"}`, "response/access_token", "JSON Pointer"},
		{"BI-51 bad escape", generic, "response", `{"scope":"/c4n4ry~2"}`, "response/scope", "~0"},
		{"BI-51 empty", generic, "response", `{"success":""}`, "response/success", "is empty"},
		{"BI-51 an array", generic, "response", `{"error":["/c4n4ry"]}`, "response/error", "is an array"},
		{"BI-51 unknown", generic, "response", `{"acces_token":"/c4n4ry"}`, "response/acces_token", `did you mean "access_token"?`},
		{"BI-51 not an object", generic, "response", `"/c4n4ry"`, "", "is a string"},

		{"BI-50 zero", generic, "default_expires_in", `0`, "", "from 1 to 7776000"},
		{"BI-50 negative", generic, "default_expires_in", `-1`, "", "from 1 to 7776000"},
		{"BI-50 ten years", generic, "default_expires_in", `315360000`, "", "from 1 to 7776000"},
		{"BI-50 overflow", generic, "default_expires_in", `18446744073709551617`, "", "from 1 to 7776000"},
		{"BI-50 fraction", generic, "default_expires_in", `3599.5`, "", "whole number"},
		{"BI-50 exponent", generic, "default_expires_in", `1e3`, "", "whole number"},
		{"BI-50 a string", generic, "default_expires_in", `"3600"`, "", "without quotes"},
		{"BI-50 refresh token, beyond five years", delegated, "refresh_token_expires_in", `157680001`, "", "from 1 to 157680000"},

		{"BI-49 timeout", generic, "timeout", `30`, "", "is unknown"},
		{"BI-49 a retry knob", generic, "max_retries", `3`, "", "is unknown"},
		{"OC-16 discovery", generic, "discovery_url", `"https://x"`, "", "is unknown"},
		{"OC-16 pushed requests", generic, "pushed_authorization_request_endpoint", `"https://x"`, "", "is unknown"},
		{"BI-52 a typo", generic, "client_Id", `"c4n4ry"`, "", `did you mean "client_id"?`},
		{"BI-53 another secret", generic, "client_secret_arn", `"arn:aws:secretsmanager:c4n4ry"`, "", "is unknown"},
		{"BI-53 an environment variable", generic, "client_secret_env", `"c4n4ry"`, "", "is unknown"},
		{"BI-52 a long name is cut", generic, strings.Repeat("n", 5000), `1`, strings.Repeat("n", 64) + "…", "is unknown"},

		{"callers empty", generic, "callers", `[]`, "", "is an empty array"},
		{"callers an object", generic, "callers", `{"principal":"c4n4ry"}`, "", "is an object"},
		{"callers an array of strings", generic, "callers", `["arn:aws:iam::111122223333:role/c4n4ry"]`, "callers/0", "must be an object"},
		{"callers without principal", generic, "callers", `[{"scopes":["a"]}]`, "callers/0/principal", "is missing"},
		{"callers with a typo", generic, "callers", `[{"principal":"arn:aws:iam::111122223333:root","scope":["a"]}]`, "callers/0/scope", `did you mean "scopes"?`},
		{"callers with empty scopes", generic, "callers", `[{"principal":"arn:aws:iam::111122223333:root","scopes":[]}]`, "callers/0/scopes", "is an empty array"},
		{"callers with a bad scope", generic, "callers", `[{"principal":"arn:aws:iam::111122223333:root","scopes":["a b"]}]`, "callers/0/scopes/0", "not one scope token"},
		{"callers with a bad subject", delegated, "callers", `[{"principal":"arn:aws:iam::111122223333:root","subjects":["A"]}]`, "callers/0/subjects/0", "not a subject's name"},
		{"BI-46 callers with subjects", generic, "callers", `[{"principal":"arn:aws:iam::111122223333:root","subjects":["a"]}]`, "callers/0/subjects", "authorization_code only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			where := tt.where
			if where == "" {
				where = tt.member
			}
			refused(t, with(t, tt.base, tt.member, tt.value), where, tt.why)
		})
	}
}

func TestRefusesReservedParameters(t *testing.T) {
	for _, name := range []string{
		"client_id", "client_secret", "grant_type", "code", "redirect_uri", "state", "code_challenge", "code_challenge_method",
		"code_verifier", "refresh_token", "assertion", "client_assertion", "client_assertion_type", "scope", "response_type",
		"request", "request_uri", "Client_ID",
	} {
		for _, member := range []string{"token_params", "authorization_params"} {
			t.Run("AZ-42 BI-48 "+member+" "+name, func(t *testing.T) {
				refused(t, with(t, delegated, member, `{"`+name+`":"c4n4ry"}`), member+"/"+name, "reserved")
			})
		}
	}
}

func TestRefusesPrincipals(t *testing.T) {
	tests := []struct{ name, principal, why string }{
		{"every caller", "*", "every caller of every account"},
		{"a part of an account", "arn:aws:iam::1111*", "not an IAM ARN"},
		{"any account", "arn:aws:iam::*:role/c4n4ry", "wildcard inside"},
		{"an account as such", "111122223333", "not an IAM ARN"},
		{"eleven digits", "arn:aws:iam::11112222333:role/c4n4ry", "12 digits"},
		{"no account", "arn:aws:iam:::role/c4n4ry", "12 digits"},
		{"another service", "arn:aws:s3::111122223333:c4n4ry", "not an IAM ARN"},
		{"a region", "arn:aws:iam:eu-west-1:111122223333:role/c4n4ry", "not an IAM ARN"},
		{"another partition", "arn:awsx:iam::111122223333:role/c4n4ry", "partition"},
		{"another cloud", "arn:c4n4ry:iam::111122223333:role/c4n4ry", "partition"},
		{"a group", "arn:aws:iam::111122223333:group/c4n4ry", "no user or role"},
		{"a policy", "arn:aws:iam::111122223333:policy/c4n4ry", "no user or role"},
		{"a beginning of a kind", "arn:aws:iam::111122223333:ro*", "no user or role"},
		{"role without a name", "arn:aws:iam::111122223333:role/", "empty or malformed"},
		{"role with a gap", "arn:aws:iam::111122223333:role/a//c4n4ry", "empty or malformed"},
		{"a question mark", "arn:aws:iam::111122223333:role/c4n4ry?", "wildcard inside"},
		{"a wildcard inside", "arn:aws:iam::111122223333:role/*/c4n4ry", "wildcard inside"},
		{"AZ-06 a wildcard after a role's path", "arn:aws:iam::111122223333:role/team/*", "role's path"},
		{"AZ-06 a session", "arn:aws:sts::111122223333:assumed-role/c4n4ry/s", "name the role"},
		{"AZ-06 sessions", "arn:aws:sts::111122223333:assumed-role/c4n4ry/*", "name the role"},
		{"federated users", "arn:aws:sts::111122223333:federated-user/*", "complete federated-user"},
		{"federated users by beginning", "arn:aws:sts::111122223333:federated-user/c4n4ry*", "complete federated-user"},
		{"everything of STS", "arn:aws:sts::111122223333:*", "complete federated-user"},
		{"root and what follows", "arn:aws:iam::111122223333:root*", "no user or role"},
		{"white space", "arn:aws:iam::111122223333:role/c4n4ry ", "malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, with(t, generic, "callers", `[{"principal":"`+tt.principal+`"}]`), "callers/0/principal", tt.why)
		})
	}
}
