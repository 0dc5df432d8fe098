// Package digest names secrets and long texts by a prefix of their SHA-256 in
// lower-case hexadecimal, where the text itself must not or need not appear.
//
// Digests are stored: in token items, in session items and in the renewer's
// index. Another length or separator would make every stored one a mismatch.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Short returns 16 digits (64 bits). That is enough to tell apart what has one
// key or one connection in common, and not enough against a deliberate
// collision. Several parts are separated by a NUL byte, which none may contain.
func Short(parts ...string) string { return Full(parts...)[:16] }

// Long returns 32 digits (128 bits) of the same hash.
func Long(parts ...string) string { return Full(parts...)[:32] }

// Full returns all 64 digits of the same hash.
func Full(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
