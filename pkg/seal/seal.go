// Package seal encrypts what is stored: AES-256-GCM under a keyset of several
// named keys, one of them primary.
//
// A sealed text opens only with the identity it was sealed for (its associated
// data: which item, which attribute, which generation), so text that was moved,
// swapped or rolled back to another identity is corrupt, not somebody else's
// secret. Each identity has a key of its own, derived from the named key, so
// that no key sees enough nonces for two random ones to meet. The name of the
// key travels with the text: a new key is added, made primary when every
// reader has it, and what the old one sealed still opens until it is rewritten.
//
// Damaged text and a missing key are told apart with care. Damage is
// ErrCorrupt: the text will never open, and a caller may treat it as missing. A
// key that cannot be had is ErrUnavailable: the text may be the only copy of a
// living refresh token, and nothing may be forgotten or overwritten over it.
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

// The kinds of failure; test with errors.Is.
var (
	// ErrCorrupt: the text is damaged, or was sealed for something else.
	ErrCorrupt = errors.New("sealed text corrupt")
	// ErrUnavailable: the keyset cannot be had, is not usable, or lacks the key
	// that sealed the text. A later try may succeed.
	ErrUnavailable = errors.New("sealing keyset unavailable")
)

// Config is what a Sealer is made of.
type Config struct {
	// Keyset fetches the keyset's text; required. It is called on first need,
	// again after a failure, and when a text names a key not known yet. Its
	// errors are shown, so they must hold no value.
	Keyset func(ctx context.Context) (redact.Secret, error)
	// Rand is the source of nonces; nil means crypto/rand.
	Rand io.Reader
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Sealer seals and opens. It is safe for concurrent use.
type Sealer struct {
	rand io.Reader
	keys *keyring
}

// New returns a Sealer. It fetches nothing yet.
func New(cfg Config) *Sealer {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Sealer{rand: cfg.Rand, keys: newKeyring(cfg.Keyset, cfg.Now)}
}

// Prefetch fetches the keyset unless it is at hand, so that the first caller
// does not wait for it. The error is ErrUnavailable; the next use tries again.
func (s *Sealer) Prefetch(ctx context.Context) error {
	_, err := s.keys.current(ctx)
	return err
}

// Seal encrypts plaintext under the primary key, bound to ad, the identity of
// what it belongs to. The parts of ad are kept apart: ("a", "bc") is another
// identity than ("ab", "c"). The error is ErrUnavailable.
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

// Open is the inverse of Seal. It fails with ErrCorrupt when sealed is damaged
// or belongs to another identity, and with ErrUnavailable when the key that it
// names cannot be had.
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
		return nil, fmt.Errorf("%w: it was altered, or sealed for another item or with another key of that name", ErrCorrupt)
	}
	return plaintext, nil
}
