package oauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

func TestDeclaredLifetimes(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	tests := []struct {
		name, members string
		shape         provider.Shape
		want          time.Duration // zero: refused; negative: without end
		failure       string
	}{
		{"OC-34 milliseconds", `"expires_in":3599000`, provider.Shape{ExpiresInUnit: time.Millisecond}, 3599 * time.Second, ""},
		{"OC-34 minutes", `"expires_in":60`, provider.Shape{ExpiresInUnit: time.Minute}, time.Hour, ""},
		{"OC-34 seconds that are no instant", `"expires_in":1e12`, provider.Shape{ExpiresInUnit: time.Second}, 90 * 24 * time.Hour, ""},
		{"OC-34 60 days in declared seconds", `"expires_in":5184000`, provider.Shape{ExpiresInUnit: time.Second}, 60 * 24 * time.Hour, ""},
		{"OC-34 expires_at in seconds", fmt.Sprintf(`"end":%d`, at(time.Hour)), provider.Shape{ExpiresAt: "/end"}, time.Hour, ""},
		{"OC-34 expires_at in milliseconds", fmt.Sprintf(`"end":"%d000"`, at(time.Hour)), provider.Shape{ExpiresAt: "/end"}, time.Hour, ""},
		{"OC-34 expires_at in RFC 3339", `"end":"2026-01-01T14:00:00+01:00"`, provider.Shape{ExpiresAt: "/end"}, time.Hour, ""},
		{"OC-34 the shorter of both", fmt.Sprintf(`"expires_in":7200,"end":%d`, at(time.Hour)), provider.Shape{ExpiresAt: "/end"}, time.Hour, ""},
		{"OC-34 the shorter is expires_in", fmt.Sprintf(`"expires_in":60,"end":%d`, at(time.Hour)), provider.Shape{ExpiresAt: "/end"}, time.Minute, ""},
		{"OC-30 expires_at null", `"end":null`, provider.Shape{ExpiresAt: "/end"}, 5 * time.Minute, ""},
		{"OC-30 expires_at 0", `"end":0`, provider.Shape{ExpiresAt: "/end"}, 5 * time.Minute, ""},
		{"OC-34 expires_at has passed", fmt.Sprintf(`"end":%d`, at(-time.Hour)), provider.Shape{ExpiresAt: "/end"}, 0, "expires_at (/end) is an instant that has passed"},
		{"OC-34 the year 10000", `"end":"10000-01-01T00:00:00Z"`, provider.Shape{ExpiresAt: "/end"}, 0, "expires_at (/end) is a string that is not a time of RFC 3339"},
		{"OC-34 the year 10000 in milliseconds", `"end":253402300800000`, provider.Shape{ExpiresAt: "/end"}, 90 * 24 * time.Hour, ""},
		{"OC-34 beyond counting", `"end":1e999`, provider.Shape{ExpiresAt: "/end"}, 90 * 24 * time.Hour, ""},
		{"OC-35 expires_at a list", `"end":[1]`, provider.Shape{ExpiresAt: "/end"}, 0, "expires_at (/end) is a list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(newServer(t, says(200, `{"access_token":"t","token_type":"Bearer",`+tt.members+`}`, "Date", now.Format(http.TimeFormat))).URL)
			r.Response = tt.shape
			token, err := oauth.New(config()).Token(t.Context(), r)
			if tt.failure != "" {
				if e := wantFailure(t, err, "provider_malformed expires_at"); e.Detail != tt.failure {
					t.Errorf("OC-35 detail %q", e.Detail)
				}
				return
			}
			if err != nil || token.Lifetime() != tt.want {
				t.Errorf("lifetime %v, %v; want %v", token.Lifetime(), err, tt.want)
			}
		})
	}
}

// TestNeverExpires: with the declaration, what states no life has no end.
func TestNeverExpires(t *testing.T) {
	tests := []struct {
		name, body string
		want       time.Duration // zero: no end
	}{
		{"OC-30 nothing stated", `{"access_token":"gho_x","token_type":"bearer","scope":"repo"}`, 0},
		{"OC-33 0 and a null scope", `{"access_token":"x","expires_in":0,"scope":null}`, 0},
		{"OC-30 a life is stated", `{"access_token":"x","expires_in":3600}`, time.Hour},
		{"OC-66 exp - iat", `{"access_token":"` + jwt(`{"iat":10,"exp":70}`) + `"}`, time.Minute},
	}
	for _, tt := range tests {
		for _, make := range []func(string) oauth.Request{request, codeRequest} {
			t.Run(tt.name, func(t *testing.T) {
				r := make(newServer(t, says(200, tt.body)).URL)
				r.NeverExpires = true
				token, err := oauth.New(config()).Token(t.Context(), r)
				if err != nil || token.ExpiresInAssumed {
					t.Fatalf("Token = %+v, %v", token, err)
				}
				if tt.want == 0 && !token.ExpiresAt.IsZero() || tt.want != 0 && token.Lifetime() != tt.want {
					t.Errorf("expires %v", token.ExpiresAt)
				}
			})
		}
	}
}

