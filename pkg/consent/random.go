package consent

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"io"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/digest"
)

// idBytes is the randomness of a session id, a state and a cookie: 160 bits,
// where RFC 6749 §10.10 requires 128.
const idBytes = 20

// idAlphabet needs no escape in a path, a query or a cookie.
const idAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

var idEncoding = base32.NewEncoding(idAlphabet).WithPadding(base32.NoPadding)

// idLength is the length of an encoded id; 20 bytes need no padding.
const idLength = idBytes * 8 / 5

var errRandom = errors.New("the source of randomness failed")

// newID returns a random id.
func newID(r io.Reader) (string, error) {
	var b [idBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", errRandom
	}
	return idEncoding.EncodeToString(b[:]), nil
}

func isID(s string) bool { return len(s) == idLength && strings.Trim(s, idAlphabet) == "" }

// sessionKey is the store's key of a session: the hash of its id. Ids and states
// have too much randomness to be guessed from their hashes.
func sessionKey(id string) string { return digest.Full(id) }

// matches reports in constant time whether stored is the hash of text.
func matches(stored, text string) bool {
	return subtle.ConstantTimeCompare([]byte(stored), []byte(digest.Full(text))) == 1
}

// newState returns a state for the session with this key. The key in the state
// finds the session; it is not an id and opens nothing.
func newState(key string, r io.Reader) (string, error) {
	id, err := newID(r)
	return key + "." + id, err
}

// keyOfState returns the session key in a state.
func keyOfState(state string) (string, bool) {
	key, id, _ := strings.Cut(state, ".")
	return key, len(key) == 2*sha256.Size && strings.Trim(key, "0123456789abcdef") == "" && isID(id)
}

// codeAlphabet omits characters that people confuse: I and 1, O and 0.
const codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

var codeEncoding = base32.NewEncoding(codeAlphabet).WithPadding(base32.NoPadding)

// newConfirmationCode returns a code of 40 bits, XXXX-XXXX. Three guesses are
// allowed.
func newConfirmationCode(r io.Reader) (string, error) {
	var b [5]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", errRandom
	}
	code := codeEncoding.EncodeToString(b[:])
	return code[:4] + "-" + code[4:], nil
}

// sameConfirmationCode compares in constant time, and ignores case, hyphens and
// spaces.
func sameConfirmationCode(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(normalizeCode(a)), []byte(normalizeCode(b))) == 1
}

func normalizeCode(code string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code)))
}
