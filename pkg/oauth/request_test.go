package oauth_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

func TestRequestForm(t *testing.T) {
	tests := []struct {
		name   string
		change func(*oauth.Request)
		want   string
	}{
		{"OC-01 without scope", func(*oauth.Request) {},
			"client_id=client-1&client_secret=s3cr3t-CANARY%2B%2FzQ9&grant_type=client_credentials"},
		{"OC-03 scope unchanged", func(r *oauth.Request) { r.Scope = "cfgateway offline_access" },
			"client_id=client-1&client_secret=s3cr3t-CANARY%2B%2FzQ9&grant_type=client_credentials&scope=cfgateway+offline_access"},
		{"OC-01 UTF-8", func(r *oauth.Request) { r.ClientID = "é&=%" },
			"client_id=%C3%A9%26%3D%25&client_secret=s3cr3t-CANARY%2B%2FzQ9&grant_type=client_credentials"},
		{"OC-05 none", func(r *oauth.Request) { r.Method = provider.NoClientAuth },
			"client_id=client-1&grant_type=client_credentials"},
		{"OC-05 basic", func(r *oauth.Request) { r.Method = provider.ClientSecretBasic },
			"grant_type=client_credentials"},
		{"OC-05 basic raw", func(r *oauth.Request) { r.Method = provider.ClientSecretBasicRaw },
			"grant_type=client_credentials"},
		{"OC-15 resource repeats in order", func(r *oauth.Request) {
			r.Method = provider.ClientSecretBasic
			r.Params = url.Values{"resource": {"https://b.example/", "https://a.example/"}, "audience": {"x"}}
		}, "audience=x&grant_type=client_credentials&resource=https%3A%2F%2Fb.example%2F&resource=https%3A%2F%2Fa.example%2F"},
		{"AZ-42 extra parameters override nothing", func(r *oauth.Request) {
			r.Method = provider.ClientSecretBasic
			r.Params = url.Values{
				"grant_type": {"password"}, "client_id": {"other"}, "client_secret": {"other"}, "scope": {"all"},
				"client_assertion": {"x"}, "client_assertion_type": {"y"},
			}
		}, "grant_type=client_credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(200, plainToken))
			r := request(server.URL + "/oAuth/rest/v2/Token?tenant=a%2Fb")
			tt.change(&r)
			if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			got := server.received()
			if len(got) != 1 || got[0].method != http.MethodPost || got[0].uri != "/oAuth/rest/v2/Token?tenant=a%2Fb" {
				t.Fatalf("OC-05 received %+v, want one POST to the unchanged URL", got)
			}
			if diff := cmp.Diff(tt.want, got[0].body); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryClientAuth: the client supports each method that can be declared.
func TestEveryClientAuth(t *testing.T) {
	for _, method := range provider.ClientAuths() {
		t.Run("OC-05 "+string(method), func(t *testing.T) {
			r := request(newServer(t, says(200, plainToken)).URL)
			r.Method, r.PrivateKey = method, edKey(t)
			if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBasicAuthorization(t *testing.T) {
	tests := []struct {
		name   string
		method provider.ClientAuth
		want   string
	}{
		{"OC-04 encoded", provider.ClientSecretBasic, "Basic YStiJTNBYzpwJTQwc3MlMkJ3JTI1cmQlMkYlQzMlQTk="},
		{"OC-04 raw", provider.ClientSecretBasicRaw, "Basic YSBiOmM6cEBzcyt3JXJkL8Op"},
		{"OC-05 post", provider.ClientSecretPost, ""},
		{"OC-05 none", provider.NoClientAuth, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(200, plainToken))
			r := request(server.URL)
			r.Authentication = oauth.Authentication{Method: tt.method, ClientID: "a b:c", ClientSecret: redact.New("p@ss+w%rd/é")}
			if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if got := server.received()[0].header.Get("Authorization"); got != tt.want {
				t.Errorf("Authorization %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNoProbe(t *testing.T) {
	server := newServer(t, says(401, `{"error":"invalid_client"}`))
	for _, method := range []provider.ClientAuth{provider.ClientSecretPost, provider.ClientSecretBasic} {
		before := len(server.received())
		r := request(server.URL)
		r.Method = method
		_, err := oauth.New(config()).Token(t.Context(), r)
		wantFailure(t, err, "provider_rejected status")
		if calls := len(server.received()) - before; calls != 1 {
			t.Errorf("OC-05 %s: %d calls, want 1", method, calls)
		}
	}
}

func TestRequestHeader(t *testing.T) {
	server := newServer(t, says(200, plainToken))
	if _, err := oauth.New(config()).Token(t.Context(), request(server.URL)); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Accept":         {"application/json"},
		"Connection":     {"close"},
		"Content-Length": {"85"},
		"Content-Type":   {"application/x-www-form-urlencoded"},
		"User-Agent":     {"tokenvend/1"},
	}
	if diff := cmp.Diff(want, server.received()[0].header); diff != "" {
		t.Errorf("OC-24 header (-want +got):\n%s", diff)
	}
}

func TestRequestThatCannotBeBuilt(t *testing.T) {
	server := newServer(t, says(200, plainToken))
	tests := []struct {
		name, want string
		change     func(*oauth.Request)
	}{
		{"BI-42 URL", "connection_misconfigured url", func(r *oauth.Request) { r.TokenURL = "ftp://" + strings.TrimPrefix(r.TokenURL, "http://") }},
		{"AZ-40 address outside", "connection_misconfigured url", func(r *oauth.Request) { r.TokenURL = "https://10.0.0.5/" }},
		{"OC-05 unknown method", "connection_misconfigured client_auth", func(r *oauth.Request) { r.Method = "mtls" }},
		{"OC-05 no method", "connection_misconfigured client_auth", func(r *oauth.Request) { r.Method = "" }},
		{"OC-11 no key", "connection_misconfigured client_auth", func(r *oauth.Request) { r.Method = provider.PrivateKeyJWT }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(server.URL)
			tt.change(&r)
			_, err := oauth.New(config()).Token(t.Context(), r)
			if e := wantFailure(t, err, tt.want); e.Trace.Calls != 0 {
				t.Errorf("%d calls, want none", e.Trace.Calls)
			}
		})
	}
	if n := len(server.received()); n != 0 {
		t.Errorf("server got %d requests, want none", n)
	}
}

func TestEchoIsMasked(t *testing.T) {
	pair := "client-1:" + secretCanary
	tests := []struct{ name, description, want string }{
		{"OC-68 as it is", "wrong secret " + secretCanary + ".", "wrong secret [REDACTED]."},
		{"OC-68 upper case", "wrong " + strings.ToUpper(secretCanary), "wrong [REDACTED]"},
		{"OC-68 URL-encoded", "wrong " + url.QueryEscape(secretCanary), "wrong [REDACTED]"},
		{"OC-68 base64", "wrong " + base64.StdEncoding.EncodeToString([]byte(secretCanary)), "wrong [REDACTED]"},
		{"OC-68 pair in base64", "wrong " + base64.StdEncoding.EncodeToString([]byte(pair)), "wrong [REDACTED]"},
		{"OC-68 first half", "wrong " + secretCanary[:9] + "...", "wrong [REDACTED]..."},
		{"OC-68 twice", secretCanary + " or " + secretCanary, "[REDACTED] or [REDACTED]"},
		{"OC-68 split by a control character", secretCanary[:9] + "\x00\u200b" + secretCanary[9:], "[REDACTED]"},
		{"OC-68 across the limit", strings.Repeat("x", 250) + secretCanary, strings.Repeat("x", 250) + "[REDAC"},
		{"OC-68 extra parameter", "no resource urn:hidden", "no resource [REDACTED]"},
		{"OC-68 short extra parameter stays", "an invalid id", "an invalid id"},
		{"OC-44 control characters", "a\r\nb\x1b[31m\u202ec\u2028", "ab[31mc"},
		{"OC-44 long", strings.Repeat("é", 300), strings.Repeat("é", 256)},
		{"OC-44 very long", strings.Repeat("é", 9000), strings.Repeat("é", 256)},
		{"OC-68 a token that we did not send", "the token eyJhbGciOiJub25lIn0.e30.x1 was revoked", "the token [REDACTED] was revoked"},
		{"OC-68 an opaque one, twice", "7Fjfp0ZBr1KtDRbnfVdmIw,7Fjfp0ZBr1KtDRbnfVdmIw", "[REDACTED],[REDACTED]"},
		{"OC-44 an id for the server's operators stays", "trace 0255e4b8-1c2d-4e5f-8a9b-0c1d2e3f4a5b, AADSTS7000215", "trace 0255e4b8-1c2d-4e5f-8a9b-0c1d2e3f4a5b, AADSTS7000215"},
		{"OC-44 a link stays", "see https://accounts.example.com/errors/7000215", "see https://accounts.example.com/errors/7000215"},
		{"OC-44 protocol words stay", "bad client_credentials", "bad client_credentials"},
	}
	for _, method := range []provider.ClientAuth{provider.ClientSecretPost, provider.ClientSecretBasic} {
		for _, tt := range tests {
			t.Run(tt.name+" "+string(method), func(t *testing.T) {
				body, _ := jsonText(map[string]string{"error_description": tt.description, "error": secretCanary})
				server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/"+url.QueryEscape(secretCanary))
					w.WriteHeader(http.StatusBadRequest)
					_, _ = w.Write([]byte(body))
				})
				r := request(server.URL)
				r.Method = method
				r.Params = url.Values{"resource": {"urn:hidden"}, "short": {"inv"}}
				_, err := oauth.New(config()).Token(t.Context(), r)
				e := wantFailure(t, err, "provider_rejected status")
				if e.Description != tt.want {
					t.Errorf("description %q, want %q", e.Description, tt.want)
				}
				if e.Code != "" || e.Response.ContentType != "" {
					t.Errorf("code %q, content type %q; want neither", e.Code, e.Response.ContentType)
				}
			})
		}
	}
}

func TestEchoOfBasicAuthorization(t *testing.T) {
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := jsonText(map[string]string{"error_description": "app-1 sent " + r.Header.Get("Authorization")})
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(body))
	})
	r := request(server.URL)
	r.Method, r.ClientID, r.ClientSecret = provider.ClientSecretBasic, "app-1", redact.New("%+%+%+%+%+%+")
	_, err := oauth.New(config()).Token(t.Context(), r)
	if got, want := failureOf(t, err).Description, "[REDACTED] sent Basic [REDACTED]"; got != want {
		t.Errorf("OC-68 description %q, want %q", got, want)
	}
}
