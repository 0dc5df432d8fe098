package connection_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
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

// referring returns the text of a secret for each reference.
func referring(texts map[string]string) connection.Parser {
	return connection.Parser{Referenced: func(ref connection.Reference) (string, error) {
		text, ok := texts[ref.Secret]
		if !ok {
			return "", errors.New("refers to a secret that is not there; create it")
		}
		return text, nil
	}}
}

func TestReferences_BI53(t *testing.T) {
	account, err := json.Marshal(map[string]string{
		"client_email": "robot@example.com", "private_key": pkcs8(t, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))),
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"whole": "c4n4ry-whole", "json": `{"a/b":{"s":"c4n4ry-inside"},"n":1}`, "account": string(account), "space": "c4n4ry\n"}
	read := func(text string) (connection.Connection, error) {
		return referring(texts).Parse("crm", secretOf(text))
	}
	t.Run("BI-53 the whole text", func(t *testing.T) {
		c, err := read(with(t, generic, "client_secret", `{"secret":"whole"}`))
		want := []connection.Reference{{Member: "client_secret", Secret: "whole"}}
		if err != nil || c.ClientSecret.Reveal() != "c4n4ry-whole" || !cmp.Equal(c.References, want) {
			t.Errorf("references %v, %v", c.References, err)
		}
	})
	t.Run("BI-53 by pointer, in a header", func(t *testing.T) {
		c, err := read(with(t, generic, "headers", `{"x-key":{"secret":"json","pointer":"/a~1b/s"}}`))
		if err != nil || c.Headers["X-Key"].Reveal() != "c4n4ry-inside" || c.References[0].Member != "headers/x-key" {
			t.Errorf("references %v, %v", c.References, err)
		}
	})
	t.Run("BI-53 a service account's file", func(t *testing.T) {
		text := with(t, bearer(t), "client_id", `{"secret":"account","pointer":"/client_email"}`)
		c, err := read(with(t, text, "private_key", `{"secret":"account","pointer":"/private_key"}`))
		if err != nil || c.ClientID != "robot@example.com" || c.PrivateKey == nil {
			t.Errorf("read as %+v, %v", c, err)
		}
	})
	for _, tt := range []struct{ name, value, why string }{
		{"nothing there", `{"secret":"missing"}`, "not there"},
		{"a pointer into text", `{"secret":"whole","pointer":"/a"}`, "is not JSON"},
		{"a pointer to nothing", `{"secret":"json","pointer":"/z"}`, "no string there"},
		{"a pointer to a number", `{"secret":"json","pointer":"/n"}`, "no string there"},
		{"white space at the end", `{"secret":"space"}`, "ends with white space"},
	} {
		t.Run("BI-53 "+tt.name, func(t *testing.T) {
			_, err := read(with(t, generic, "client_secret", tt.value))
			var problem *connection.ValidationError
			if !errors.As(err, &problem) || problem.Member != "client_secret" {
				t.Fatalf("error = %v", err)
			}
			if diff := contains(err.Error(), tt.why, canary); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReferences_BI53_refused(t *testing.T) {
	for _, tt := range []struct{ name, member, value, where, why string }{
		{"none is allowed", "client_secret", `{"secret":"c4n4ry"}`, "client_secret", "SecretReferences"},
		{"an environment variable", "client_secret", `{"secret":"a","env":"c4n4ry"}`, "client_secret/env", "is unknown"},
		{"no secret", "client_id", `{"pointer":"/c4n4ry"}`, "client_id/secret", "is missing"},
		{"no pointer of JSON", "client_id", `{"secret":"a","pointer":"c4n4ry"}`, "client_id/pointer", "JSON Pointer"},
		{"no name", "client_id", `{"secret":"c4n4ry b"}`, "client_id/secret", "not the name"},
		{"where none may be", "scope", `{"secret":"c4n4ry"}`, "scope", "must be a string"},
	} {
		t.Run("BI-53 "+tt.name, func(t *testing.T) { refused(t, with(t, generic, tt.member, tt.value), tt.where, tt.why) })
	}
}

// contains says whether a text lacks what it must contain or contains a secret.
func contains(text, want, secret string) string {
	switch {
	case !strings.Contains(text, want):
		return "error " + text + ", want " + want
	case strings.Contains(text, secret):
		return "the error shows a value"
	}
	return ""
}
