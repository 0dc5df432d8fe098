package oauth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	headerCanary   = "gateway-key-CANARY-91"
	passwordCanary = "p4ssword-CANARY-!&="
)

// TestRequestBody: the same parameters as a form, as JSON and in a query.
func TestRequestBody(t *testing.T) {
	params := map[string][]string{
		"client_id": {"client-1"}, "client_secret": {secretCanary}, "grant_type": {"client_credentials"},
		"scope": {"a b"}, "resource": {"https://x.example/1", "https://x.example/2"},
	}
	for _, tt := range []struct {
		body                     provider.Body
		name, method, contenType string
	}{
		{"", "OC-73 nothing declared", "POST", "application/x-www-form-urlencoded"},
		{provider.BodyForm, "OC-73 form", "POST", "application/x-www-form-urlencoded"},
		{provider.BodyJSON, "OC-73 JSON", "POST", "application/json"},
		{provider.BodyQuery, "OC-73 OC-05 query", "GET", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(200, plainToken))
			r := request(server.URL + "/token?v=2")
			r.Scope, r.Shape.Body = "a b", tt.body
			r.Params = url.Values{"resource": params["resource"], "Client_ID": {"x"}}
			if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			got := server.received()[0]
			if got.method != tt.method || got.header.Get("Content-Type") != tt.contenType {
				t.Errorf("%s with Content-Type %q", got.method, got.header.Get("Content-Type"))
			}
			if diff := cmp.Diff(params, parameters(t, got, "v")); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
			if !strings.HasPrefix(got.uri, "/token?v=2") {
				t.Errorf("URI %s lost the endpoint's own query", got.uri)
			}
		})
	}
}

// parameters are those of a request, wherever it has them, without one.
func parameters(t *testing.T, got received, without string) map[string][]string {
	t.Helper()
	if strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		object, values := map[string]any{}, map[string][]string{}
		if err := json.Unmarshal([]byte(got.body), &object); err != nil {
			t.Fatal(err)
		}
		for name, value := range object {
			if text, ok := value.(string); ok {
				values[name] = []string{text}
				continue
			}
			for _, one := range value.([]any) {
				values[name] = append(values[name], one.(string))
			}
		}
		return values
	}
	text := got.body
	if got.method == http.MethodGet {
		_, text, _ = strings.Cut(got.uri, "?")
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	values.Del(without)
	return values
}

// TestQueryStaysOutOfErrors: a URL that carries the secret is in no error.
func TestQueryStaysOutOfErrors(t *testing.T) {
	unreachable, _ := rawServer(t, func(net.Conn) {})
	for name, tt := range map[string]string{
		"OC-73 INV-5 refused":  newServer(t, says(400, `{"error_description":"bad"}`)).URL,
		"OC-73 INV-5 broken":   unreachable,
		"OC-73 INV-5 redirect": newServer(t, says(307, "", "Location", "https://other.example")).URL,
		"OC-73 INV-5 no URL":   "https://login.example.com:99999/token",
	} {
		t.Run(name, func(t *testing.T) {
			for _, make := range []func(string) oauth.Request{request, refreshRequest} {
				r := make(tt)
				r.Shape.Body = provider.BodyQuery
				_, err := oauth.New(config()).Token(t.Context(), r)
				e := failureOf(t, err)
				dump := fmt.Sprintf("%v %+v", err, *e)
				for _, canary := range []string{secretCanary, url.QueryEscape(secretCanary), refreshCanary, "client_secret"} {
					if strings.Contains(dump, canary) {
						t.Errorf("%s shows %s", dump, canary)
					}
				}
			}
		})
	}
}

func TestRequestNames(t *testing.T) {
	server := newServer(t, says(200, plainToken))
	r := codeRequest(server.URL)
	r.CodeVerifier, r.RedirectURI = redact.Secret{}, "x"
	r.Shape = provider.RequestShape{
		Names:     map[string]string{"client_id": "app_key", "client_secret": "app_secret", "code": "auth_code", "refresh_token": "unused"},
		GrantType: map[string]string{"authorization_code": "authorized_code"},
	}
	r.Params = url.Values{"app_key": {"override"}, "APP_SECRET": {"override"}, "account": {"7"}}
	if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"app_key": {"client-1"}, "app_secret": {secretCanary}, "auth_code": {codeCanary},
		"grant_type": {"authorized_code"}, "redirect_uri": {"x"}, "account": {"7"}}
	if diff := cmp.Diff(want, parameters(t, server.received()[0], "")); diff != "" {
		t.Errorf("OC-73 AZ-42 parameters (-want +got):\n%s", diff)
	}
}

