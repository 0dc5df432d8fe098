// Package cursor wraps a listing's position into the opaque text that callers
// pass back for the next page.
//
// The checksum is no signature: it turns a truncated, mistyped or foreign
// cursor into a clear error before anything is asked. A position needs no
// protection, since whoever may list may list everything.
package cursor

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

const checksumSize = 8

// Encode wraps a position within the listing that scope names.
func Encode(scope, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(checksum(scope, position), position...))
}

// Decode returns the position that [Encode] wrapped for the same scope, and
// clientsecret.ErrBadCursor for anything else. Comparing with what Encode would
// write also refuses the line breaks that base64 readers skip.
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
