package connection_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// jwtClient is a declaration with that private key, unchanged.
func jwtClient(t *testing.T, key string) string {
	t.Helper()
	quoted, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	text := with(t, with(t, generic, "client_secret", ""), "client_auth", `"private_key_jwt"`)
	if key == "" {
		return text
	}
	return with(t, text, "private_key", string(quoted))
}

func pemBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("PRIVATE KEY", der)
}

func sec1(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("EC PRIVATE KEY", der)
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPrivateKeyAccepted(t *testing.T) {
	p256, p384, rsa2048 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), rsaKey(t, 2048)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256OID, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		public     crypto.PublicKey
	}{
		{"RSA 2048, PKCS#8", pkcs8(t, rsa2048), rsa2048.Public()},
		{"RSA 2048, PKCS#1", pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsa2048)), rsa2048.Public()},
		{"P-256, PKCS#8", pkcs8(t, p256), p256.Public()},
		{"P-256, SEC 1", sec1(t, p256), p256.Public()},
		{"P-256, SEC 1 after its parameters", pemBlock("EC PARAMETERS", p256OID) + sec1(t, p256), p256.Public()},
		{"P-384, SEC 1", sec1(t, p384), p384.Public()},
		{"Ed25519, PKCS#8", pkcs8(t, ed), ed.Public()},
		{"white space around", "\n" + pkcs8(t, ed) + "\n\n", ed.Public()},
		{"CRLF", strings.ReplaceAll(pkcs8(t, ed), "\n", "\r\n"), ed.Public()},
	}
	for _, tt := range tests {
		t.Run("BI-65 "+tt.name, func(t *testing.T) {
			c, err := parse(with(t, jwtClient(t, tt.text), "key_id", `"2026-01"`))
			if err != nil {
				t.Fatal(err)
			}
			if c.ClientAuth != provider.PrivateKeyJWT || c.KeyID != "2026-01" || !c.ClientSecret.IsZero() {
				t.Errorf("client = %s, key id %q", c.ClientAuth, c.KeyID)
			}
			type key interface{ Equal(crypto.PublicKey) bool }
			if public, ok := tt.public.(key); !ok || !public.Equal(c.PrivateKey.Public()) {
				t.Error("another key than the declared one")
			}
		})
	}
}

func TestPrivateKeyRefused(t *testing.T) {
	ed := pkcs8(t, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	legacy := string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: []byte(canary),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"},
	}))
	tests := []struct{ name, text, why string }{
		{"missing", "", "is missing"},
		{"not PEM", "c4n4ry", "is not PEM"},
		{"one line, its breaks lost", strings.ReplaceAll(ed, "\n", ""), "is not PEM"},
		{"damaged", pemBlock("PRIVATE KEY", []byte(canary)), "is damaged"},
		{"cut off", ed[:len(ed)-10], "is not PEM"},
		{"encrypted, PKCS#8", pemBlock("ENCRYPTED PRIVATE KEY", []byte(canary)), "encrypted"},
		{"encrypted, PKCS#1", legacy, "encrypted"},
		{"RSA 1024", pkcs8(t, rsaKey(t, 1024)), "RSA key of 1024 bits"},
		{"P-192, SEC 1", pemBlock("EC PRIVATE KEY", p192(t)), "a curve other than"},
		{"P-224", pkcs8(t, ecKey(t, elliptic.P224())), "a curve other than"},
		{"P-521", sec1(t, ecKey(t, elliptic.P521())), "a curve other than"},
		{"X25519, which cannot sign", pkcs8(t, x25519), "not a supported signing key"},
		{"certificate", pemBlock("CERTIFICATE", []byte(canary)), "is a certificate"},
		{"certificate after the key", ed + pemBlock("CERTIFICATE", []byte(canary)), "more than one PEM block"},
		{"public key", pemBlock("PUBLIC KEY", []byte(canary)), "public key"},
		{"OpenSSH", pemBlock("OPENSSH PRIVATE KEY", []byte(canary)), "OpenSSH"},
		{"another kind of block", pemBlock("PKCS7", []byte(canary)), "another type"},
	}
	for _, tt := range tests {
		t.Run("BI-65 "+tt.name, func(t *testing.T) { refused(t, jwtClient(t, tt.text), "private_key", tt.why) })
	}
}

func TestPrivateKeyStandsAlone(t *testing.T) {
	key := jwtClient(t, pkcs8(t, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
	if _, err := parse(key); err != nil {
		t.Errorf("without a key id: %v", err)
	}
	t.Run("a secret beside it is accepted and not used", func(t *testing.T) {
		if c, err := parse(with(t, key, "client_secret", `"c4n4ry"`)); err != nil || !c.ClientSecret.IsZero() {
			t.Errorf("secret kept: %v, %v", !c.ClientSecret.IsZero(), err)
		}
	})
	t.Run("BI-46 a key with client_auth none", func(t *testing.T) {
		refused(t, with(t, key, "client_auth", `"none"`), "private_key", "private_key_jwt and with grant_type jwt_bearer only")
	})
	t.Run("BI-61 an empty key id", func(t *testing.T) {
		refused(t, with(t, key, "key_id", `""`), "key_id", "is empty")
	})
}

// p192 is a key on a curve that crypto/x509 does not know (RFC 5915).
func p192(t *testing.T) []byte {
	t.Helper()
	der, err := asn1.Marshal(struct {
		Version    int
		PrivateKey []byte
		Curve      asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	}{1, make([]byte, 24), asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}