func TestRequestHeaders(t *testing.T) {
	server := newServer(t, says(503, ""), says(200, plainToken))
	r := request(server.URL)
	r.Shape.Headers = map[string]string{"User-Agent": "acme/2", "Wm_qos.correlation_id": "id-{uuid}", "X-Fixed": "a{b}"}
	r.Headers = map[string]redact.Secret{"X-Api-Key": redact.New(headerCanary)}
	if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	uuid := regexp.MustCompile(`^id-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	ids := map[string]bool{}
	for _, got := range server.received() {
		id := got.header.Get("Wm_qos.correlation_id")
		ids[id] = true
		if !uuid.MatchString(id) || got.header.Get("User-Agent") != "acme/2" || got.header.Get("X-Fixed") != "a{b}" ||
			got.header.Get("X-Api-Key") != headerCanary || got.header.Get("Accept") != "application/json" {
			t.Errorf("OC-24 OC-73 header %v", got.header)
		}
	}
	if len(ids) != 2 {
		t.Errorf("OC-73 %d ids in two requests", len(ids))
	}
	t.Run("OC-73 a revocation has them too", func(t *testing.T) {
		server := newServer(t, says(200, ""))
		err := oauth.New(config()).Revoke(t.Context(), oauth.Revocation{RevocationURL: server.URL, Authentication: r.Authentication,
			Token: redact.New("t"), RequestHeaders: r.Shape.Headers})
		if got := server.received()[0].header; err != nil || got.Get("X-Api-Key") != headerCanary || got.Get("User-Agent") != "acme/2" {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("OC-68 an echo of a secret header is removed", func(t *testing.T) {
		r.TokenURL = newServer(t, says(400, `{"error_description":"key `+headerCanary+` is not known"}`)).URL
		_, err := oauth.New(config()).Token(t.Context(), r)
		if got := failureOf(t, err).Description; got != "key [REDACTED] is not known" {
			t.Errorf("description %q", got)
		}
	})
}

func TestPasswordGrant(t *testing.T) {
	server := newServer(t, says(200, `{"refresh_token":"ignored",`+plainToken[1:]), says(400, `{"error_description":"no `+passwordCanary+`"}`))
	r := request(server.URL)
	r.GrantType, r.Username, r.Password = "password", "user-7", redact.New(passwordCanary)
	token, err := oauth.New(config()).Token(t.Context(), r)
	if err != nil || !token.RefreshToken.IsZero() {
		t.Fatalf("OC-17 Token = %+v, %v", token, err)
	}
	want := map[string][]string{"client_id": {"client-1"}, "client_secret": {secretCanary}, "grant_type": {"password"},
		"username": {"user-7"}, "password": {passwordCanary}}
	if diff := cmp.Diff(want, parameters(t, server.received()[0], "")); diff != "" {
		t.Errorf("OC-17 parameters (-want +got):\n%s", diff)
	}
	_, err = oauth.New(config()).Token(t.Context(), r)
	if got := failureOf(t, err).Description; got != "no [REDACTED]" {
		t.Errorf("OC-68 description %q", got)
	}
}

// TestJWTBearer: the grant's assertion speaks for a user, beside how the client
// proves itself.
func TestJWTBearer(t *testing.T) {
	key := rsaKey(t, 2048)
	server := newServer(t, says(200, plainToken))
	r := request(server.URL + "/token")
	r.GrantType, r.Scope = "jwt_bearer", "a"
	r.Authentication = oauth.Authentication{Method: provider.NoClientAuth, ClientID: "client-1", PrivateKey: key, KeyID: "key-1"}
	r.Grant = oauth.Assertion{Issuer: "sa@example.com", Subject: "jane@example.com", Audience: []string{"https://aud.example"},
		Lifetime: time.Hour, Claims: map[string]any{"scope": "x y", "aud": "overridden", "n": json.Number("7")}}
	if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	got := parameters(t, server.received()[0], "")
	parts := strings.Split(got["assertion"][0], ".")
	delete(got, "assertion")
	want := map[string][]string{"client_id": {"client-1"}, "grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "scope": {"a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("OC-11 parameters (-want +got):\n%s", diff)
	}
	claims := map[string]any{}
	decode(t, parts[1], &claims)
	delete(claims, "jti")
	wantClaims := map[string]any{"iss": "sa@example.com", "sub": "jane@example.com", "aud": "https://aud.example", "scope": "x y", "n": 7.0,
		"iat": float64(now.Unix()), "exp": float64(now.Unix() + 3600)}
	if diff := cmp.Diff(wantClaims, claims); diff != "" {
		t.Errorf("OC-11 claims (-want +got):\n%s", diff)
	}
}

// TestAssertionHeaders: a server may find the key by its certificate alone, and may
// want another RSA algorithm.
func TestAssertionHeaders(t *testing.T) {
	key := rsaKey(t, 2048)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	first, second := sha1.Sum(der), sha256.Sum256(der)
	for _, tt := range []struct {
		chosen, alg string
		hash        crypto.Hash
	}{
		{"", "RS256", crypto.SHA256}, {"RS384", "RS384", crypto.SHA384}, {"RS512", "RS512", crypto.SHA512},
		{"PS256", "PS256", crypto.SHA256}, {"PS384", "PS384", crypto.SHA384}, {"PS512", "PS512", crypto.SHA512},
	} {
		t.Run("OC-11 "+tt.alg, func(t *testing.T) {
			server := newServer(t, says(200, plainToken))
			r := request(server.URL)
			r.Authentication = oauth.Authentication{Method: provider.PrivateKeyJWT, ClientID: "client-1", PrivateKey: key,
				Certificate: certificate, Algorithm: tt.chosen, Assertion: oauth.Assertion{Audience: []string{"a"}, AudienceArray: true}}
			if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			parts := strings.Split(parameters(t, server.received()[0], "")["client_assertion"][0], ".")
			header, claims := map[string]string{}, map[string]any{}
			decode(t, parts[0], &header)
			decode(t, parts[1], &claims)
			encode := base64.RawURLEncoding.EncodeToString
			want := map[string]string{"alg": tt.alg, "typ": "JWT", "x5t": encode(first[:]), "x5t#S256": encode(second[:])}
			if diff := cmp.Diff(want, header); diff != "" || !cmp.Equal(claims["aud"], []any{"a"}) {
				t.Errorf("audience %v, header (-want +got):\n%s", claims["aud"], diff)
			}
			signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
			hash := tt.hash.New()
			hash.Write([]byte(parts[0] + "." + parts[1]))
			public := key.Public().(*rsa.PublicKey)
			if strings.HasPrefix(tt.alg, "PS") {
				err = rsa.VerifyPSS(public, tt.hash, hash.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			} else {
				err = rsa.VerifyPKCS1v15(public, tt.hash, hash.Sum(nil), signature)
			}
			if err != nil {
				t.Errorf("signature: %v", err)
			}
		})
	}
	t.Run("OC-11 an algorithm of another key", func(t *testing.T) {
		r := request(newServer(t, says(200, plainToken)).URL)
		r.Authentication = oauth.Authentication{Method: provider.PrivateKeyJWT, ClientID: "c", PrivateKey: key, Algorithm: "ES256"}
		_, err := oauth.New(config()).Token(t.Context(), r)
		wantFailure(t, err, "connection_misconfigured client_auth")
	})
}

// TestTokenTimeout: a slow server gets the time that is declared for it, and no
// other server does.
func TestTokenTimeout(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout time.Duration
		budget  time.Duration
		want    string
	}{
		"OC-22 longer than the default":  {10 * time.Second, 20 * time.Millisecond, ""},
		"OC-22 the default":              {0, 20 * time.Millisecond, "provider_timeout timeout"},
		"OC-22 shorter than the default": {20 * time.Millisecond, 10 * time.Second, "provider_timeout timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.want != "" {
					<-release
				}
				says(200, plainToken)(w, r)
			})
			defer close(release)
			cfg := config()
			cfg.Budget = tt.budget
			client := oauth.New(cfg)
			for _, transport := range client.Transports() {
				transport.ResponseHeaderTimeout = tt.budget
			}
			r := request(server.URL)
			r.Timeout = tt.timeout
			_, err := client.Token(context.WithoutCancel(t.Context()), r)
			if tt.want != "" {
				wantFailure(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