func TestDeclaredSuccess(t *testing.T) {
	inData := provider.Shape{Success: "/code", SuccessEquals: json.Number("0"), Error: "/code", ErrorDescription: "/message",
		AccessToken: "/data/access_token", ExpiresIn: "/data/expires_in", TokenType: "/data/type", Ended: []string{"105002"}}
	text := provider.Shape{Success: "/status", SuccessEquals: "ok"}
	const data = `"data":{"access_token":"token_1","expires_in":3600,"type":"bearer"}`
	tests := []struct {
		name, body string
		shape      provider.Shape
		failure    string // kind, reason, code
	}{
		{"OC-64 code 0", `{"code":0,` + data + `}`, inData, ""},
		{"OC-64 code 0.0", `{"code":0.0,` + data + `}`, inData, ""},
		{"OC-43 another code", `{"code":36004,"message":"no","data":null}`, inData, "provider_rejected success "},
		{"OC-45 a code that ends the grant", `{"code":105002,"message":"no"}`, inData, "provider_rejected success 105002"},
		{"OC-43 a string", `{"code":"0",` + data + `}`, inData, "provider_rejected success "},
		{"OC-64 no code", `{` + data + `}`, inData, "provider_malformed success "},
		{"OC-64 code an object", `{"code":{},` + data + `}`, inData, "provider_malformed success "},
		{"OC-64 a word", `{"status":"ok",` + plainToken[1:], text, ""},
		{"OC-43 another word", `{"status":"OK",` + plainToken[1:], text, "provider_rejected success "},
		{"OC-43 an error beside the word", `{"status":"ok","error":"invalid_scope",` + plainToken[1:], text, "provider_rejected error invalid_scope"},
		{"OC-43 error 0 is none", `{"status":"ok","error":0,` + plainToken[1:], text, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(newServer(t, says(200, tt.body)).URL)
			r.Response = tt.shape
			token, err := oauth.New(config()).Token(t.Context(), r)
			if tt.failure == "" {
				if err != nil || token.AccessToken.Reveal() != "token_1" || token.Departures != nil {
					t.Errorf("Token = %+v, %v", token, err)
				}
				return
			}
			e := failureOf(t, err)
			if got := fmt.Sprintf("%s %s %s", e.Kind, e.Reason, e.Code); got != tt.failure {
				t.Errorf("failure %q, want %q", got, tt.failure)
			}
		})
	}
}

func TestEndedGrant(t *testing.T) {
	ended := provider.Shape{Ended: []string{"bad_refresh_token", "40140116"}}
	tests := []struct {
		name, body string
		status     int
		shape      provider.Shape
		want       bool
		code       string
	}{
		{"OC-45 invalid_grant", `{"error":"invalid_grant"}`, 400, provider.Shape{}, true, "invalid_grant"},
		{"OC-45 invalid_grant with 403", `{"error":"invalid_grant"}`, 403, provider.Shape{}, true, "invalid_grant"},
		{"OC-43 GitHub's with 200", `{"error":"bad_refresh_token","error_description":"x"}`, 200, ended, true, "bad_refresh_token"},
		{"OC-48 not declared", `{"error":"bad_refresh_token"}`, 200, provider.Shape{}, false, ""},
		{"OC-45 a number", `{"error":40140116}`, 400, ended, true, "40140116"},
		{"OC-45 a number with an exponent", `{"error":4.0140116e7}`, 400, ended, true, "40140116"},
		{"OC-48 another number", `{"error":1e999}`, 400, ended, false, ""},
		{"OC-48 the server is down", `{"error":"bad_refresh_token"}`, 503, ended, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := refreshRequest(newServer(t, says(tt.status, tt.body)).URL)
			r.Response = tt.shape
			_, err := oauth.New(config()).Token(t.Context(), r)
			if e := failureOf(t, err); e.GrantEnded != tt.want || e.Code != tt.code || e.Ambiguous {
				t.Errorf("ended %v, code %q: %v", e.GrantEnded, e.Code, err)
			}
		})
	}
}

