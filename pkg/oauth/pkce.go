package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// verifierSize is the entropy of a code verifier in bytes; written in base64url
// it has 43 characters (RFC 7636 §4.1).
const verifierSize = 32

// NewVerifier makes a code verifier from a source of secure randomness.
func NewVerifier(rand io.Reader) (redact.Secret, error) {
	var random [verifierSize]byte
	if _, err := io.ReadFull(rand, random[:]); err != nil {
		return redact.Secret{}, fmt.Errorf("make a code verifier: %w", err)
	}
	return redact.New(base64.RawURLEncoding.EncodeToString(random[:])), nil
}

// Challenge is the code challenge of a verifier by the method S256. It is not a
// secret. The method "plain" is not supported, because it exposes the verifier in
// the authorization request (RFC 7636 §4.2, RFC 9700 §2.1.1).
func Challenge(verifier redact.Secret) string {
	digest := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}
