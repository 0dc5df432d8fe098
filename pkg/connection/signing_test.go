package connection_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

func quote(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

// certify returns a self-signed certificate of the key, as PEM.
func certify(t *testing.T, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("CERTIFICATE", der)
}

func TestSigning_OC11_accepts(t *testing.T) {
	rsa2048, p256 := rsaKey(t, 2048), ecKey(t, elliptic.P256())
	withRSA, withEC := jwtClient(t, pkcs8(t, rsa2048)), jwtClient(t, pkcs8(t, p256))
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		t.Run("OC-11 "+algorithm, func(t *testing.T) {
			c, err := parse(with(t, withRSA, "signing_algorithm", quote(t, algorithm)))
			if err != nil || c.SigningAlgorithm != algorithm {
				t.Errorf("algorithm %q, %v", c.SigningAlgorithm, err)
			}
		})
	}
	for name, text := range map[string]string{
		"RSA":   with(t, withRSA, "certificate", quote(t, certify(t, rsa2048))),
		"P-256": with(t, withEC, "certificate", quote(t, certify(t, p256))),
	} {
		t.Run("OC-11 a certificate of "+name, func(t *testing.T) {
			if c, err := parse(text); err != nil || c.Certificate == nil {
				t.Errorf("certificate %v, %v", c.Certificate, err)
			}
		})
	}
	t.Run("OC-11 claims and audience", func(t *testing.T) {
		c, err := parse(with(t, withRSA, "assertion", `{"claims":{"scope":["a","b"],"n":1},"audience":["https://as.example.com"],"lifetime":30}`))
		want := connection.Assertion{
			Audience: []string{"https://as.example.com"}, AudienceArray: true, Lifetime: 30 * time.Second,
			Claims: map[string]any{"scope": []any{"a", "b"}, "n": json.Number("1")},
		}
		if diff := cmp.Diff(want, c.Assertion); err != nil || diff != "" {
			t.Errorf("assertion (-want +got):\n%s%v", diff, err)
		}
	})
}

func TestSigning_OC11_refuses(t *testing.T) {
	rsa2048, p256 := rsaKey(t, 2048), ecKey(t, elliptic.P256())
	withRSA, withEC := jwtClient(t, pkcs8(t, rsa2048)), jwtClient(t, pkcs8(t, p256))
	tests := []struct{ name, base, member, value, where, why string }{
		{"BI-65 an unknown algorithm", withRSA, "signing_algorithm", `"HS256"`, "signing_algorithm", "must be one of RS256"},
		{"BI-65 an algorithm for another key", withEC, "signing_algorithm", `"PS256"`, "signing_algorithm", "RSA key only"},
		{"BI-65 a certificate of another key", withRSA, "certificate", quote(t, certify(t, p256)), "certificate", "another key"},
		{"BI-65 a damaged certificate", withRSA, "certificate", quote(t, pemBlock("CERTIFICATE", []byte(canary))), "certificate", "is damaged"},
		{"BI-65 a key for a certificate", withRSA, "certificate", quote(t, pemBlock("PUBLIC KEY", []byte(canary))), "certificate", "another type"},
		{"BI-65 no PEM", withRSA, "certificate", `"c4n4ry"`, "certificate", "is not PEM"},
		{"BI-65 a chain", withRSA, "certificate", quote(t, certify(t, rsa2048)+certify(t, p256)), "certificate", "more than one PEM block"},
		{"OC-12 a key in KMS", withRSA, "private_key", `"arn:aws:kms:eu-west-1:111122223333:key/c4n4ry"`, "private_key", "KMS"},
		{"OC-11 the client's subject", withRSA, "assertion", `{"subject":"c4n4ry"}`, "assertion/subject", "jwt_bearer only"},
		{"OC-11 a client's assertion for an hour", withRSA, "assertion", `{"lifetime":3600}`, "assertion/lifetime", "at most 60"},
		{"OC-11 a claim of ours", withRSA, "assertion", `{"claims":{"exp":1}}`, "assertion/claims/exp", "sets itself"},
		{"BI-46 a certificate without a key", generic, "certificate", quote(t, certify(t, p256)), "certificate", "private_key_jwt and with grant_type jwt_bearer only"},
		{"BI-46 an algorithm without a key", generic, "signing_algorithm", `"PS256"`, "signing_algorithm", "private_key_jwt and with grant_type jwt_bearer only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, with(t, tt.base, tt.member, tt.value), tt.where, tt.why) })
	}
}

// bearer is a connection with an assertion for a grant, without a client secret.
func bearer(t *testing.T) string {
	t.Helper()
	text := with(t, with(t, generic, "client_secret", ""), "grant_type", `"jwt_bearer"`)
	return with(t, text, "private_key", quote(t, pkcs8(t, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))))
}

func TestJWTBearer_OC11(t *testing.T) {
	base := bearer(t)
	t.Run("OC-11 defaults", func(t *testing.T) {
		c, err := parse(base)
		if err != nil || c.GrantType != connection.JWTBearer || c.ClientAuth != provider.NoClientAuth || c.PrivateKey == nil || c.TakesSubjects() {
			t.Errorf("read as %+v, %v", c, err)
		}
	})
	t.Run("OC-11 with a client secret too", func(t *testing.T) {
		c, err := parse(with(t, base, "client_secret", `"c4n4ry"`))
		if err != nil || c.ClientAuth != provider.ClientSecretBasic || c.ClientSecret.IsZero() || c.PrivateKey == nil {
			t.Errorf("read as %+v, %v", c, err)
		}
	})
	t.Run("OC-11 a subject of the request", func(t *testing.T) {
		text := with(t, base, "assertion", `{"subject":"{subject}@example.com","issuer":"i","lifetime":3600}`)
		text = with(t, text, "callers", `[{"principal":"arn:aws:iam::111122223333:root","subjects":["jane"]}]`)
		c, err := parse(text)
		if err != nil || !c.TakesSubjects() || c.Delegated() || c.Assertion.Subject != "{subject}@example.com" || c.Assertion.Lifetime != time.Hour {
			t.Errorf("read as %+v, %v", c, err)
		}
	})
	t.Run("OC-11 a map of subjects", func(t *testing.T) {
		c, err := parse(with(t, base, "assertion", `{"subject":{"jane-doe":"jane.doe@example.com"}}`))
		if err != nil || !c.TakesSubjects() || c.Assertion.Subjects["jane-doe"] != "jane.doe@example.com" || c.Assertion.Subject != "" {
			t.Errorf("read as %+v, %v", c, err)
		}
	})
	t.Run("BI-46 a subject's name", func(t *testing.T) {
		refused(t, with(t, base, "assertion", `{"subject":{"Jane":"c4n4ry"}}`), "assertion/subject/Jane", "not a subject's name")
	})
	t.Run("BI-46 callers with subjects where there are none", func(t *testing.T) {
		refused(t, with(t, base, "callers", `[{"principal":"arn:aws:iam::111122223333:root","subjects":["a"]}]`), "callers/0/subjects", "subject of the request")
	})
	t.Run("BI-61 no key", func(t *testing.T) { refused(t, with(t, base, "private_key", ""), "private_key", "is missing") })
}
