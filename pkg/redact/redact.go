// Package redact is the type of text that must never be printed: client secrets,
// access tokens, refresh tokens, private keys.
//
// A [Secret] prints as [REDACTED] with every formatting verb, in every encoder of
// the standard library and in log/slog. [Secret.Reveal] is the only way to its
// text, so a search for that word finds each place where a secret leaves the type.
package redact

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

const mask = "[REDACTED]"

// Secret is text that redacts itself. The zero value is the empty secret. Two
// secrets are equal by == when their texts are.
//
// The text is behind a pointer because the methods below are not always called:
// fmt calls none for an unexported field of a struct, nor for the verb %p. It then
// prints an address.
type Secret struct{ text unique.Handle[string] }

// New wraps text.
func New(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: unique.Make(text)}
}

// Reveal returns the text. Each call is a place where a secret is exposed: to a
// provider, a caller, or the sealer.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// IsZero reports whether the text is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// String returns the mask.
func (Secret) String() string { return mask }

// GoString returns the mask.
func (Secret) GoString() string { return mask }

// Format writes the mask for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalText returns the mask.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON returns the mask as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// LogValue returns the mask.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }
