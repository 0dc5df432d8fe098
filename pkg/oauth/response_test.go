package oauth_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

func with(member string) string {
	return `{"access_token":"token_1","token_type":"Bearer",` + member + `}`
}

func TestExpiresIn(t *testing.T) {
	const day = 24 * time.Hour
	instant := func(d time.Duration, unit time.Duration) string {
		return with(fmt.Sprintf(`"expires_in":%d`, now.Add(d).UnixNano()/int64(unit)))
	}
	tests := []struct {
		name, body string
		want       time.Duration // zero: refused
		assumed    bool
		departs    string
		detail     string // of a refusal
	}{
		{"OC-30 missing", `{"access_token":"t","token_type":"Bearer"}`, 300 * time.Second, true, "", ""},
		{"OC-30 null", with(`"expires_in":null`), 300 * time.Second, true, "", ""},
		{"OC-31 string", with(`"expires_in":"3600"`), time.Hour, false, "", ""},
		{"OC-31 string with a space", with(`"expires_in":" 3600"`), 0, false, "", "expires_in is a string that is not a number"},
		{"OC-31 string with a sign", with(`"expires_in":"+3600"`), 0, false, "", "expires_in is a string that is not a number"},
		{"OC-31 string with a fraction", with(`"expires_in":"3600.0"`), 0, false, "", "expires_in is a string that is not a number"},
		{"OC-31 empty string", with(`"expires_in":""`), 0, false, "", "expires_in is a string that is not a number"},
		{"OC-31 string of other digits", with(`"expires_in":"٣٦٠٠"`), 0, false, "", "expires_in is a string that is not a number"},
		{"OC-32 3599.0", with(`"expires_in":3599.0`), 3599 * time.Second, false, "", ""},
		{"OC-32 3.6e3", with(`"expires_in":3.6e3`), time.Hour, false, "", ""},
		{"OC-32 3599.7", with(`"expires_in":3599.7`), 3599 * time.Second, false, "", ""},
		{"OC-33 minus one", with(`"expires_in":-1`), 0, false, "", "expires_in is negative"},
		{"OC-33 minus an hour", with(`"expires_in":-3600`), 0, false, "", "expires_in is negative"},
		{"OC-33 minus infinity", with(`"expires_in":-1e999`), 0, false, "", "expires_in is negative"},
		{"OC-34 1e18", with(`"expires_in":1e18`), 90 * day, false, "expires_in", ""},
		{"OC-34 2^63", with(`"expires_in":9223372036854775808`), 90 * day, false, "expires_in", ""},
		{"OC-34 1e999999999", with(`"expires_in":1e999999999`), 90 * day, false, "expires_in", ""},
		{"OC-34 400 digits", with(`"expires_in":` + strings.Repeat("9", 400)), 90 * day, false, "expires_in", ""},
		{"OC-34 400 digits as a string", with(`"expires_in":"` + strings.Repeat("9", 400) + `"`), 90 * day, false, "expires_in", ""},
		{"OC-34 below an instant", with(`"expires_in":999999999`), 90 * day, false, "expires_in", ""},
		{"OC-34 an instant in seconds", instant(time.Hour, time.Second), time.Hour, false, "expires_in", ""},
		{"OC-34 an instant in milliseconds", instant(time.Hour, time.Millisecond), time.Hour, false, "expires_in", ""},
		{"OC-34 an instant that has passed", instant(-time.Second, time.Second), 0, false, "", "expires_in is an instant that has passed"},
		{"OC-34 the least instant", with(`"expires_in":1000000000`), 0, false, "", "expires_in is an instant that has passed"},
		{"OC-34 91 days", with(`"expires_in":7862400`), 90 * day, false, "expires_in", ""},
		{"OC-34 milliseconds that look like days", with(`"expires_in":3599000`), 3599000 * time.Second, false, "expires_in", ""},
		{"OC-34 30 days", with(`"expires_in":2592000`), 30 * day, false, "", ""},
		{"OC-35 true", with(`"expires_in":true`), 0, false, "", "expires_in is true or false"},
		{"OC-35 array", with(`"expires_in":[]`), 0, false, "", "expires_in is a list"},
		{"OC-35 object", with(`"expires_in":{}`), 0, false, "", "expires_in is an object"},
		{"OC-35 1h", with(`"expires_in":"1h"`), 0, false, "", "expires_in is a string that is not a number"},
		{"OC-35 hexadecimal", with(`"expires_in":"0x10"`), 0, false, "", "expires_in is a string that is not a number"},
		{"OC-53 repeated", with(`"expires_in":60,"expires_in":60`), 0, false, "", "expires_in is unusable: it is repeated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(200, tt.body, "Date", now.Format(http.TimeFormat)))
			token, err := oauth.New(config()).Token(t.Context(), request(server.URL))
			if tt.want == 0 {
				wantFailure(t, err, "provider_malformed expires_in")
				if e := failureOf(t, err); e.Detail != tt.detail {
					t.Errorf("OC-35 detail %q, want %q", e.Detail, tt.detail)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if token.Lifetime() != tt.want || token.ExpiresInAssumed != tt.assumed {
				t.Errorf("lifetime %v, assumed %v; want %v, %v", token.Lifetime(), token.ExpiresInAssumed, tt.want, tt.assumed)
			}
			if got := strings.Join(token.Departures, " "); got != tt.departs {
				t.Errorf("departures %q, want %q", got, tt.departs)
			}
		})
	}
}

// TestInstantCountsFromTheServersClock: an instant says how long the token lives only
// beside the server's own time.
func TestInstantCountsFromTheServersClock(t *testing.T) {
	for name, tt := range map[string]struct {
		date string
		want time.Duration
	}{
		"OC-34 a server ten minutes behind": {now.Add(-10 * time.Minute).Format(http.TimeFormat), 70 * time.Minute},
		"OC-34 a server ten minutes ahead":  {now.Add(10 * time.Minute).Format(http.TimeFormat), 50 * time.Minute},
		"OC-34 a Date that is none":         {"yesterday", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = []string{tt.date}
				_, _ = fmt.Fprintf(w, `{"access_token":"t","token_type":"Bearer","expires_in":%d}`, now.Add(time.Hour).Unix())
			})
			token, err := oauth.New(config()).Token(t.Context(), request(server.URL))
			if err != nil || token.Lifetime() != tt.want {
				t.Errorf("lifetime %v, %v; want %v", token.Lifetime(), err, tt.want)
			}
		})
	}
}