func TestUser(t *testing.T) {
	idToken := `,"id_token":"` + jwt(`{"sub":"from-token"}`) + `"`
	for name, tt := range map[string]struct{ members, want string }{
		"OC-59 declared":               {`"user":{"name":"jane"}` + idToken, "jane"},
		"OC-59 a number":               {`"user":{"name":7}`, "7"},
		"OC-59 absent":                 {`"user":{}` + idToken, "from-token"},
		"OC-59 an object":              {`"user":{"name":{}}` + idToken, "from-token"},
		"OC-59 a line feed":            {`"user":{"name":"a\nb"}`, ""},
		"OC-59 OC-68 repeats a secret": {`"user":{"name":"` + refreshCanary + `"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := refreshRequest(newServer(t, says(200, with(`"expires_in":60,`+tt.members))).URL)
			r.Response.User = "/user/name"
			token, err := oauth.New(config()).Token(t.Context(), r)
			if err != nil || token.Subject != tt.want {
				t.Errorf("user %q, %v; want %q", token.Subject, err, tt.want)
			}
		})
	}
}

func TestExtraOfAResponse(t *testing.T) {
	kib := strings.Repeat("a", 1<<10)
	tests := []struct {
		name, members string
		want          extra.Values
		departs       string
	}{
		{"OC-72 text, a number and a flag", `"instance_url":"https://acme.example.com","n":1.50,"flag":true`,
			extra.Values{"host": "https://acme.example.com", "n": json.Number("1.50"), "flag": true}, ""},
		{"OC-72 absent and null", `"n":null`, nil, ""},
		{"OC-72 other kinds", `"instance_url":{},"n":[1],"flag":false`, extra.Values{"flag": false}, "extra/host extra/n"},
		{"OC-72 repeated", `"instance_url":"a","instance_url":"b"`, nil, "extra/host"},
		{"OC-72 a KiB", `"instance_url":"` + kib + `"`, extra.Values{"host": kib}, ""},
		{"OC-72 more than a KiB", `"instance_url":"` + kib + `a"`, nil, "extra/host"},
		{"OC-72 a megabyte", `"instance_url":"` + strings.Repeat("a", 1<<20-200) + `"`, nil, "extra/host"},
		{"OC-72 together", `"instance_url":"` + kib + `","n":"` + kib + `","flag":true`, extra.Values{"host": kib, "flag": true}, "extra/n"},
		{"OC-72 OC-68 the client secret", `"instance_url":"x ` + secretCanary + `"`, nil, "extra/host"},
		{"OC-72 OC-68 the client secret, escaped", `"instance_url":"s3cr3t-CANARY%2B%2FzQ9"`, nil, "extra/host"},
		{"OC-72 OC-68 the refresh token that was sent", `"instance_url":"` + refreshCanary + `"`, nil, "extra/host"},
		{"OC-72 OC-68 the refresh token that came", `"refresh_token":"next-refresh","instance_url":"next-refresh"`, nil, "extra/host"},
		{"OC-72 OC-68 a secret header", `"instance_url":"` + headerCanary + `"`, nil, "extra/host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := refreshRequest(newServer(t, says(200, with(`"expires_in":60,`+tt.members))).URL)
			r.Headers = map[string]redact.Secret{"X-Key": redact.New(headerCanary)}
			r.Response.Extra = map[string]string{"host": "/instance_url", "n": "/n", "flag": "/flag"}
			token, err := oauth.New(config()).Token(t.Context(), r)
			if err != nil || token.AccessToken.Reveal() != "token_1" {
				t.Fatalf("Token = %v, %v: extra decides nothing", token, err)
			}
			if diff := cmp.Diff(tt.want, token.Extra); diff != "" || strings.Join(token.Departures, " ") != tt.departs {
				t.Errorf("departures %v, extra (-want +got):\n%s", token.Departures, diff)
			}
		})
	}
	t.Run("OC-72 ten thousand members", func(t *testing.T) {
		var members strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&members, `"m%d":%d,`, i, i)
		}
		r := request(newServer(t, says(200, `{`+members.String()+plainToken[1:])).URL)
		r.Response.Extra = map[string]string{"last": "/m9999"}
		token, err := oauth.New(config()).Token(t.Context(), r)
		if err != nil || len(token.Extra) != 1 || token.Extra["last"] != json.Number("9999") {
			t.Errorf("extra %v, %v", token.Extra, err)
		}
	})
}

func TestScopeSeparatorAndAliases(t *testing.T) {
	aliases := map[string][]string{"read_products": {"write_products"}, "openid": {"sub", "id"}}
	tests := []struct{ name, asked, separator, granted, sent, want string }{
		{"OC-60 comma", "a b", ",", "b,a", "a,b", "b a"},
		{"OC-60 comma and a space", "a b", ",", "a, b", "a,b", "a b"},
		{"OC-60 the standard one", "a b", "", "a b", "a b", "a b"},
		{"OC-60 an alias", "read_products x", ",", "write_products,x", "read_products,x", "read_products x"},
		{"OC-60 an alias that was requested itself", "read_products write_products", "", "write_products", "read_products write_products", "write_products"},
		{"OC-60 an alias of what was not requested", "x", "", "x sub", "x", "x sub"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(200, with(`"expires_in":60,"scope":"`+tt.granted+`"`)))
			r := request(server.URL)
			r.Scope, r.ScopeSeparator, r.ScopeAliases = tt.asked, tt.separator, aliases
			token, err := oauth.New(config()).Token(t.Context(), r)
			if err != nil || token.Scope != tt.want || parameters(t, server.received()[0], "")["scope"][0] != tt.sent {
				t.Errorf("scope %q, sent %v, %v; want %q, %q", token.Scope, parameters(t, server.received()[0], "")["scope"], err, tt.want, tt.sent)
			}
		})
	}
}

// TestHints: a status that says something about the request leads to a likely fix.
func TestHints(t *testing.T) {
	for status, want := range map[int]string{
		415: "the server answered 415: it may expect JSON; see request.body", 404: "the server answered 404: check token_url", 401: "",
	} {
		_, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(status, `<html>`)).URL))
		if e := wantFailure(t, err, "provider_rejected status"); e.Detail != want {
			t.Errorf("OC-35 %d: detail %q, want %q", status, e.Detail, want)
		}
	}
}
