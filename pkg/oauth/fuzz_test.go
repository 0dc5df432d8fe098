package oauth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// FuzzTokenResponse (OC-71): any response yields a token that is valid and safe in
// a header, or an *Error.
func FuzzTokenResponse(f *testing.F) {
	for _, seed := range []string{
		plainToken, "\ufeff" + plainToken, with(`"expires_in":"3600"`), with(`"expires_in":3.6e3`), with(`"expires_in":1e999999999`),
		with(`"expires_in":null,"scope":""`), with(`"expires_in":-1`), with(`"expires_in":"0x10"`), with(`"expires_in":0.5`),
		`{"success":true,"token":{"token_type":"Bearer","expires_in":2592000,"access_token":"t"}}`,
		`{"success":"true"}`, `{"success":false,"error_description":"` + secretCanary + `"}`, `{"error":"slow_down"}`, `{"error":{}}`,
		`{"access_token":"` + jwt(`{"exp":1767270600}`) + `"}`, `{"access_token":"` + jwt(`{"exp":-1e400}`) + `"}`, `{"access_token":"a..b"}`,
		`{"access_token":"t\r\nX: y"}`, `{"access_token":"t","\u0061ccess_token":"u"}`, `{"access_token":"t"`, `{} {}`, `[]`, `null`, ``,
		`{"success":true,"a":1,"token":{"b":"x","access_token":"t","expires_at":1767272400}}`, `{"success":true,"a":"` + secretCanary + `","token":{"access_token":"t"}}`,
		with(`"expires_in":1767272400`), with(`"expires_in":1e12,"scope":["a","b"]`), `{"success":true,"token":{"access_token":"t","expires_at":"2026-01-01T13:00:00Z"}}`,
		"{\"access_token\":\"t\",\"x\":\"\xff\",\"x\":1}",
		with(`"refresh_token":"r2","id_token":"` + jwt(`{"sub":"u"}`) + `"`), with(`"refresh_token":"r 2","expires_in":0`), with(`"refresh_token":"é"`),
		`{"refresh_token":"r2","x":1,"x":2}`, `{"refresh_token":"r2","refresh_token":"r3"}`, `{"token":{"refresh_token":"r2","end":"60","x":1,"x":2}}`,
		`{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "\xff\xfe{\x00", `<html>`, `a=b`,
	} {
		for _, nested := range []bool{false, true} {
			f.Add([]byte(seed), nested, false)
			f.Add([]byte(seed), nested, true)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, nested, refresh bool) {
		r := request("https://login.example.com/token")
		if refresh {
			r = refreshRequest(r.TokenURL)
		}
		if nested {
			r.Response = provider.Shape{
				AccessToken: "/token/access_token", TokenType: "/token/token_type", ExpiresIn: "/token/expires_in", Success: "/success",
				RefreshToken: "/token/refresh_token", RefreshTokenExpiresIn: "/token/end",
				ExpiresAt: "/token/expires_at", User: "/user", Extra: map[string]string{"a": "/a", "b": "/token/b"}, Ended: []string{"7"},
			}
			r.ScopeSeparator, r.ScopeAliases = ",", map[string][]string{"a": {"b"}}
		}
		token, err := oauth.ReadToken(body, r, now)
		if err != nil {
			e := checkError(t, err)
			checkRefreshToken(t, e.RefreshToken, e.RefreshTokenExpiresAt, refresh && e.Kind == oauth.Malformed)
			return
		}
		checkToken(t, token)
		for name, value := range token.Extra {
			text, ok := extra.Text(value)
			if !ok || len(text) > extra.MaxValue || strings.Contains(text, secretCanary) || strings.Contains(text, refreshCanary) {
				t.Errorf("OC-72 extra %s is %v", name, value)
			}
		}
		checkRefreshToken(t, token.RefreshToken, token.RefreshTokenExpiresAt, refresh)
	})
}

func checkToken(t *testing.T, token oauth.Token) {
	t.Helper()
	text := token.AccessToken.Reveal()
	if text == "" || len(text) > 32<<10 || strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }) {
		t.Error("OC-56 access token would split a header")
	}
	if life := token.Lifetime(); life <= 0 || life > 100*365*24*time.Hour {
		t.Errorf("OC-34 lifetime %v", life)
	}
	if token.TokenType != "Bearer" {
		t.Errorf("OC-36 token type %q", token.TokenType)
	}
}

// checkRefreshToken: an accepted one can be sent, and has a plausible expiry.
func checkRefreshToken(t *testing.T, refresh redact.Secret, end time.Time, allowed bool) {
	t.Helper()
	text := refresh.Reveal()
	if text != "" && !allowed || len(text) > 32<<10 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("OC-67 refresh token of %d bytes, allowed: %v", len(text), allowed)
	}
	if !end.IsZero() && (!allowed || !end.After(now) || end.After(now.AddDate(6, 0, 0))) {
		t.Errorf("OC-34 refresh token ends %v", end)
	}
}

func checkError(t *testing.T, err error) *oauth.Error {
	t.Helper()
	var e *oauth.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %T", err)
	}
	switch e.Kind {
	case oauth.Rejected, oauth.Malformed, oauth.Unavailable:
	default:
		t.Errorf("kind %q", e.Kind)
	}
	if n := len([]rune(e.Description)); n > 256 || strings.Contains(e.Description, secretCanary) || strings.ContainsAny(e.Description, "\r\n\x00") {
		t.Errorf("OC-44 description %q", e.Description)
	}
	return e
}

// FuzzRetryAfter (OC-71): any Retry-After yields zero or a pause within bounds.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"120", "0", "-5", "garbage", "1000000000", strings.Repeat("9", 400), "1.5", " 1", "٣",
		"Thu, 01 Jan 2015 00:00:00 GMT", "Friday, 01-Jan-27 00:00:00 GMT", "Fri Jan  1 00:00:00 9999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := oauth.RetryAfter(value, now); got != 0 && (got < time.Second || got > time.Hour) {
			t.Errorf("OC-49 RetryAfter(%q) = %v", value, got)
		}
	})
}
