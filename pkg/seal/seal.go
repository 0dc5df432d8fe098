// Package seal encrypts stored tokens and secrets with AES-256-GCM. Its keyset has
// several named keys, one of them primary.
//
// A sealed text opens only with the identity for which it was sealed: its
// associated data, which names the item, the attribute and the version. A text
// that was moved, swapped or rolled back to another identity is therefore corrupt,
// and never exposes another item's secret. Each identity has a key of its own,
// derived from the named key, so that no key is used with enough nonces for two
// random ones to collide. The id of the named key is stored with the text. For a
// rotation a new key is added, and made primary when every reader has it; texts
// sealed with the old key still open until they are rewritten.
//
// Damaged text and a missing key are different errors. Damage is ErrCorrupt: the
// text will never open, and a caller may treat it as missing. A missing key is
// ErrUnavailable: the text may be the only copy of a valid refresh token, and must
// not be discarded or overwritten.
package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// The kinds of errors; test with errors.Is.
var (
	// ErrCorrupt: the text is damaged, or was sealed for another identity.
	ErrCorrupt = errors.New("sealed text corrupt")
	// ErrUnavailable: the keyset is unavailable or invalid, or lacks the key that
	// sealed the text. A later attempt may succeed.
	ErrUnavailable = errors.New("sealing keyset unavailable")
)

// Config configures a [Sealer].
type Config struct {
	// Keyset fetches the text of the keyset. It is called on first use, again after a
	// failure, and when a text names an unknown key. Its errors are logged, so they
	// must contain no secret. Required.
	Keyset func(ctx context.Context) (redact.Secret, error)
	// Rand is the source of nonces; nil means crypto/rand.
	Rand io.Reader
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Sealer seals and opens texts. It is safe for concurrent use.
type Sealer struct {
	rand io.Reader
	keys *keyring
}

// New returns a Sealer. It does not fetch the keyset.
func New(cfg Config) *Sealer {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Sealer{rand: cfg.Rand, keys: newKeyring(cfg.Keyset, cfg.Now)}
}

// Prefetch fetches the keyset if it is not held yet, so that the first caller does
// not wait for it. The error is ErrUnavailable; the next use tries again.
func (s *Sealer) Prefetch(ctx context.Context) error {
	_, err := s.keys.current(ctx)
	return err
}

// Seal encrypts plaintext with the primary key and binds it to ad, its identity.
// The parts of ad are separate: ("a", "bc") and ("ab", "c") are different
// identities. The error is ErrUnavailable.
func (s *Sealer) Seal(ctx context.Context, plaintext []byte, ad ...string) ([]byte, error) {
	keys, err := s.keys.current(ctx)
	if err != nil {
		return nil, err
	}
	head := header{keyID: keys.primary}
	if _, err := io.ReadFull(s.rand, head.nonce[:]); err != nil {
		return nil, fmt.Errorf("%w: no randomness for a nonce", ErrUnavailable)
	}
	identity := encode(ad)
	aead, err := itemKey(keys.byID[keys.primary], identity)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, head.size()+len(plaintext)+aead.Overhead())
	out = head.append(out)
	return aead.Seal(out, head.nonce[:], plaintext, authenticated(out, identity)), nil
}

// Open is the inverse of Seal. It fails with ErrCorrupt if sealed is damaged or
// belongs to another identity, and with ErrUnavailable if its key is unavailable.
func (s *Sealer) Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error) {
	head, body, err := parseHeader(sealed)
	if err != nil {
		return nil, err
	}
	key, err := s.keys.find(ctx, head.keyID)
	if err != nil {
		return nil, err
	}
	identity := encode(ad)
	aead, err := itemKey(key, identity)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, head.nonce[:], body, authenticated(sealed[:head.size()], identity))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed, or sealed for another item or with another key of the same id", ErrCorrupt)
	}
	return plaintext, nil
}