// TestTokenThatEndsNow: a server that repeats a token until it ends is asked again.
func TestTokenThatEndsNow(t *testing.T) {
	ending := says(200, `{"access_token":"old","token_type":"Bearer","expires_in":0}`)
	const unavailable = "provider_unavailable expires_in"
	tests := []struct {
		name      string
		request   func(string) oauth.Request
		answers   []http.HandlerFunc
		want      string // the token, or the failure
		wantCalls int
		waited    time.Duration
	}{
		{"OC-33 the next one after a second", request, []http.HandlerFunc{ending, says(200, plainToken)}, "token_1", 2, time.Second},
		{"OC-33 at the third repetition", request, []http.HandlerFunc{ending, ending, ending, says(200, plainToken)}, "token_1", 4, 3 * time.Second},
		{"OC-33 never", request, []http.HandlerFunc{ending}, unavailable, 4, 3 * time.Second},
		{"OC-33 a zero string", request, []http.HandlerFunc{says(200, with(`"expires_in":"0"`))}, unavailable, 4, 3 * time.Second},
		{"OC-33 less than a second", request, []http.HandlerFunc{says(200, with(`"expires_in":0.9`))}, unavailable, 4, 3 * time.Second},
		{"OC-33 minus zero", request, []http.HandlerFunc{says(200, with(`"expires_in":-0.0`))}, unavailable, 4, 3 * time.Second},
		{"OC-33 a code is sent once", codeRequest, []http.HandlerFunc{ending}, "old", 1, 0},
		{"OC-33 a refresh token is sent once", refreshRequest, []http.HandlerFunc{ending}, "old", 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, waited := config(), time.Duration(0)
			cfg.Wait = func(_ context.Context, d time.Duration) error { waited += d; return nil }
			server := newServer(t, tt.answers...)
			token, err := oauth.New(cfg).Token(t.Context(), tt.request(server.URL))
			if strings.HasPrefix(tt.want, "provider_") {
				wantFailure(t, err, tt.want)
				if e := failureOf(t, err); e.RetryAfter != time.Second || !e.Momentary {
					t.Errorf("Retry-After %v, momentary %v", e.RetryAfter, e.Momentary)
				}
			} else if err != nil || token.AccessToken.Reveal() != tt.want {
				t.Errorf("Token = %+v, %v", token, err)
			}
			if tt.want == "old" && (!token.ExpiresInAssumed || token.Lifetime() != 300*time.Second) {
				t.Errorf("lifetime %v, assumed %v; 0 counts as unstated", token.Lifetime(), token.ExpiresInAssumed)
			}
			if calls := len(server.received()); calls != tt.wantCalls || waited != tt.waited {
				t.Errorf("%d calls, %v waited; want %d, %v", calls, waited, tt.wantCalls, tt.waited)
			}
		})
	}
	t.Run("OC-33 not beyond the caller's time", func(t *testing.T) {
		server := newServer(t, ending)
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		_, err := oauth.New(config()).Token(ctx, request(server.URL))
		wantFailure(t, err, unavailable)
		if calls := len(server.received()); calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
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
		{"OC-38 PoP", `{"access_token":"t","token_type":"pop"}`, "provider_malformed token_type"},
		{"OC-38 HMAC", `{"access_token":"t","token_type":"HMAC"}`, "provider_malformed token_type"},
		{"OC-40 page", `<!doctype html><title>Sorry</title>`, "provider_malformed not_json"},
		{"OC-42 form without its type", `access_token=t&token_type=Bearer`, "provider_malformed not_json"},
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
		{"OC-52 invalid UTF-8 elsewhere", `{"x":"` + "\xff" + `",` + plainToken[1:], ""},
		{"OC-52 invalid UTF-8", `{"access_token":"` + "\xff" + `"}`, "provider_malformed access_token"},
		{"OC-53 duplicate elsewhere", `{"x":1,"x":2,` + plainToken[1:], ""},
		{"OC-53 refresh token that is not read", `{"refresh_token":"a","refresh_token":"b",` + plainToken[1:], ""},
		{"OC-53 duplicate", `{"access_token":"t","access_token":"u"}`, "provider_malformed access_token"},
		{"OC-53 duplicate by escape", `{"access_token":"t","\u0061ccess_token":"u"}`, "provider_malformed access_token"},
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
		{"OC-57 32 KiB", token(strings.Repeat("a", 32<<10)), ""},
		{"OC-57 longer", token(strings.Repeat("a", 32<<10+1)), "provider_malformed access_token"},
		{"OC-58 trailing data", plainToken + `{}`, "provider_malformed json"},
		{"OC-58 depth 33", `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `,` + plainToken[1:], "provider_malformed json"},
		{"OC-58 NaN", `{"access_token":"t","expires_in":NaN}`, "provider_malformed json"},
		{"OC-58 comment", `{/**/` + plainToken[1:], "provider_malformed json"},
		{"OC-59 unknown members", `{"id_token":"x","constructor":{"a":[1]},` + plainToken[1:], ""},
		{"OC-66 exp later", jwtIn(2 * time.Hour), ""},
		{"OC-66 exp past without iat", jwtIn(-time.Second), ""},
		{"OC-66 exp before iat", token(jwt(`{"exp":10,"iat":20}`)), ""},
		{"OC-66 exp negative", token(jwt(`{"exp":-1}`)), ""},
		{"OC-66 iat a string", token(jwt(`{"exp":20,"iat":"10"}`)), ""},
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
			if err != nil || got.TokenType != "Bearer" || got.Lifetime() != time.Hour || got.Departures != nil {
				t.Errorf("Token = %+v, %v; want a bearer token for an hour", got, err)
			}
		})
	}
}

// TestDepartures: what decides nothing about a token does not make it unusable.
func TestDepartures(t *testing.T) {
	tests := []struct{ name, members, departs, scope string }{
		{"OC-37 token_type missing", `"expires_in":3600`, "token_type", "a b"},
		{"OC-37 token_type null", `"expires_in":3600,"token_type":null`, "token_type", "a b"},
		{"OC-38 token_type of eBay", `"expires_in":3600,"token_type":"Application Access Token"`, "token_type", "a b"},
		{"OC-38 token_type of Slack", `"expires_in":3600,"token_type":"bot"`, "token_type", "a b"},
		{"OC-38 OC-31 token_type of Apigee", `"expires_in":"3600","token_type":"BearerToken"`, "token_type", "a b"},
		{"OC-38 token_type a number", `"expires_in":3600,"token_type":1`, "token_type", "a b"},
		{"OC-38 token_type repeated", `"expires_in":3600,"token_type":"mac","token_type":"mac"`, "token_type", "a b"},
		{"OC-60 scope a list", `"expires_in":3600,"token_type":"Bearer","scope":["user:read","chat:read"]`, "scope", "user:read chat:read"},
		{"OC-60 scope an empty list", `"expires_in":3600,"token_type":"Bearer","scope":[]`, "scope", ""},
		{"OC-60 scope a list of objects", `"expires_in":3600,"token_type":"Bearer","scope":[{"name":"a"}]`, "scope", "a b"},
		{"OC-60 scope a number", `"expires_in":3600,"token_type":"Bearer","scope":7`, "scope", "a b"},
		{"OC-60 scope with a line feed", `"expires_in":3600,"token_type":"Bearer","scope":"a\nb"`, "scope", "a b"},
		{"OC-60 scope without end", `"expires_in":3600,"token_type":"Bearer","scope":"` + strings.Repeat("a", 5000) + `"`, "scope", "a b"},
		{"OC-53 scope repeated", `"expires_in":3600,"token_type":"Bearer","scope":"a","scope":"a"`, "scope", "a b"},
		{"OC-52 scope not UTF-8", `"expires_in":3600,"token_type":"Bearer","scope":"` + "\xff" + `"`, "scope", "a b"},
		{"OC-37 two", `"expires_in":3600,"token_type":"bot","scope":["c"]`, "scope token_type", "c"},
	}
	for _, tt := range tests {
		for _, make := range []func(string) oauth.Request{request, codeRequest, refreshRequest} {
			t.Run(tt.name, func(t *testing.T) {
				r := make(newServer(t, says(200, `{"access_token":"t",`+tt.members+`}`)).URL)
				r.Scope = "a b"
				token, err := oauth.New(config()).Token(t.Context(), r)
				if err != nil || token.TokenType != "Bearer" || token.Lifetime() != time.Hour {
					t.Fatalf("Token = %+v, %v; want a bearer token for an hour", token, err)
				}
				if got := strings.Join(token.Departures, " "); got != tt.departs || token.Scope != tt.scope {
					t.Errorf("departures %q, scope %q; want %q, %q", got, token.Scope, tt.departs, tt.scope)
				}
			})
		}
	}
}

func TestJWTBoundsTheLife(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	tests := []struct {
		name, claims, expiresIn string
		want                    time.Duration // zero: refused
	}{
		{"OC-66 exp - iat is shorter", `{"iat":5000,"exp":6800}`, `3600`, 30 * time.Minute},
		{"OC-66 fractions", `{"iat":5000.2,"exp":6800.9}`, `3600`, 30 * time.Minute},
		{"OC-66 exp - iat is longer", `{"iat":5000,"exp":16800}`, `3600`, time.Hour},
		{"OC-66 exp alone beside expires_in", fmt.Sprintf(`{"exp":%d}`, at(time.Minute)), `3600`, time.Hour},
		{"OC-66 exp alone", fmt.Sprintf(`{"exp":%d}`, at(time.Minute)), `null`, time.Minute},
		{"OC-66 exp alone, longer than the default", fmt.Sprintf(`{"exp":%d}`, at(time.Hour)), `null`, 5 * time.Minute},
		{"OC-66 exp - iat without expires_in", `{"iat":5000,"exp":5060}`, `null`, time.Minute},
		{"OC-66 exp alone, passed", fmt.Sprintf(`{"exp":%d}`, at(-time.Minute)), `null`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := `{"access_token":"` + jwt(tt.claims) + `","token_type":"Bearer","expires_in":` + tt.expiresIn + `}`
			server := newServer(t, says(200, body, "Date", now.Format(http.TimeFormat)))
			token, err := oauth.New(config()).Token(t.Context(), request(server.URL))
			if tt.want == 0 {
				wantFailure(t, err, "provider_unavailable expires_in")
			} else if err != nil || token.Lifetime() != tt.want {
				t.Errorf("lifetime %v, error %v; want %v", token.Lifetime(), err, tt.want)
			}
		})
	}
}

// TestUnrenewedLife: 90 days bound only what can be renewed.
func TestUnrenewedLife(t *testing.T) {
	const body = `{"access_token":"t","token_type":"Bearer","expires_in":31536000%s}`
	for name, tt := range map[string]struct {
		make func(string) oauth.Request
		more string
		days int
	}{
		"OC-34 client credentials":     {request, "", 90},
		"OC-34 refreshed":              {refreshRequest, "", 90},
		"OC-34 consent":                {codeRequest, `,"refresh_token":"r"`, 90},
		"OC-34 consent to one token":   {codeRequest, "", 365},
		"OC-34 consent with no number": {codeRequest, `,"refresh_token":7`, 365},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := oauth.New(config()).Token(t.Context(), tt.make(newServer(t, says(200, fmt.Sprintf(body, tt.more))).URL))
			if err != nil || token.Lifetime() != time.Duration(tt.days)*24*time.Hour || !slices.Contains(token.Departures, "expires_in") {
				t.Errorf("lifetime %v, departures %v, %v; want %d days", token.Lifetime(), token.Departures, err, tt.days)
			}
		})
	}
}

func TestFormEncodedResponse(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct{ name, contentType, body, failure string }{
		{"OC-42 form", form, "access_token=token_1&expires_in=3600&token_type=bearer&scope=a+b", ""},
		{"OC-42 form with a charset", form + "; charset=utf-8", "access_token=token_1&expires_in=3600&token_type=bearer", ""},
		{"OC-42 JSON that is called a form", form, plainToken, ""},
		{"OC-42 form that is called text", "text/plain", "access_token=token_1&expires_in=3600", "provider_malformed not_json"},
		{"OC-42 error in a form", form, "error=invalid_client", "provider_rejected error"},
		{"OC-42 page that is called a form", form, "<html>", "provider_malformed access_token"},
		{"OC-42 repeated", form, "access_token=a&access_token=b", "provider_malformed access_token"},
		{"OC-42 bad escape", form, "access_token=%zz", "provider_malformed not_json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := oauth.New(config()).Token(t.Context(), request(newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				_, _ = io.WriteString(w, tt.body)
			}).URL))
			if tt.failure != "" {
				wantFailure(t, err, tt.failure)
			} else if err != nil || token.AccessToken.Reveal() != "token_1" || token.Lifetime() != time.Hour {
				t.Errorf("Token = %+v, %v", token, err)
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
