package sandbox_test

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
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

const plainPath = "/oauth2/token"

// The client of OC-04. Without decoding, its id would end at its first colon.
const (
	vectorID     = "a b:c"
	vectorSecret = "p@ss+w%rd/é"
	vectorBasic  = "Basic YStiJTNBYzpwJTQwc3MlMkJ3JTI1cmQlMkYlQzMlQTk="
)

func grantForm(pairs ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

func TestClientsUseTheirRegisteredMethodOnly(t *testing.T) {
	g := newFixture(t)
	register := func(name string, method provider.ClientAuth, id string) {
		must(t, g.Register(sandbox.Client{Connection: name, ClientAuth: method, ClientID: id, ClientSecret: redact.New(vectorSecret)}))
	}
	register("basic", provider.ClientSecretBasic, vectorID)
	register("raw", provider.ClientSecretBasicRaw, "raw b")
	register("post", provider.ClientSecretPost, "post:b")
	register("none", provider.NoClientAuth, "public")
	post := func(id, secret string) url.Values { return grantForm("client_id", id, "client_secret", secret) }
	for name, row := range map[string]struct {
		header string
		form   url.Values
		status int
		code   string
	}{
		"OC-04 basic, the vector":                  {vectorBasic, grantForm(), 200, ""},
		"OC-04 basic with the id in the form too":  {vectorBasic, grantForm("client_id", vectorID), 200, ""},
		"OC-04 basic, not encoded":                 {basic(vectorID, vectorSecret), grantForm(), 401, "invalid_client"},
		"OC-04 basic_raw":                          {basic("raw b", vectorSecret), grantForm(), 200, ""},
		"OC-04 basic_raw, encoded":                 {basic("raw+b", url.QueryEscape(vectorSecret)), grantForm(), 401, "invalid_client"},
		"OC-04 basic_raw, only the secret encoded": {basic("raw b", url.QueryEscape(vectorSecret)), grantForm(), 401, "invalid_client"},
		"OC-04 basic_raw, only the id encoded":     {basic("raw+b", vectorSecret), grantForm(), 401, "invalid_client"},
		"OC-05 post":                               {"", post("post:b", vectorSecret), 200, ""},
		"OC-05 none":                               {"", grantForm("client_id", "public"), 200, ""},
		"OC-05 a basic client posts":               {"", post(vectorID, vectorSecret), 401, "invalid_client"},
		"OC-05 a post client uses the header":      {basic("post%3Ab", url.QueryEscape(vectorSecret)), grantForm(), 401, "invalid_client"},
		"OC-05 a public client sends a secret":     {"", post("public", vectorSecret), 401, "invalid_client"},
		"OC-05 a post client sends no secret":      {"", grantForm("client_id", "post:b"), 401, "invalid_client"},
		"OC-05 both ways at once":                  {vectorBasic, post(vectorID, vectorSecret), 400, "invalid_request"},
		"OC-05 the header names another client":    {vectorBasic, grantForm("client_id", "public"), 401, "invalid_client"},
		"OC-05 a wrong secret":                     {basic("a+b%3Ac", "wrong"), grantForm(), 401, "invalid_client"},
		"OC-05 an unreadable header":               {"Basic !", grantForm(), 401, "invalid_client"},
		"OC-05 another scheme":                     {strings.Replace(vectorBasic, "Basic", "Digest", 1), grantForm(), 401, "invalid_client"},
		"OC-05 no client":                          {"", grantForm(), 401, "invalid_client"},
		"OC-47 another grant type":                 {"", url.Values{"grant_type": {"password"}, "client_id": {"public"}}, 400, "unsupported_grant_type"},
	} {
		t.Run(name, func(t *testing.T) {
			req := g.formRequest(plainPath, row.form)
			if row.header != "" {
				req.Header.Set("Authorization", row.header)
			}
			got := g.send(req)
			wantStatus(t, got, row.status)
			if code, _ := got.json(t)["error"].(string); code != row.code {
				t.Errorf("error %q, want %q", code, row.code)
			}
			challenge := got.header.Get("WWW-Authenticate") != ""
			if want := row.code == "invalid_client" && row.header != ""; challenge != want {
				t.Errorf("challenge %v, want %v (RFC 6749 §5.2)", challenge, want)
			}
		})
	}
}

func TestTwoHeadersAreRefused(t *testing.T) {
	g := newFixture(t)
	must(t, g.Register(sandbox.Client{Connection: "basic", ClientID: vectorID, ClientSecret: redact.New(vectorSecret)}))
	req := g.formRequest(plainPath, grantForm(), "Authorization", vectorBasic)
	wantStatus(t, g.send(req), http.StatusOK)
	req = g.formRequest(plainPath, grantForm(), "Authorization", vectorBasic, "Authorization", vectorBasic)
	wantStatus(t, g.send(req), http.StatusUnauthorized)
}

func TestPlainServerGrantsRegisteredScopes(t *testing.T) {
	g := newFixture(t)
	must(t, g.Register(sandbox.Client{Connection: "crm", ClientID: "crm", ClientAuth: provider.NoClientAuth, Scopes: []string{"read", "write"}}))
	for name, row := range map[string]struct {
		scope, granted, refused string
	}{
		"none gives all":       {"", "read write", ""},
		"a part":               {"write", "write", ""},
		"beyond":               {"read admin", "", "invalid_scope"},
		"a space at the end":   {"read ", "", "invalid_scope"},
		"* is no scope of its": {"*", "", "invalid_scope"},
	} {
		t.Run("OC-60 "+name, func(t *testing.T) {
			got := g.send(g.formRequest(plainPath, grantForm("client_id", "crm", "scope", row.scope))).json(t)
			granted, _ := got["scope"].(string)
			refused, _ := got["error"].(string)
			if granted != row.granted || refused != row.refused {
				t.Errorf("granted %q, refused %q", granted, refused)
			}
		})
	}
}

// keyCase is a type of key with its algorithm.
type keyCase struct {
	algorithm string
	key       crypto.Signer
}

// allKeys are generated once: an RSA key is slow.
var allKeys = sync.OnceValue(func() map[string]keyCase {
	rsaKey, errRSA := rsa.GenerateKey(rand.Reader, 2048)
	p256, err256 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err384 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, errEd := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errRSA, err256, err384, errEd); err != nil {
		panic(err)
	}
	return map[string]keyCase{"rsa": {"RS256", rsaKey}, "p256": {"ES256", p256}, "p384": {"ES384", p384}, "ed": {"EdDSA", ed}}
})

