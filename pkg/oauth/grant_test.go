package oauth_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	codeCanary     = "code-CANARY+/7w"
	verifierCanary = "verifier-CANARY-dBjftJeZ4CVP-mB92K27uhbUJU1p1r"
	refreshCanary  = "refresh-CANARY+/8x"
	redirectURI    = "https://Vend.example.com/v1/callback/crm?a=%2F b"
)

func codeRequest(tokenURL string) oauth.Request {
	r := request(tokenURL)
	r.GrantType, r.RedirectURI = "authorization_code", redirectURI
	r.Code, r.CodeVerifier = redact.New(codeCanary), redact.New(verifierCanary)
	return r
}

func refreshRequest(tokenURL string) oauth.Request {
	r := request(tokenURL)
	r.GrantType, r.RefreshToken = "refresh_token", redact.New(refreshCanary)
	return r
}

// oneTimeGrants are the requests with a one-time credential.
var oneTimeGrants = []struct {
	name    string
	make    func(tokenURL string) oauth.Request
	carries []string
}{
	{"code", codeRequest, []string{secretCanary, codeCanary, verifierCanary}},
	{"refresh", refreshRequest, []string{secretCanary, refreshCanary}},
}

func TestGrantForm(t *testing.T) {
	const client = "client_id=client-1&client_secret=s3cr3t-CANARY%2B%2FzQ9&"
	tests := []struct {
		name string
		make func(string) oauth.Request
		then func(*oauth.Request)
		want string
	}{
		{"OC-02 OC-06 code", codeRequest, func(*oauth.Request) {},
			client + "code=code-CANARY%2B%2F7w&code_verifier=" + verifierCanary + "&grant_type=authorization_code" +
				"&redirect_uri=https%3A%2F%2FVend.example.com%2Fv1%2Fcallback%2Fcrm%3Fa%3D%252F+b"},
		{"OC-06 code without a verifier", codeRequest, func(r *oauth.Request) { r.CodeVerifier, r.RedirectURI = redact.Secret{}, "x" },
			client + "code=code-CANARY%2B%2F7w&grant_type=authorization_code&redirect_uri=x"},
		{"OC-03 code with the scope", codeRequest, func(r *oauth.Request) {
			r.CodeVerifier, r.RedirectURI, r.Scope = redact.Secret{}, "x", "cfgateway offline_access"
		}, client + "code=code-CANARY%2B%2F7w&grant_type=authorization_code&redirect_uri=x&scope=cfgateway+offline_access"},
		{"OC-03 refresh", refreshRequest, func(*oauth.Request) {},
			client + "grant_type=refresh_token&refresh_token=refresh-CANARY%2B%2F8x"},
		{"OC-03 refresh with the scope", refreshRequest, func(r *oauth.Request) { r.Scope = "cfgateway offline_access" },
			client + "grant_type=refresh_token&refresh_token=refresh-CANARY%2B%2F8x&scope=cfgateway+offline_access"},
		{"OC-02 nothing of another grant", refreshRequest, func(r *oauth.Request) {
			r.Code, r.CodeVerifier, r.RedirectURI = redact.New("x"), redact.New("x"), "x"
		}, client + "grant_type=refresh_token&refresh_token=refresh-CANARY%2B%2F8x"},
		{"OC-01 nothing of a consent", refreshRequest, func(r *oauth.Request) {
			r.GrantType, r.Code, r.RedirectURI = "client_credentials", redact.New("x"), "x"
		}, client + "grant_type=client_credentials"},
		{"AZ-42 extra parameters override nothing", refreshRequest, func(r *oauth.Request) {
			r.Params = url.Values{
				"refresh_token": {"x"}, "Refresh_Token": {"x"}, "code": {"x"}, "code_verifier": {"x"}, "redirect_uri": {"x"}, "audience": {"y"},
			}
		}, "audience=y&" + client + "grant_type=refresh_token&refresh_token=refresh-CANARY%2B%2F8x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(200, plainToken))
			r := tt.make(server.URL)
			tt.then(&r)
			if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, server.received()[0].body); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefreshTokenOfAResponse(t *testing.T) {
	const unusable = "refresh_token"
	tests := []struct{ name, member, want, warning string }{
		{"OC-67 new", `"refresh_token":"r2"`, "r2", ""},
		{"OC-67 the same", `"refresh_token":"` + refreshCanary + `"`, refreshCanary, ""},
		{"OC-67 absent", `"x":1`, "", ""},
		{"OC-67 empty", `"refresh_token":""`, "", ""},
		{"OC-67 null", `"refresh_token":null`, "", ""},
		{"OC-67 space inside", `"refresh_token":" r 2 "`, " r 2 ", ""}, // RFC 6749 App. A.17
		{"OC-57 32 KiB", `"refresh_token":"` + strings.Repeat("r", 32<<10) + `"`, strings.Repeat("r", 32<<10), ""},
		{"OC-57 longer", `"refresh_token":"` + strings.Repeat("r", 32<<10+1) + `"`, "", unusable},
		{"OC-67 number", `"refresh_token":7`, "", unusable},
		{"OC-67 list", `"refresh_token":["r2"]`, "", unusable},
		{"OC-67 line feed", `"refresh_token":"r\n2"`, "", unusable},
		{"OC-67 non-ASCII", `"refresh_token":"ré"`, "", unusable},
		{"OC-54 other letters", `"Refresh_Token":"r2"`, "", ""},
	}
	for _, tt := range tests {
		for _, grant := range oneTimeGrants {
			t.Run(tt.name+" "+grant.name, func(t *testing.T) {
				token, err := oauth.New(config()).Token(t.Context(), grant.make(newServer(t, says(200, with(tt.member+`,"expires_in":3600`))).URL))
				if err != nil {
					t.Fatal(err)
				}
				if got := token.RefreshToken.Reveal(); got != tt.want || token.AccessToken.Reveal() != "token_1" {
					t.Errorf("refresh token %q, want %q", got, tt.want)
				}
				if got := strings.Join(token.Departures, " "); got != tt.warning {
					t.Errorf("warnings %q, want %q", got, tt.warning)
				}
			})
		}
	}
	t.Run("OC-67 at its pointer", func(t *testing.T) {
		r := refreshRequest(newServer(t, says(200, with(`"refresh_token":"wrong","more":{"refresh":"r2"}`))).URL)
		r.Response = provider.Shape{RefreshToken: "/more/refresh"}
		token, err := oauth.New(config()).Token(t.Context(), r)
		if err != nil || token.RefreshToken.Reveal() != "r2" {
			t.Errorf("refresh token %q, %v", token.RefreshToken.Reveal(), err)
		}
	})
}

func TestRefreshTokenExpiresIn(t *testing.T) {
	const unusable = "refresh_token_expires_in"
	tests := []struct {
		name, value string
		want        time.Duration // zero: unknown
		warning     string
	}{
		{"OC-30 missing", `null`, 0, ""},
		{"OC-32 30 days", `2592000`, 30 * 24 * time.Hour, ""},
		{"OC-32 fraction", `3599.7`, 3599 * time.Second, ""},
		{"OC-31 string", `"2592000"`, 30 * 24 * time.Hour, ""},
		{"OC-33 zero is no end", `0`, 0, ""},
		{"OC-33 negative", `-1`, 0, unusable},
		{"OC-34 five years", `157680000`, 5 * 365 * 24 * time.Hour, ""},
		{"OC-34 longer", `157680001`, 0, unusable},
		{"OC-34 1e999", `1e999`, 0, unusable},
		{"OC-35 text", `"30d"`, 0, unusable},
		{"OC-35 true", `true`, 0, unusable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := refreshRequest(newServer(t, says(200, with(`"expires_in":3600,"refresh_token":"r2","rt_life":`+tt.value))).URL)
			r.Response.RefreshTokenExpiresIn = "/rt_life"
			token, err := oauth.New(config()).Token(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			want := time.Time{}
			if tt.want != 0 {
				want = now.Add(tt.want)
			}
			if got := token.RefreshTokenExpiresAt; !got.Equal(want) || token.RefreshToken.Reveal() != "r2" {
				t.Errorf("refresh token expires %v, want %v", got, want)
			}
			if got := strings.Join(token.Departures, " "); got != tt.warning {
				t.Errorf("warnings %q, want %q", got, tt.warning)
			}
		})
	}
	t.Run("OC-59 only through the pointer", func(t *testing.T) {
		token, err := oauth.New(config()).Token(t.Context(), refreshRequest(newServer(t, says(200, with(`"refresh_token_expires_in":60,"":60`))).URL))
		if err != nil || !token.RefreshTokenExpiresAt.IsZero() || len(token.Departures) > 0 {
			t.Errorf("Token = %+v, %v", token, err)
		}
	})
}

func TestSubject(t *testing.T) {
	tests := []struct{ name, idToken, want string }{
		{"OC-59 sub", `"` + jwt(`{"sub":"auth0|user-7","email":"x@example.com"}`) + `"`, "auth0|user-7"},
		{"OC-59 128 characters", `"` + jwt(`{"sub":"`+strings.Repeat("é", 128)+`"}`) + `"`, strings.Repeat("é", 128)},
		{"OC-59 longer", `"` + jwt(`{"sub":"`+strings.Repeat("é", 129)+`"}`) + `"`, ""},
		{"OC-59 line feed", `"` + jwt(`{"sub":"a\nb"}`) + `"`, ""},
		{"OC-59 direction", `"` + jwt(`{"sub":"a\u202eb"}`) + `"`, ""},
		{"OC-59 number", `"` + jwt(`{"sub":7}`) + `"`, ""},
		{"OC-59 without sub", `"` + jwt(`{}`) + `"`, ""},
		{"OC-59 claims an array", `"` + jwt(`["sub"]`) + `"`, ""},
		{"OC-59 no JWT", `"x"`, ""},
		{"OC-59 encrypted", `"a.b.c.d.e"`, ""},
		{"OC-59 no text", `{"sub":"x"}`, ""},
		{"OC-59 null", `null`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := with(`"expires_in":3600,"id_token":` + tt.idToken)
			token, err := oauth.New(config()).Token(t.Context(), codeRequest(newServer(t, says(200, body)).URL))
			if err != nil || token.Subject != tt.want || len(token.Departures) > 0 {
				t.Errorf("subject %q, departures %v, error %v; want %q", token.Subject, token.Departures, err, tt.want)
			}
			if inner := strings.Trim(tt.idToken, `"`); len(inner) > 40 && strings.Contains(fmt.Sprintf("%+v", token), inner) {
				t.Error("OC-59 the id_token is kept")
			}
		})
	}
	t.Run("OC-01 none with client_credentials", func(t *testing.T) {
		body := with(`"refresh_token":"r2","rt_life":60,"id_token":"` + jwt(`{"sub":"user-7"}`) + `"`)
		r := request(newServer(t, says(200, body)).URL)
		r.Response.RefreshTokenExpiresIn = "/rt_life"
		token, err := oauth.New(config()).Token(t.Context(), r)
		if err != nil || token.Subject != "" || !token.RefreshToken.IsZero() || !token.RefreshTokenExpiresAt.IsZero() {
			t.Errorf("Token = %+v, %v; want the access token alone", token, err)
		}
	})
}

// TestRecoverRefreshToken: a response with an unusable access token may have the
// only valid refresh token.
func TestRecoverRefreshToken(t *testing.T) {
	const next = `"refresh_token":"next-1"`
	tests := []struct{ name, body, failure, want string }{
		{"OC-33 expires_in negative", with(next + `,"expires_in":-1`), "provider_malformed expires_in", "next-1"},
		{"OC-66 access token dead already", `{"access_token":"` + jwt(`{"exp":1}`) + `","token_type":"Bearer",` + next + `}`, "provider_malformed expires_in", "next-1"},
		{"OC-38 token type", `{"access_token":"t","token_type":"DPoP",` + next + `}`, "provider_malformed token_type", "next-1"},
		{"OC-55 no access token", `{` + next + `}`, "provider_malformed access_token", "next-1"},
		{"OC-56 access token", `{"access_token":"a b",` + next + `}`, "provider_malformed access_token", "next-1"},
		{"OC-53 another member twice", with(next + `,"expires_in":1,"expires_in":1`), "provider_malformed expires_in", "next-1"},
		{"OC-52 another member not UTF-8", with(next + `,"expires_in":"` + "\xff" + `"`), "provider_malformed expires_in", "next-1"},
		{"OC-58 another member too deep", with(next + `,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)), "provider_malformed json", "next-1"},
		{"OC-52 byte order mark", "\ufeff" + with(next+`,"expires_in":-1`), "provider_malformed expires_in", "next-1"},
		{"OC-67 none", with(`"expires_in":-1`), "provider_malformed expires_in", ""},
		{"OC-67 empty", with(`"expires_in":-1,"refresh_token":""`), "provider_malformed expires_in", ""},
		{"OC-67 unusable", with(`"expires_in":-1,"refresh_token":7`), "provider_malformed expires_in", ""},
		{"OC-53 itself twice", with(next + `,"refresh_token":"next-2"`), "provider_malformed refresh_token", ""},
		{"OC-53 itself twice by escape", with(next + `,"refresh\u005ftoken":"next-2"`), "provider_malformed refresh_token", ""},
		{"OC-58 trailing data", with(next) + `{}`, "provider_malformed json", ""},
		{"OC-61 truncated", `{` + next + `,"access_token":"t`, "provider_malformed truncated", ""},
		{"OC-40 page", `<p>` + next, "provider_malformed not_json", ""},
	}
	for _, tt := range tests {
		for _, grant := range oneTimeGrants {
			t.Run(tt.name+" "+grant.name, func(t *testing.T) {
				server := newServer(t, says(200, tt.body))
				_, err := oauth.New(config()).Token(t.Context(), grant.make(server.URL))
				e := wantFailure(t, err, tt.failure)
				if got := e.RefreshToken.Reveal(); got != tt.want {
					t.Errorf("refresh token %q, want %q", got, tt.want)
				}
				if e.Ambiguous != (tt.want == "") || len(server.received()) != 1 {
					t.Errorf("OC-25 ambiguous %v after %d requests", e.Ambiguous, len(server.received()))
				}
				if dump := fmt.Sprintf("%v %+v", err, *e); strings.Contains(dump, "next-") {
					t.Errorf("INV-5 shown in %s", dump)
				}
			})
		}
	}
	t.Run("OC-01 not with client_credentials", func(t *testing.T) {
		_, err := oauth.New(config()).Token(t.Context(), request(newServer(t, says(200, with(next+`,"expires_in":-1`))).URL))
		if e := failureOf(t, err); !e.RefreshToken.IsZero() || e.Ambiguous {
			t.Errorf("error %+v", e)
		}
	})
	for _, grant := range oneTimeGrants {
		t.Run("OC-68 scope that repeats what was sent "+grant.name, func(t *testing.T) {
			for _, canary := range grant.carries {
				token, err := oauth.New(config()).Token(t.Context(), grant.make(newServer(t, says(200, with(`"scope":"a `+canary+`"`))).URL))
				if err != nil || token.Scope != "" || !slices.Equal(token.Departures, []string{"scope"}) {
					t.Errorf("scope %q, departures %v, %v", token.Scope, token.Departures, err)
				}
			}
		})
	}
	t.Run("OC-43 not out of a refusal", func(t *testing.T) {
		_, err := oauth.New(config()).Token(t.Context(), refreshRequest(newServer(t, says(200, `{"error":"invalid_grant",`+next+`}`)).URL))
		if e := wantFailure(t, err, "provider_rejected error"); !e.RefreshToken.IsZero() || e.Ambiguous {
			t.Errorf("error %+v", e)
		}
	})
	t.Run("OC-64 at its pointers", func(t *testing.T) {
		r := refreshRequest(newServer(t, says(200, `{"x":1,"x":2,"a/b":{"~rt":"next-1","life":60}}`)).URL)
		r.Response = provider.Shape{RefreshToken: "/a~1b/~0rt", RefreshTokenExpiresIn: "/a~1b/life", Success: "/ok"}
		_, err := oauth.New(config()).Token(t.Context(), r)
		if e := failureOf(t, err); e.RefreshToken.Reveal() != "next-1" || !e.RefreshTokenExpiresAt.Equal(now.Add(time.Minute)) {
			t.Errorf("refresh token %q, ends %v", e.RefreshToken.Reveal(), e.RefreshTokenExpiresAt)
		}
	})
}

// TestEchoOfAGrant (OC-68): no error shows what a server repeats of a request, in
// any encoding.
func TestEchoOfAGrant(t *testing.T) {
	for _, grant := range oneTimeGrants {
		for _, canary := range grant.carries {
			for name, echo := range map[string]string{
				"as it is": canary, "escaped": url.QueryEscape(canary), "upper case": strings.ToUpper(canary), "cut": canary[:9],
				"base64": base64.RawStdEncoding.EncodeToString([]byte(canary)), "split by controls": canary[:5] + "\x00\n" + canary[5:],
			} {
				t.Run(fmt.Sprintf("OC-68 %s %s %s", grant.name, canary[:6], name), func(t *testing.T) {
					description, err := jsonText("no " + echo + " here")
					if err != nil {
						t.Fatal(err)
					}
					body := fmt.Sprintf(`{"error":%q,"error_description":%s}`, canary, description)
					_, err = oauth.New(config()).Token(t.Context(), grant.make(newServer(t, says(400, body, "Content-Type", "text/"+canary)).URL))
					e := failureOf(t, err)
					if want := "no [REDACTED] here"; e.Description != want {
						t.Errorf("description %q, want %q", e.Description, want)
					}
					if dump := fmt.Sprintf("%v %+v", err, *e); strings.Contains(dump, "CANARY") {
						t.Errorf("shown in %s", dump)
					}
				})
			}
		}
	}
	t.Run("OC-68 short", func(t *testing.T) {
		r := codeRequest(newServer(t, says(400, `{"error_description":"code 7Q! was used"}`)).URL)
		r.Code = redact.New("7Q!")
		_, err := oauth.New(config()).Token(t.Context(), r)
		if got := failureOf(t, err).Description; got != "code [REDACTED] was used" {
			t.Errorf("description %q", got)
		}
	})
	t.Run("OC-02 the redirect URI stays readable", func(t *testing.T) {
		r := codeRequest(newServer(t, says(400, `{"error_description":"https://vend.example.com/cb is not registered"}`)).URL)
		r.RedirectURI = "https://vend.example.com/cb"
		_, err := oauth.New(config()).Token(t.Context(), r)
		if got := failureOf(t, err).Description; got != "https://vend.example.com/cb is not registered" {
			t.Errorf("description %q", got)
		}
	})
}
