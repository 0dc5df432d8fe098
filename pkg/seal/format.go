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

// derivation separates these keys from other keys derived from the same text.
const derivation = "tokenvend seal 1\x00"

// header precedes the ciphertext. It is authenticated.
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
		return header{}, nil, fmt.Errorf("%w: its key id is invalid", ErrCorrupt)
	}
	copy(head.nonce[:], rest[idSize:])
	return head, rest[idSize+nonceSize:], nil
}

// KeyID returns the id of the key that sealed the text; it is stored unencrypted in
// the text. ok reports whether the text has the format of a sealed text, which
// proves nothing: only [Sealer.Open] does.
func KeyID(sealed []byte) (id string, ok bool) {
	head, _, err := parseHeader(sealed)
	return head.keyID, err == nil
}

// encode encodes the parts of an identity unambiguously: each is preceded by its
// length.
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

// authenticated is the associated data of the cipher: the header, whose length is
// determined by its second byte, and the identity.
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
