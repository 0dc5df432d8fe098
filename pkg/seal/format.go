package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// A sealed text is: format (1 byte), length of the key id (1 byte), key id,
// nonce (12 bytes), ciphertext, tag (16 bytes).
const (
	format    = 1
	nonceSize = 12
	tagSize   = 16
	keySize   = 32
)

// derivation separates these keys from any others made of the same text.
const derivation = "tokenvend seal 1\x00"

// header is what stands before the ciphertext; all of it is authenticated.
type header struct {
	keyID string
	nonce [nonceSize]byte
}

func (h header) size() int { return 2 + len(h.keyID) + nonceSize }

func (h header) append(out []byte) []byte {
	out = append(out, format, byte(len(h.keyID))) //nolint:gosec // at most maxKeyID
	out = append(out, h.keyID...)
	return append(out, h.nonce[:]...)
}

// parseHeader splits sealed into its header and the ciphertext with its tag.
func parseHeader(sealed []byte) (head header, body []byte, err error) {
	switch {
	case len(sealed) < 2:
		return header{}, nil, fmt.Errorf("%w: it is too short", ErrCorrupt)
	case sealed[0] != format:
		return header{}, nil, fmt.Errorf("%w: it has an unknown format", ErrCorrupt)
	}
	rest := sealed[2:]
	idSize := int(sealed[1])
	if len(rest) < idSize+nonceSize+tagSize {
		return header{}, nil, fmt.Errorf("%w: it is too short", ErrCorrupt)
	}
	head.keyID = string(rest[:idSize])
	if !isKeyID(head.keyID) {
		return header{}, nil, fmt.Errorf("%w: it names no key", ErrCorrupt)
	}
	copy(head.nonce[:], rest[idSize:])
	return head, rest[idSize+nonceSize:], nil
}

// KeyID returns the name of the key that sealed the text, which travels with it
// in the clear, and whether the text looks like a sealed one at all. It proves
// nothing: only [Sealer.Open] does.
func KeyID(sealed []byte) (id string, ok bool) {
	head, _, err := parseHeader(sealed)
	return head.keyID, err == nil
}

// encode writes the parts of an identity so that no other parts read the same:
// each preceded by its length.
func encode(ad []string) []byte {
	size := 0
	for _, part := range ad {
		size += 8 + len(part)
	}
	out := make([]byte, 0, size)
	for _, part := range ad {
		out = binary.BigEndian.AppendUint64(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

// authenticated is the associated data of the cipher: the header as it is
// written, whose length its own second byte fixes, and the identity.
func authenticated(head, identity []byte) []byte {
	return slices.Concat(head, identity)
}

// itemKey derives the cipher for one identity (RFC 5869, the expand step).
func itemKey(key redact.Secret, identity []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Expand(sha256.New, []byte(key.Reveal()), derivation+string(identity), keySize)
	if err != nil {
		return nil, fmt.Errorf("derive an item's key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("derive an item's key: %w", err)
	}
	return cipher.NewGCM(block)
}
