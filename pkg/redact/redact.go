// Package redact holds text that must never be printed: client secrets, access
// tokens, refresh tokens, private keys.
//
// A [Secret] shows as [REDACTED] under every formatting verb, in every encoder
// of the standard library and in log/slog. The only way to its text is
// [Secret.Reveal], so that a reader finds each place where a secret leaves the
// type by searching for one word.
package redact

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

const mask = "[REDACTED]"

// Secret is text that redacts itself. The zero value is the empty secret. Two
// are equal by == when their texts are.
//
// The text stands behind a pointer, because the methods below are not always
// asked: fmt calls none on an unexported field of somebody's struct, nor for
// the verb %p. It then prints an address.
type Secret struct{ text unique.Handle[string] }

// New wraps text.
func New(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: unique.Make(text)}
}

// Reveal returns the text. Every call is a place where a secret leaves its
// wrapping: towards a provider, a caller, or the sealer.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// IsZero reports whether there is no text at all.
func (s Secret) IsZero() bool { return s == Secret{} }

// String returns the mask.
func (Secret) String() string { return mask }

// GoString returns the mask.
func (Secret) GoString() string { return mask }

// Format writes the mask whatever the verb or its flags.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalText returns the mask.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON returns the mask as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// LogValue returns the mask.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }
