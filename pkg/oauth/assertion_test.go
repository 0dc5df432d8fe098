package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

func jsonText(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edKey(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verify checks a JWS signature the way a server does.
func verify(public crypto.PublicKey, text, signature []byte) bool {
	sum := sha256.Sum256(text)
	switch key := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		digest, half := sum[:], 32
		if key.Curve == elliptic.P384() {
			long := sha512.Sum384(text)
			digest, half = long[:], 48
		}
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		return len(signature) == 2*half && ecdsa.Verify(key, digest, r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(key, text, signature)
	}
	return false
}

type claims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  any    `json:"aud"`
	ID        string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
}

func decode(t *testing.T, segment string, into any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func TestAssertion(t *testing.T) {
	tests := []struct {
		name, alg, keyID, audience string
		key                        crypto.Signer
	}{
		{"OC-11 RSA", "RS256", "key-1", "https://login.example.com/", rsaKey(t, 2048)},
		{"OC-11 P-256", "ES256", "", "", ecKey(t, elliptic.P256())},
		{"OC-11 P-384", "ES384", "key-1", "", ecKey(t, elliptic.P384())},
		{"OC-11 Ed25519", "EdDSA", "key-1", "", edKey(t)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(503, ""), says(200, plainToken))
			r := request(server.URL + "/token")
			r.Authentication = oauth.Authentication{
				Method: provider.PrivateKeyJWT, ClientID: "client-1", PrivateKey: tt.key, KeyID: tt.keyID,
			}
			if tt.audience != "" {
				r.Assertion.Audience = []string{tt.audience}
			}
			if _, err := oauth.New(config()).Token(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			audience := tt.audience
			if audience == "" {
				audience = server.URL + "/token"
			}
			ids := map[string]bool{}
			for _, got := range server.received() {
				form, _ := url.ParseQuery(got.body)
				assertion := form.Get("client_assertion")
				form.Del("client_assertion")
				want := url.Values{
					"grant_type": {"client_credentials"}, "client_id": {"client-1"},
					"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				}
				if diff := cmp.Diff(want, form); diff != "" || got.header.Get("Authorization") != "" {
					t.Errorf("form (-want +got):\n%s", diff)
				}
				ids[checkAssertion(t, assertion, tt.key, tt.alg, tt.keyID, audience)] = true
			}
			if len(ids) != 2 {
				t.Errorf("%d different jti in two requests", len(ids))
			}
		})
	}
}

// checkAssertion checks everything a server may and returns the jti.
func checkAssertion(t *testing.T, assertion string, key crypto.Signer, alg, keyID, audience string) string {
	t.Helper()
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("assertion has %d parts", len(parts))
	}
	header := map[string]string{}
	decode(t, parts[0], &header)
	wantHeader := map[string]string{"alg": alg, "typ": "JWT"}
	if keyID != "" {
		wantHeader["kid"] = keyID
	}
	if diff := cmp.Diff(wantHeader, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	var got claims
	decode(t, parts[1], &got)
	want := claims{"client-1", "client-1", audience, got.ID, now.Unix(), now.Unix() + 60}
	if diff := cmp.Diff(want, got); diff != "" || len(got.ID) < 22 {
		t.Errorf("claims (-want +got), jti %q:\n%s", got.ID, diff)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !verify(key.Public(), []byte(parts[0]+"."+parts[1]), signature) {
		t.Error("signature does not verify")
	}
	return got.ID
}

func TestAssertionKeyRefused(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	for name, key := range map[string]crypto.Signer{
		"OC-11 RSA 1024": rsaKey(t, 1024), "OC-11 P-521": ecKey(t, elliptic.P521()), "OC-11 P-224": ecKey(t, elliptic.P224()),
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, says(200, plainToken))
			r := request(server.URL)
			r.Authentication = oauth.Authentication{Method: provider.PrivateKeyJWT, ClientID: "client-1", PrivateKey: key}
			_, err := oauth.New(config()).Token(t.Context(), r)
			wantFailure(t, err, "connection_misconfigured client_auth")
			if n := len(server.received()); n != 0 {
				t.Errorf("%d requests, want none", n)
			}
		})
	}
}
