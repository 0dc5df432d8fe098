package oauth_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

func authorization() oauth.AuthorizationRequest {
	return oauth.AuthorizationRequest{
		AuthorizationURL: "https://login.example.com/authorize",
		ClientID:         "client 1",
		RedirectURI:      "https://vend.example.com/v1/callback/crm",
		State:            "state-1",
	}
}

func TestAuthorizationURL(t *testing.T) {
	const start = "https://login.example.com/authorize?"
	const redirect = "redirect_uri=https%3A%2F%2Fvend.example.com%2Fv1%2Fcallback%2Fcrm&response_type=code"
	tests := []struct {
		name   string
		change func(*oauth.AuthorizationRequest)
		want   string
	}{
		{"OC-02 without scope", func(*oauth.AuthorizationRequest) {},
			start + "client_id=client%201&" + redirect + "&state=state-1"},
		{"OC-02 scope", func(r *oauth.AuthorizationRequest) { r.Scope = "cfgateway offline_access" },
			start + "client_id=client%201&" + redirect + "&scope=cfgateway%20offline_access&state=state-1"},
		{"OC-06 challenge", func(r *oauth.AuthorizationRequest) { r.Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" },
			start + "client_id=client%201&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&" +
				redirect + "&state=state-1"},
		{"OC-02 the endpoint's own query", func(r *oauth.AuthorizationRequest) { r.AuthorizationURL += "?tenant=a%2Fb&x" },
			start + "tenant=a%2Fb&x&client_id=client%201&" + redirect + "&state=state-1"},
		{"OC-02 the endpoint's own fragment", func(r *oauth.AuthorizationRequest) { r.AuthorizationURL += "?x=1#/oauth" },
			start + "x=1&client_id=client%201&" + redirect + "&state=state-1#/oauth"},
		{"OC-73 a separator", func(r *oauth.AuthorizationRequest) { r.Scope, r.ScopeSeparator = "a b", "," },
			start + "client_id=client%201&" + redirect + "&scope=a%2Cb&state=state-1"},
		{"OC-73 other names", func(r *oauth.AuthorizationRequest) {
			r.Names, r.Params = map[string]string{"client_id": "app_key", "code": "auth_code"}, url.Values{"app_key": {"x"}}
		}, start + "app_key=client%201&client_id=client%201&" + redirect + "&state=state-1"},
		{"OC-02 a redirect URI that is no URL", func(r *oauth.AuthorizationRequest) { r.RedirectURI = "Acme_Inc-AcmeIn-App-abcdef" },
			start + "client_id=client%201&redirect_uri=Acme_Inc-AcmeIn-App-abcdef&response_type=code&state=state-1"},
		{"OC-02 a lonely question mark", func(r *oauth.AuthorizationRequest) { r.AuthorizationURL += "?" },
			start + "client_id=client%201&" + redirect + "&state=state-1"},
		{"OC-02 a path as it is", func(r *oauth.AuthorizationRequest) { r.AuthorizationURL = "https://login.example.com/a%2Fb/" },
			"https://login.example.com/a%2Fb/?client_id=client%201&" + redirect + "&state=state-1"},
		{"OC-15 extra parameters repeat in order", func(r *oauth.AuthorizationRequest) {
			r.Params = url.Values{"prompt": {"consent"}, "resource": {"https://b.example/", "https://a.example/"}}
		}, start + "client_id=client%201&prompt=consent&" + strings.Replace(redirect, "&", "&resource=https%3A%2F%2Fb.example%2F&resource=https%3A%2F%2Fa.example%2F&", 1) +
			"&state=state-1"},
		{"OC-02 plus and ampersand", func(r *oauth.AuthorizationRequest) { r.State, r.ClientID = "a+b&c", "c" },
			start + "client_id=c&" + redirect + "&state=a%2Bb%26c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := authorization()
			tt.change(&r)
			got, err := oauth.AuthorizationURL(r)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("AuthorizationURL:\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAuthorizationURLRefuses(t *testing.T) {
	params := func(name string) func(*oauth.AuthorizationRequest) {
		return func(r *oauth.AuthorizationRequest) { r.Params = url.Values{name: {"c4n4ry"}} }
	}
	endpoint := func(text string) func(*oauth.AuthorizationRequest) {
		return func(r *oauth.AuthorizationRequest) { r.AuthorizationURL = text }
	}
	tests := []struct {
		name, want string
		change     func(*oauth.AuthorizationRequest)
	}{
		{"AZ-42 state among the parameters", "state", params("state")},
		{"AZ-42 in other letters", "redirect_uri", params("Redirect_URI")},
		{"AZ-42 request object", "request_uri", params("request_uri")},
		{"OC-06 method plain", "code_challenge_method", params("code_challenge_method")},
		{"OC-05 secret in the query", "client_secret", params("client_secret")},
		{"OC-17 response type in the endpoint", "response_type", endpoint("https://login.example.com/?response_type=c4n4ry")},
		{"OC-02 query that cannot be read", "query", endpoint("https://login.example.com/?a=%zzc4n4ry")},
		{"OC-02 relative", "absolute", endpoint("/c4n4ry")},
		{"OC-02 another scheme", "absolute", endpoint("javascript://login.example.com/c4n4ry")},
		{"OC-02 user", "user", endpoint("https://c4n4ry@login.example.com/")},
		{"OC-07 no state", "state", func(r *oauth.AuthorizationRequest) { r.State = "" }},
		{"OC-02 no redirect URI", "redirect_uri", func(r *oauth.AuthorizationRequest) { r.RedirectURI = "" }},
		{"OC-02 no client", "client_id", func(r *oauth.AuthorizationRequest) { r.ClientID = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := authorization()
			tt.change(&r)
			got, err := oauth.AuthorizationURL(r)
			if err == nil {
				t.Fatalf("AuthorizationURL = %s, want an error", got)
			}
			if text := err.Error(); got != "" || !strings.Contains(text, tt.want) || strings.Contains(text, "c4n4ry") {
				t.Errorf("error %q; want one that says %q and shows no value", text, tt.want)
			}
		})
	}
}

func TestChallenge(t *testing.T) {
	const verifier, want = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if got := oauth.Challenge(redact.New(verifier)); got != want {
		t.Errorf("OC-06 RFC 7636 App. B: challenge %s, want %s", got, want)
	}
}

func TestNewVerifier(t *testing.T) {
	t.Run("OC-06 RFC 7636 App. B", func(t *testing.T) {
		random := string([]byte{
			116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186,
			22, 212, 37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
		})
		got, err := oauth.NewVerifier(strings.NewReader(random + "more"))
		if err != nil || got.Reveal() != "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" {
			t.Errorf("NewVerifier = %q, %v", got.Reveal(), err)
		}
	})
	t.Run("OC-06 too little randomness", func(t *testing.T) {
		if got, err := oauth.NewVerifier(strings.NewReader(strings.Repeat("x", 31))); err == nil || !got.IsZero() {
			t.Error("a verifier of 31 bytes")
		}
		broken := errors.New("broken")
		if _, err := oauth.NewVerifier(iotest.ErrReader(broken)); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}
