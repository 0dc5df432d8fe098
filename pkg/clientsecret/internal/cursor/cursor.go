// Package cursor encodes the position of a listing as the opaque text with which
// callers request the next page.
//
// The checksum is not a signature. It turns a truncated, mistyped or foreign cursor
// into a clear error before any call. A position needs no protection: a caller that
// may list may list everything.
package cursor

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

const checksumSize = 8

// Encode encodes a position in the listing that scope names.
func Encode(scope, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(checksum(scope, position), position...))
}

// Decode returns the position that [Encode] encoded for the same scope, and
// clientsecret.ErrBadCursor for any other text. Comparing with the result of Encode
// also refuses the line breaks that base64 decoders skip.
func Decode(scope, text string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < checksumSize {
		return "", clientsecret.ErrBadCursor
	}
	position := string(raw[checksumSize:])
	if Encode(scope, position) != text {
		return "", clientsecret.ErrBadCursor
	}
	return position, nil
}

func checksum(scope, position string) []byte {
	sum := sha256.Sum256([]byte(scope + "\x00" + position))
	return sum[:checksumSize]
}
