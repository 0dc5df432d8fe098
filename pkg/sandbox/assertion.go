package sandbox

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"time"
)

// maxAssertionLife is how far ahead an assertion may expire: RFC 7523 §3 lets a
// server refuse one with an unreasonably long lifetime.
const maxAssertionLife = 5 * time.Minute

// clockSkew is how far a client's clock may run ahead.
const clockSkew = 30 * time.Second

// claims are those of a client's assertion (RFC 7523 §3). Audience is a string: an
// array, which the RFC allows, is refused, because an assertion must not be valid
// at two servers.
type claims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ID        string `json:"jti"`
	ExpiresAt int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
}

// joseHeader is the part of the header that is checked (RFC 7515 §4.1).
type joseHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
}

// readClaims parses a compact JWS without verifying it.
func readClaims(assertion string) (claims, error) {
	var c claims
	parts := strings.SplitN(assertion, ".", 4)
	if len(parts) != 3 {
		return c, errors.New("not a compact JWS")
	}
	return c, decodePart(parts[1], &c)
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// verifies reports whether the assertion is from c, for this server, and used for
// the first time. s.mu is held.
func (s *Sandbox) verifies(c *client, assertion string) bool {
	sent, err := readClaims(assertion)
	if err != nil || c.key == nil || !signed(assertion, c.key.Public(), c.keyID) {
		return false
	}
	issuer := s.issuerOf(c.server)
	audience := sent.Audience == issuer || sent.Audience == issuer+c.server.tokenPath
	return audience && sent.Issuer == c.id && sent.Subject == c.id && sent.isCurrent(s.clock()) && c.isFirstUse(sent, s.clock())
}

func (c claims) isCurrent(now time.Time) bool {
	ahead := now.Add(clockSkew).Unix()
	return c.ExpiresAt > now.Unix() && c.ExpiresAt <= now.Add(maxAssertionLife).Unix() &&
		c.IssuedAt <= ahead && c.NotBefore <= ahead
}

// isFirstUse stores the id of an assertion until it expires, and reports whether it
// was new (RFC 7523 §3, jti).
func (c *client) isFirstUse(sent claims, now time.Time) bool {
	for id, expiresAt := range c.seen {
		if expiresAt <= now.Unix() {
			delete(c.seen, id)
		}
	}
	if _, repeated := c.seen[sent.ID]; repeated || sent.ID == "" {
		return false
	}
	if c.seen == nil {
		c.seen = map[string]int64{}
	}
	c.seen[sent.ID] = sent.ExpiresAt
	return true
}

// algorithmOf is the algorithm of a type of key (RFC 7518 §3.1, RFC 8037 §3.1);
// empty for an unsupported key.
func algorithmOf(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= 2048 { // RFC 7518 §3.3
			return "RS256"
		}
	case *ecdsa.PublicKey:
		return map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384"}[key.Curve]
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}

// signed verifies the signature with the algorithm of the key, whatever the header
// names.
func signed(assertion string, key crypto.PublicKey, keyID string) bool {
	cut := strings.LastIndexByte(assertion, '.')
	signature, err := base64.RawURLEncoding.Strict().DecodeString(assertion[cut+1:])
	var header joseHeader
	first, _, _ := strings.Cut(assertion, ".")
	if err != nil || decodePart(first, &header) != nil || header.Critical != nil || header.KeyID != keyID {
		return false
	}
	return header.Algorithm == algorithmOf(key) && matches(key, []byte(assertion[:cut]), signature)
}

func matches(key crypto.PublicKey, input, signature []byte) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		return matchesCurve(key, input, signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, input, signature)
	}
	return false
}

// matchesCurve verifies a signature that consists of r and s, each as long as the
// order of the curve (RFC 7518 §3.4).
func matchesCurve(key *ecdsa.PublicKey, input, signature []byte) bool {
	digest, size := sha256.New(), 32
	if key.Curve == elliptic.P384() {
		digest, size = sha512.New384(), 48
	}
	if len(signature) != 2*size {
		return false
	}
	digest.Write(input)
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(key, digest.Sum(nil), r, s)
}
