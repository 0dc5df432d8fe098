package sandbox

import (
	"cmp"
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
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxAssertionLife is how far ahead an assertion may expire: RFC 7523 §3 lets a
// server refuse one with an unreasonably long lifetime.
const maxAssertionLife = 5 * time.Minute

// maxGrantLife is the same for an assertion that is a grant.
const maxGrantLife = time.Hour + clockSkew

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
	// Scope is a string, or a list.
	Scope any `json:"scope"`
}

// joseHeader is the part of the header that is checked (RFC 7515 §4.1).
type joseHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
	// Thumbprint is x5t#S256 (RFC 7515 §4.1.8).
	Thumbprint string `json:"x5t#S256"`
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
	sent, ok := s.claimsOf(c, assertion, maxAssertionLife)
	return ok && sent.Issuer == c.id && sent.Subject == c.id && c.isFirstUse(sent, s.clock())
}

// claimsOf are the claims of an assertion that c has signed, for this server and for
// no longer than life. s.mu is held.
func (s *Sandbox) claimsOf(c *client, assertion string, life time.Duration) (claims, bool) {
	sent, err := readClaims(assertion)
	if err != nil || c.key == nil || !c.signed(assertion) {
		return claims{}, false
	}
	issuer := s.issuerOf(c.server)
	audiences := []string{issuer, issuer + c.server.tokenPath}
	if c.server.entry != nil {
		audiences = []string{c.server.token.below(issuer), c.server.refreshAt.below(issuer)}
		if stated := c.assertionMember("audience"); stated != "" {
			audiences = []string{stated}
		} else if c.server.entry.Issuer != "" {
			audiences = append(audiences, issuer)
		}
	}
	return sent, slices.Contains(audiences, sent.Audience) && sent.isCurrent(s.clock(), life)
}

// assertionMember is a text in the member assertion of an [EntryClient].
func (c *client) assertionMember(name string) string {
	assertion, _ := c.members["assertion"].(map[string]any)
	text, _ := assertion[name].(string)
	return text
}

// redeemAssertion exchanges an assertion for a token on behalf of its subject (RFC
// 7523 §2.1). Its scope is in the request, or among the claims. s.mu is held.
func (s *Sandbox) redeemAssertion(c *client, form url.Values) (issue, *refusal) {
	sent, ok := s.claimsOf(c, form.Get("assertion"), maxGrantLife)
	if !ok || sent.Issuer != cmp.Or(c.assertionMember("issuer"), c.id) || !c.isFirstUse(sent, s.clock()) {
		return issue{}, unusable("assertion")
	}
	scope, bad := c.server.scope(c, cmp.Or(form.Get("scope"), sent.scope()))
	if bad != nil {
		return issue{}, bad
	}
	return s.mint(c, issued{scope: scope, user: sent.Subject}), nil
}

func (c claims) scope() string {
	list, isList := c.Scope.([]any)
	if !isList {
		text, _ := c.Scope.(string)
		return text
	}
	return strings.TrimSpace(fmt.Sprintln(list...))
}

func (c claims) isCurrent(now time.Time, life time.Duration) bool {
	ahead := now.Add(clockSkew).Unix()
	return c.ExpiresAt > now.Unix() && c.ExpiresAt <= now.Add(life).Unix() &&
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

// signed verifies the signature with the algorithm of the client's key, whatever the
// header names, and that the header names the key as registered.
func (c *client) signed(assertion string) bool {
	cut := strings.LastIndexByte(assertion, '.')
	signature, err := base64.RawURLEncoding.Strict().DecodeString(assertion[cut+1:])
	var header joseHeader
	first, _, _ := strings.Cut(assertion, ".")
	if err != nil || decodePart(first, &header) != nil || header.Critical != nil || header.KeyID != c.keyID {
		return false
	}
	algorithm, _ := c.members["signing_algorithm"].(string)
	algorithm = cmp.Or(algorithm, algorithmOf(c.key.Public()))
	if header.Algorithm != algorithm || c.certificate != nil && header.Thumbprint != thumbprint(c.certificate.Raw) {
		return false
	}
	return matches(c.key.Public(), algorithm, []byte(assertion[:cut]), signature)
}

// thumbprint is that of RFC 7515 §4.1.8.
func thumbprint(certificate []byte) string {
	digest := sha256.Sum256(certificate)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func matches(key crypto.PublicKey, algorithm string, input, signature []byte) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return matchesRSA(key, algorithm, input, signature)
	case *ecdsa.PublicKey:
		return matchesCurve(key, input, signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, input, signature)
	}
	return false
}

// matchesRSA verifies an algorithm of RFC 7518 §3.3 or §3.5.
func matchesRSA(key *rsa.PublicKey, algorithm string, input, signature []byte) bool {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	digest := hash.New()
	digest.Write(input)
	if strings.HasPrefix(algorithm, "PS") {
		return rsa.VerifyPSS(key, hash, digest.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	return rsa.VerifyPKCS1v15(key, hash, digest.Sum(nil), signature) == nil
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
