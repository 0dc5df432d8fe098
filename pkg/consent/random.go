package consent

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"io"
	"strings"
)

// wordBytes is the randomness of an id, a state's own part and a cookie: 160
// bits, where RFC 6749 §10.10 asks for 128.
const wordBytes = 20

// plain is an alphabet that needs no escape in a path, a query or a cookie.
const plain = "abcdefghijklmnopqrstuvwxyz234567"

var wordEncoding = base32.NewEncoding(plain).WithPadding(base32.NoPadding)

// wordLength is the length of a word; 20 bytes fill it without a rest.
const wordLength = wordBytes * 8 / 5

var errRandom = errors.New("no randomness to draw from")

// drawWord returns a random word.
func drawWord(r io.Reader) (string, error) {
	var b [wordBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", errRandom
	}
	return wordEncoding.EncodeToString(b[:]), nil
}

func isWord(s string) bool { return len(s) == wordLength && strings.Trim(s, plain) == "" }

// digest is what is stored of a word, and of a whole state. Words have far too
// much randomness for their hashes to be guessed from.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// isDigestOf compares in constant time.
func isDigestOf(stored, text string) bool {
	return subtle.ConstantTimeCompare([]byte(stored), []byte(digest(text))) == 1
}

// drawState returns a state of the session of that key: the key finds the
// record, and opens nothing.
func drawState(key string, r io.Reader) (string, error) {
	word, err := drawWord(r)
	return key + "." + word, err
}

// keyOfState returns the session's key that a state names.
func keyOfState(state string) (string, bool) {
	key, word, _ := strings.Cut(state, ".")
	return key, len(key) == 2*sha256.Size && strings.Trim(key, "0123456789abcdef") == "" && isWord(word)
}

// legible leaves out what is mistaken for something else when it is read aloud
// or copied by hand: I and 1, O and 0.
const legible = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

var legibleEncoding = base32.NewEncoding(legible).WithPadding(base32.NoPadding)

// drawConfirmation returns a confirmation code of 40 bits, XXXX-XXXX. Three
// guesses are all that anybody has.
func drawConfirmation(r io.Reader) (string, error) {
	var b [5]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", errRandom
	}
	code := legibleEncoding.EncodeToString(b[:])
	return code[:4] + "-" + code[4:], nil
}

// sameConfirmation compares in constant time, and as people type: in either
// case, with or without the hyphen, with spaces around.
func sameConfirmation(told, typed string) bool {
	return subtle.ConstantTimeCompare([]byte(bare(told)), []byte(bare(typed))) == 1
}

func bare(code string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code)))
}
