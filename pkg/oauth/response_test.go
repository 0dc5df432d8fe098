package oauth_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

func with(member string) string {
	return `{"access_token":"token_1","token_type":"Bearer",` + member + `}`
}

func TestExpiresIn(t *testing.T) {
	tests := []struct {
		name, body string
		want       time.Duration // zero: refused
		assumed    bool
		warnings   []audit.Warning
	}{
		{"OC-30 missing", `{"access_token":"t","token_type":"Bearer"}`, 300 * time.Second, true, nil},
		{"OC-30 null", with(`"expires_in":null`), 300 * time.Second, true, nil},
		{"OC-31 string", with(`"expires_in":"3600"`), time.Hour, false, nil},
		{"OC-31 string with a space", with(`"expires_in":" 3600"`), 0, false, nil},
		{"OC-31 string with a sign", with(`"expires_in":"+3600"`), 0, false, nil},
		{"OC-31 string with a fraction", with(`"expires_in":"3600.0"`), 0, false, nil},
		{"OC-31 empty string", with(`"expires_in":""`), 0, false, nil},
		{"OC-31 string of other digits", with(`"expires_in":"٣٦٠٠"`), 0, false, nil},
		{"OC-32 3599.0", with(`"expires_in":3599.0`), 3599 * time.Second, false, nil},
		{"OC-32 3.6e3", with(`"expires_in":3.6e3`), time.Hour, false, nil},
		{"OC-32 3599.7", with(`"expires_in":3599.7`), 3599 * time.Second, false, nil},
		{"OC-33 zero", with(`"expires_in":0`), 0, false, nil},
		{"OC-33 zero string", with(`"expires_in":"0"`), 0, false, nil},
		{"OC-33 less than a second", with(`"expires_in":0.9`), 0, false, nil},
		{"OC-33 minus zero", with(`"expires_in":-0.0`), 0, false, nil},
		{"OC-33 minus one", with(`"expires_in":-1`), 0, false, nil},
		{"OC-33 minus an hour", with(`"expires_in":-3600`), 0, false, nil},
		{"OC-33 minus infinity", with(`"expires_in":-1e999`), 0, false, nil},
		{"OC-34 1e18", with(`"expires_in":1e18`), 90 * 24 * time.Hour, false, []audit.Warning{"expires_in_clamped"}},
		{"OC-34 2^63", with(`"expires_in":9223372036854775808`), 90 * 24 * time.Hour, false, []audit.Warning{"expires_in_clamped"}},
		{"OC-34 1e999999999", with(`"expires_in":1e999999999`), 90 * 24 * time.Hour, false, []audit.Warning{"expires_in_clamped"}},
		{"OC-34 400 digits", with(`"expires_in":` + strings.Repeat("9", 400)), 90 * 24 * time.Hour, false, []audit.Warning{"expires_in_clamped"}},
		{"OC-34 400 digits as a string", with(`"expires_in":"` + strings.Repeat("9", 400) + `"`), 90 * 24 * time.Hour, false, []audit.Warning{"expires_in_clamped"}},
		{"OC-34 milliseconds since 1970", with(`"expires_in":1767268800000`), 90 * 24 * time.Hour, false, []audit.Warning{"expires_in_clamped"}},
		{"OC-34 90 days", with(`"expires_in":7776000`), 90 * 24 * time.Hour, false, nil},
		{"OC-34 30 days", with(`"expires_in":2592000`), 30 * 24 * time.Hour, false, nil},
		{"OC-35 true", with(`"expires_in":true`), 0, false, nil},
		{"OC-35 array", with(`"expires_in":[]`), 0, false, nil},
		{"OC-35 object", with(`"expires_in":{}`), 0, false, nil},
		{"OC-35 1h", with(`"expires_in":"1h"`), 0, false, nil},
		{"OC-35 hexadecimal", with(`"expires_in":"0x10"`), 0, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(200, tt.body)).URL))
			if tt.want == 0 {
				wantFailure(t, err, "provider_malformed expires_in")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if token.Lifetime() != tt.want || token.ExpiresInAssumed != tt.assumed {
				t.Errorf("lifetime %v, assumed %v; want %v, %v", token.Lifetime(), token.ExpiresInAssumed, tt.want, tt.assumed)
			}
			if diff := cmp.Diff(tt.warnings, token.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultExpiresIn(t *testing.T) {
	r := request(newServer(t, says(200, `{"access_token":"t","token_type":"Bearer"}`)).URL)
	r.DefaultExpiresIn = 20 * time.Minute
	token, err := oauth.New(config()).Token(t.Context(), r)
	if err != nil || token.Lifetime() != 20*time.Minute || !token.ExpiresInAssumed {
		t.Errorf("OC-30 Token = %v, %v; want the connection's default, assumed", token, err)
	}
}

// jwt makes an unsigned token with these claims.
func jwt(claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
}

func TestResponses(t *testing.T) {
	token := func(text string) string {
		return fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, text)
	}
	jwtIn := func(d time.Duration) string { return token(jwt(fmt.Sprintf(`{"exp":%d}`, now.Add(d).Unix()))) }
	tests := []struct{ name, body, failure string }{ // no failure: a token valid for one hour
		{"OC-36 lower case", `{"access_token":"t","token_type":"bearer","expires_in":3600}`, ""},
		{"OC-36 upper case", `{"access_token":"t","token_type":"BEARER","expires_in":3600}`, ""},
		{"OC-38 mac", `{"access_token":"t","token_type":"mac"}`, "provider_malformed token_type"},
		{"OC-13 DPoP", `{"access_token":"t","token_type":"DPoP"}`, "provider_malformed token_type"},
		{"OC-38 N_A", `{"access_token":"t","token_type":"N_A"}`, "provider_malformed token_type"},
		{"OC-38 JWT", `{"access_token":"t","token_type":"JWT"}`, "provider_malformed token_type"},
		{"OC-38 number", `{"access_token":"t","token_type":1}`, "provider_malformed token_type"},
		{"OC-38 empty", `{"access_token":"t","token_type":""}`, "provider_malformed token_type"},
		{"OC-38 trailing space", `{"access_token":"t","token_type":"Bearer "}`, "provider_malformed token_type"},
		{"OC-40 page", `<!doctype html><title>Sorry</title>`, "provider_malformed not_json"},
		{"OC-42 form", `access_token=t&token_type=Bearer`, "provider_malformed not_json"},
		{"OC-43 error", `{"error":"invalid_client","access_token":"t"}`, "provider_rejected error"},
		{"OC-43 unknown error", `{"error":"bad_verification_code"}`, "provider_rejected error"},
		{"OC-43 error object", `{"error":{"code":7}}`, "provider_rejected error"},
		{"OC-43 null error", `{"error":null,"access_token":"t","token_type":"Bearer","expires_in":3600}`, ""},
		{"OC-43 no error", `{"error":"","access_token":"t","token_type":"Bearer","expires_in":3600}`, ""},
		{"OC-43 false error", `{"error":false,"access_token":"t","token_type":"Bearer","expires_in":3600}`, ""},
		{"OC-43 true error", `{"error":true,"access_token":"t","token_type":"Bearer","expires_in":3600}`, "provider_rejected error"},
		{"OC-48 transient error", `{"error":"temporarily_unavailable"}`, "provider_unavailable error"},
		{"OC-50 empty", ``, "provider_malformed not_json"},
		{"OC-50 empty object", `{}`, "provider_malformed access_token"},
		{"OC-50 array", `[]`, "provider_malformed not_json"},
		{"OC-50 string", `"str"`, "provider_malformed not_json"},
		{"OC-50 null", `null`, "provider_malformed not_json"},
		{"OC-52 byte order mark", "\ufeff" + plainToken, ""},
		{"OC-52 white space", " \r\n\t" + plainToken + "\r\n", ""},
		{"OC-52 two byte order marks", "\ufeff\ufeff" + plainToken, "provider_malformed not_json"},
		{"OC-52 UTF-16", "\xff\xfe{\x00}\x00", "provider_malformed not_json"},
		{"OC-52 UTF-16 without a mark", "{\x00}\x00", "provider_malformed json"},
		{"OC-52 invalid UTF-8", `{"access_token":"t","x":"` + "\xff" + `"}`, "provider_malformed json"},
		{"OC-53 duplicate", `{"access_token":"t","access_token":"u"}`, "provider_malformed json"},
		{"OC-53 duplicate by escape", `{"access_token":"t","\u0061ccess_token":"u"}`, "provider_malformed json"},
		{"OC-54 title case", `{"Access_Token":"t"}`, "provider_malformed access_token"},
		{"OC-54 upper case", `{"ACCESS_TOKEN":"t"}`, "provider_malformed access_token"},
		{"OC-55 null", `{"access_token":null}`, "provider_malformed access_token"},
		{"OC-55 empty", `{"access_token":""}`, "provider_malformed access_token"},
		{"OC-55 number", `{"access_token":1}`, "provider_malformed access_token"},
		{"OC-55 object", `{"access_token":{}}`, "provider_malformed access_token"},
		{"OC-56 line feed", `{"access_token":"t\nX: y"}`, "provider_malformed access_token"},
		{"OC-56 carriage return", `{"access_token":"t\r"}`, "provider_malformed access_token"},
		{"OC-56 NUL", `{"access_token":"t\u0000"}`, "provider_malformed access_token"},
		{"OC-56 space inside", `{"access_token":"t t"}`, "provider_malformed access_token"},
		{"OC-56 space first", `{"access_token":" t"}`, "provider_malformed access_token"},
		{"OC-56 space last", `{"access_token":"t "}`, "provider_malformed access_token"},
		{"OC-56 DEL", `{"access_token":"t\u007f"}`, "provider_malformed access_token"},
		{"OC-56 non-ASCII", `{"access_token":"té"}`, "provider_malformed access_token"},
		{"OC-57 8 KiB", token(strings.Repeat("a", 8<<10)), ""},
		{"OC-57 16 KiB", token(strings.Repeat("a", 16<<10)), ""},
		{"OC-57 longer", token(strings.Repeat("a", 16<<10+1)), "provider_malformed access_token"},
		{"OC-58 trailing data", plainToken + `{}`, "provider_malformed json"},
		{"OC-58 depth 33", `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `,` + plainToken[1:], "provider_malformed json"},
		{"OC-58 NaN", `{"access_token":"t","expires_in":NaN}`, "provider_malformed json"},
		{"OC-58 comment", `{/**/` + plainToken[1:], "provider_malformed json"},
		{"OC-59 unknown members", `{"id_token":"x","constructor":{"a":[1]},` + plainToken[1:], ""},
		{"OC-60 scope an array", with(`"scope":["a"]`), "provider_malformed scope"},
		{"OC-60 scope with a line feed", with(`"scope":"a\nb"`), "provider_malformed scope"},
		{"OC-60 scope without end", with(`"scope":"` + strings.Repeat("a", 5000) + `"`), "provider_malformed scope"},
		{"OC-66 exp later", jwtIn(2 * time.Hour), ""},
		{"OC-66 exp past", jwtIn(-time.Second), "provider_malformed expires_in"},
		{"OC-66 exp past, padded", token("e30." + base64.URLEncoding.EncodeToString([]byte(`{"exp":10}`)) + ".c"), "provider_malformed expires_in"},
		{"OC-66 exp now", jwtIn(0), "provider_malformed expires_in"},
		{"OC-66 exp negative", token(jwt(`{"exp":-1}`)), "provider_malformed expires_in"},
		{"OC-66 exp beyond counting", token(jwt(`{"exp":1e300}`)), ""},
		{"OC-66 exp a string", token(jwt(`{"exp":"1"}`)), ""},
		{"OC-66 payload an array", token(jwt(`[1]`)), ""},
		{"OC-66 payload no JSON", token(jwt(`{"exp":`)), ""},
		{"OC-66 payload no base64", token("a.!.c"), ""},
		{"OC-66 dots", token(strings.Repeat(".", 16<<10)), ""},
		{"OC-66 five parts", token(jwt(`{"exp":1}`) + ".d.e"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(200, tt.body)).URL))
			if tt.failure != "" {
				wantFailure(t, err, tt.failure)
				return
			}
			if err != nil || got.TokenType != "Bearer" || got.Lifetime() != time.Hour || got.Warnings != nil {
				t.Errorf("Token = %+v, %v; want a bearer token for an hour", got, err)
			}
		})
	}
}

func TestTokenTypeMissing(t *testing.T) {
	for _, body := range []string{`{"access_token":"t"}`, `{"access_token":"t","token_type":null}`} {
		token, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(200, body)).URL))
		if err != nil || token.TokenType != "Bearer" || !cmp.Equal(token.Warnings, []audit.Warning{"token_type_missing"}) {
			t.Errorf("OC-37 Token = %+v, %v; want a bearer token with a warning", token, err)
		}
	}
}

func TestJWTExpiryIsEarlier(t *testing.T) {
	for name, exp := range map[string]string{"OC-66 integer": "1767270600", "OC-66 fraction": "1767270600.9"} {
		t.Run(name, func(t *testing.T) {
			body := `{"access_token":"` + jwt(`{"exp":`+exp+`}`) + `","token_type":"Bearer","expires_in":3600}`
			token, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(200, body)).URL))
			if err != nil || token.Lifetime() != 30*time.Minute {
				t.Errorf("lifetime %v, error %v; want half an hour", token.Lifetime(), err)
			}
		})
	}
}

func TestRequestedAt(t *testing.T) {
	cfg := config()
	clock := time.Date(2026, 1, 1, 13, 0, 0, 5, time.FixedZone("CET", 3600))
	cfg.Now = func() time.Time { return clock }
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		clock = clock.Add(4 * time.Second) // the response is slow
		says(200, plainToken)(w, r)
	})
	token, err := oauth.New(cfg).Token(t.Context(), request(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 1, 1, 12, 0, 0, 5, time.UTC)
	if token.RequestedAt != want || token.ExpiresAt != want.Add(time.Hour) {
		t.Errorf("OC-70 requested %v, expires %v; want %v and an hour later", token.RequestedAt, token.ExpiresAt, want)
	}
	if token.Trace != (oauth.Trace{Calls: 1, Latency: 4 * time.Second, Status: 200}) {
		t.Errorf("trace %+v", token.Trace)
	}
}

func TestScopeGranted(t *testing.T) {
	tests := []struct{ name, asked, body, want string }{
		{"OC-60 silent", "a b", plainToken, "a b"},
		{"OC-60 null", "a b", with(`"scope":null`), "a b"},
		{"OC-60 narrower", "a b", with(`"scope":"a"`), "a"},
		{"OC-60 different", "a b", with(`"scope":"c d"`), "c d"},
		{"OC-60 none", "a b", with(`"scope":""`), ""},
		{"OC-60 unasked", "", with(`"scope":"a"`), "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(newServer(t, says(200, tt.body)).URL)
			r.Scope = tt.asked
			token, err := oauth.New(config()).Token(t.Context(), r)
			if err != nil || token.Scope != tt.want {
				t.Errorf("scope %q, error %v; want %q", token.Scope, err, tt.want)
			}
		})
	}
}

func TestNestedResponse(t *testing.T) {
	shape := provider.Shape{
		AccessToken: "/token/access_token", TokenType: "/token/token_type",
		ExpiresIn: "/token/expires_in", Scope: "/token/scope", Success: "/success",
		Error: "/problem/code", ErrorDescription: "/problem/text",
	}
	const inner = `"token":{"token_type":"Bearer","expires_in":2592000,"access_token":"token_1","scope":"a"}`
	tests := []struct{ name, body, failure string }{
		{"OC-64 documented", `{"success":true,` + inner + `}`, ""},
		{"OC-64 null error", `{"success":true,"problem":{"code":null},` + inner + `}`, ""},
		{"OC-43 success false", `{"success":false,` + inner + `}`, "provider_rejected success"},
		{"OC-43 error at its pointer", `{"success":true,"problem":{"code":"invalid_scope"},` + inner + `}`, "provider_rejected error"},
		{"OC-43 transient error", `{"success":false,"problem":{"code":"server_error"}}`, "provider_unavailable error"},
		{"OC-64 success absent", `{` + inner + `}`, "provider_malformed success"},
		{"OC-64 success a string", `{"success":"true",` + inner + `}`, "provider_malformed success"},
		{"OC-64 success null", `{"success":null,` + inner + `}`, "provider_malformed success"},
		{"OC-64 success a number", `{"success":1,` + inner + `}`, "provider_malformed success"},
		{"OC-64 token missing", `{"success":true}`, "provider_malformed access_token"},
		{"OC-64 token an array", `{"success":true,"token":["token_1"]}`, "provider_malformed access_token"},
		{"OC-64 token a string", `{"success":true,"token":"token_1"}`, "provider_malformed access_token"},
		{"OC-64 access token an object", `{"success":true,"token":{"access_token":{}}}`, "provider_malformed access_token"},
		{"OC-64 at the standard place", `{"success":true,"access_token":"token_1"}`, "provider_malformed access_token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(newServer(t, says(200, tt.body)).URL)
			r.Response = shape
			token, err := oauth.New(config()).Token(t.Context(), r)
			if tt.failure != "" {
				wantFailure(t, err, tt.failure)
				return
			}
			if err != nil || token.AccessToken.Reveal() != "token_1" || token.Lifetime() != 30*24*time.Hour || token.Scope != "a" {
				t.Errorf("Token = %+v, %v", token, err)
			}
		})
	}
}

func TestContentType(t *testing.T) {
	for _, value := range []string{
		"text/plain", "text/html; charset=utf-8", "application/vnd.idp+json", "application/x-www-form-urlencoded", ";;;",
	} {
		t.Run("OC-41 "+value, func(t *testing.T) {
			server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{value, "image/png"}
				_, _ = w.Write([]byte(plainToken))
			})
			if _, err := oauth.New(config()).Token(t.Context(), request(server.URL)); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("OC-41 missing", func(t *testing.T) {
		url, _ := rawServer(t, ok(plainToken))
		if _, err := oauth.New(config()).Token(t.Context(), request(url)); err != nil {
			t.Error(err)
		}
	})
}

func zip(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}

func TestContentEncoding(t *testing.T) {
	large := `{"x":"` + strings.Repeat("a", 1<<20) + `"}`
	whole := zip(plainToken)
	tests := []struct{ name, encoding, body, failure string }{
		{"OC-51 gzip unasked", "gzip", whole, ""},
		{"OC-51 x-gzip", "X-GZIP", whole, ""},
		{"OC-51 identity", "identity", plainToken, ""},
		{"OC-51 gzip without saying so", "", whole, "provider_malformed not_json"},
		{"OC-51 br", "br", "\x0b\x02\x80", "provider_malformed encoding"},
		{"OC-51 double gzip", "gzip, gzip", zip(whole), "provider_malformed encoding"},
		{"OC-51 double gzip called one", "gzip", zip(whole), "provider_malformed not_json"},
		{"OC-51 bomb", "gzip", zip(strings.Repeat(" ", 8<<20)), "provider_malformed too_large"},
		{"OC-51 decoded over the limit", "gzip", zip(large), "provider_malformed too_large"},
		{"OC-51 no gzip", "gzip", plainToken, "provider_malformed encoding"},
		{"OC-51 broken checksum", "gzip", whole[:len(whole)-8] + "12345678", "provider_malformed encoding"},
		{"OC-51 cut", "gzip", whole[:len(whole)-9], "provider_malformed truncated"},
		{"OC-51 empty", "gzip", "", "provider_malformed truncated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(200, tt.body, "Content-Encoding", tt.encoding))
			_, err := oauth.New(config()).Token(t.Context(), request(server.URL))
			if tt.failure != "" {
				wantFailure(t, err, tt.failure)
			} else if err != nil {
				t.Error(err)
			}
			if got := server.received()[0].header.Get("Accept-Encoding"); got != "" {
				t.Errorf("Accept-Encoding %q was sent", got)
			}
		})
	}
}

func TestIgnoredMembersAreNotKept(t *testing.T) {
	const extra = "extra-CANARY-token"
	body := `{"refresh_token":"` + extra + `","id_token":"` + extra + `",` + plainToken[1:]
	server := newServer(t, says(200, body, "Set-Cookie", "a=b", "Clear-Site-Data", "*", "Link", "<https://x.example>"))
	token, err := oauth.New(config()).Token(t.Context(), request(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	if dump := fmt.Sprintf("%+v %#v %s", token, token, token.AccessToken.Reveal()); strings.Contains(dump, extra) {
		t.Errorf("OC-01 OC-59 kept in %s", dump)
	}
	if _, err = oauth.New(config()).Token(t.Context(), request(server.URL)); err != nil {
		t.Fatal(err)
	}
	if cookie := server.received()[1].header.Get("Cookie"); cookie != "" {
		t.Errorf("OC-65 cookie %q was sent back", cookie)
	}
}

func TestTokenID(t *testing.T) {
	token, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(200, `{"access_token":"test"}`)).URL))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := token.ID(), "9f86d081884c7d65"; got != want || oauth.TokenID(token.AccessToken) != want {
		t.Errorf("ID = %s, want %s", got, want)
	}
}