// sign makes a compact JWS independently of the signer of the service.
func (k keyCase) sign(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		must(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	input := part(header) + "." + part(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(k.signature(t, []byte(input)))
}

func (k keyCase) signature(t *testing.T, input []byte) []byte {
	t.Helper()
	d256, d384 := sha256.Sum256(input), sha512.Sum384(input)
	switch key := k.key.(type) {
	case *rsa.PrivateKey:
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, d256[:])
		must(t, err)
		return sig
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input)
	case *ecdsa.PrivateKey:
		digest, size := d256[:], 32
		if key.Curve == elliptic.P384() {
			digest, size = d384[:], 48
		}
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		must(t, err)
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	t.Fatalf("no signature with %T", k.key)
	return nil
}

// assertionFixture is a fixture with one private_key_jwt client for each type of key, whose
// name is its client id.
type assertionFixture struct {
	*fixture
	keys map[string]keyCase
}

func newAssertionRig(t *testing.T, keys map[string]keyCase) assertionFixture {
	t.Helper()
	g := assertionFixture{newFixture(t), keys}
	for name, k := range g.keys {
		must(t, g.Register(sandbox.Client{Connection: name, ClientID: name, ClientAuth: provider.PrivateKeyJWT, Key: k.key, KeyID: "k1"}))
	}
	return g
}

// claims are valid; changes replace them, and nil removes a claim.
func (g assertionFixture) claims(id string, changes map[string]any) map[string]any {
	now := g.clock().Unix()
	c := map[string]any{"iss": id, "sub": id, "aud": g.url + plainPath, "jti": id + "-1", "iat": now, "exp": now + 60}
	return overlay(c, changes)
}

func overlay(onto, changes map[string]any) map[string]any {
	maps.Copy(onto, changes)
	maps.DeleteFunc(onto, func(_ string, v any) bool { return v == nil })
	return onto
}

func (g assertionFixture) present(assertion string, more ...string) reply {
	g.t.Helper()
	form := grantForm(append(more, "client_assertion", assertion)...)
	if !form.Has("client_assertion_type") {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}
	return g.send(g.formRequest(plainPath, form))
}

func TestAssertionsOfEveryKeyType(t *testing.T) {
	keys := allKeys()
	for name := range keys {
		t.Run("OC-11 "+name, func(t *testing.T) {
			g := newAssertionRig(t, keys)
			k := g.keys[name]
			assertion := k.sign(t, map[string]any{"alg": k.algorithm, "typ": "JWT", "kid": "k1"}, g.claims(name, nil))
			wantStatus(t, g.present(assertion, "client_id", name), http.StatusOK)
			wantStatus(t, g.present(assertion), http.StatusUnauthorized)
			forged := g.keys["p256"]
			if name == "p256" {
				forged = g.keys["ed"]
			}
			again := g.claims(name, map[string]any{"jti": "2"})
			wantStatus(t, g.present(forged.sign(t, map[string]any{"alg": k.algorithm, "kid": "k1"}, again)), http.StatusUnauthorized)
			if got := g.TokenRequests(name); got != 3 {
				t.Errorf("%d requests counted for the client, want 3", got)
			}
		})
	}
}

func TestAssertionsAreCheckedStrictly(t *testing.T) {
	keys := allKeys()
	now := func(g assertionFixture) int64 { return g.clock().Unix() }
	for name, row := range map[string]struct {
		header map[string]any
		claims func(g assertionFixture) map[string]any
		more   []string
		status int
	}{
		"the issuer as audience":     {claims: func(g assertionFixture) map[string]any { return map[string]any{"aud": g.url + "/oauth2"} }, status: 200},
		"the longest life":           {claims: func(g assertionFixture) map[string]any { return map[string]any{"exp": now(g) + 300} }, status: 200},
		"a clock ahead by a little":  {claims: func(g assertionFixture) map[string]any { return map[string]any{"iat": now(g) + 30} }, status: 200},
		"another audience":           {claims: func(g assertionFixture) map[string]any { return map[string]any{"aud": g.url} }, status: 401},
		"an audience list":           {claims: func(g assertionFixture) map[string]any { return map[string]any{"aud": []string{g.url + plainPath}} }, status: 401},
		"no audience":                {claims: func(g assertionFixture) map[string]any { return map[string]any{"aud": nil} }, status: 401},
		"expired":                    {claims: func(g assertionFixture) map[string]any { return map[string]any{"exp": now(g)} }, status: 401},
		"no expiry":                  {claims: func(g assertionFixture) map[string]any { return map[string]any{"exp": nil} }, status: 401},
		"too long a life":            {claims: func(g assertionFixture) map[string]any { return map[string]any{"exp": now(g) + 301} }, status: 401},
		"issued in the future":       {claims: func(g assertionFixture) map[string]any { return map[string]any{"iat": now(g) + 31} }, status: 401},
		"not yet valid":              {claims: func(g assertionFixture) map[string]any { return map[string]any{"nbf": now(g) + 31} }, status: 401},
		"no id":                      {claims: func(g assertionFixture) map[string]any { return map[string]any{"jti": nil} }, status: 401},
		"another issuer":             {claims: func(g assertionFixture) map[string]any { return map[string]any{"iss": "rsa"} }, status: 401},
		"another subject":            {claims: func(g assertionFixture) map[string]any { return map[string]any{"sub": "rsa"} }, status: 401},
		"alg none":                   {header: map[string]any{"alg": "none"}, status: 401},
		"another algorithm":          {header: map[string]any{"alg": "ES384"}, status: 401},
		"another kid":                {header: map[string]any{"kid": "k2"}, status: 401},
		"no kid":                     {header: map[string]any{"kid": nil}, status: 401},
		"critical extensions":        {header: map[string]any{"crit": []string{"x"}}, status: 401},
		"a client_id that disagrees": {more: []string{"client_id", "rsa"}, status: 401},
		"another assertion type":     {more: []string{"client_assertion_type", "urn:x"}, status: 401},
		"a secret beside it":         {more: []string{"client_id", "p256", "client_secret", "x"}, status: 400},
	} {
		t.Run("OC-11 "+name, func(t *testing.T) {
			g := newAssertionRig(t, keys)
			changes := map[string]any{}
			if row.claims != nil {
				changes = row.claims(g)
			}
			header := overlay(map[string]any{"alg": "ES256", "typ": "JWT", "kid": "k1"}, row.header)
			wantStatus(t, g.present(g.keys["p256"].sign(t, header, g.claims("p256", changes)), row.more...), row.status)
		})
	}
	t.Run("OC-11 an id may be used again after its expiry", func(t *testing.T) {
		g := newAssertionRig(t, keys)
		header := map[string]any{"alg": "ES256", "kid": "k1"}
		wantStatus(t, g.present(g.keys["p256"].sign(t, header, g.claims("p256", nil))), 200)
		g.advance(time.Minute - time.Second)
		wantStatus(t, g.present(g.keys["p256"].sign(t, header, g.claims("p256", nil))), 401)
		g.advance(time.Second)
		wantStatus(t, g.present(g.keys["p256"].sign(t, header, g.claims("p256", nil))), 200)
	})
	t.Run("OC-11 a truncated signature", func(t *testing.T) {
		g := newAssertionRig(t, keys)
		whole := g.keys["p256"].sign(t, map[string]any{"alg": "ES256", "kid": "k1"}, g.claims("p256", nil))
		wantStatus(t, g.present(whole[:strings.LastIndexByte(whole, '.')+5]), 401)
	})
	for name, assertion := range map[string]string{
		"empty": "", "one part": "x", "four parts": "a.b.c.d", "no base64": "!.!.!", "no JSON": "eA.eA.eA",
	} {
		t.Run("OC-11 "+name, func(t *testing.T) {
			wantStatus(t, newAssertionRig(t, keys).present(assertion), http.StatusUnauthorized)
		})
	}
}

func TestRegisterRefusesInvalidClients(t *testing.T) {
	g := newFixture(t)
	must(t, g.Register(sandbox.Client{Connection: "taken", ClientID: "taken"}))
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	for name, row := range map[string]sandbox.Client{
		"AZ-02 a name that is a path":        {Connection: "../x"},
		"AZ-02 a name in capitals":           {Connection: "CRM"},
		"AZ-02 a name with a dot":            {Connection: "a.b"},
		"AZ-02 no name":                      {},
		"BI-54 a name twice":                 {Connection: "cliquify"},
		"BI-54 a client id twice":            {Connection: "other", ClientID: "taken"},
		"OC-05 an unknown method":            {Connection: "other", ClientAuth: "mtls"},
		"BI-65 a key it cannot export":       {Connection: "other", ClientAuth: provider.PrivateKeyJWT, Key: opaqueKey{}},
		"BI-65 a curve without an algorithm": {Connection: "other", ClientAuth: provider.PrivateKeyJWT, Key: p521},
	} {
		t.Run(name, func(t *testing.T) {
			if err := g.Register(row); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// opaqueKey is a key outside the process, such as in a hardware module.
type opaqueKey struct{ crypto.Signer }
