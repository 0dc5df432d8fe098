package consent

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"errors"
)

// letter is what the public side writes and cannot read again.
type letter struct {
	Code         string `json:"code"`
	Confirmation string `json:"confirmation"`
}

// keepsake is what the signed side needs again.
type keepsake struct {
	// Verifier is empty where the connection goes without PKCE.
	Verifier string `json:"verifier,omitempty"`
	// Key opens the letter.
	Key []byte `json:"key"`
}

// The suite is the one of RFC 9180 that everybody has: DHKEM(X25519,
// HKDF-SHA256), HKDF-SHA256, AES-256-GCM. A session lives less than an hour.
func kem() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// letterInfo binds a letter to its session.
func letterInfo(key string) []byte { return []byte("tokenvend consent letter " + key) }

// newLetterKeys makes the key pair of one session.
func newLetterKeys() (public, private []byte, err error) {
	pair, err := kem().GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	private, err = pair.Bytes()
	return pair.PublicKey().Bytes(), private, err
}

// seal closes the letter towards the holder of the private key.
func (l letter) seal(public []byte, key string) ([]byte, error) {
	to, err := kem().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), letterInfo(key), text)
}

// openLetter opens a letter. The error shows nothing of it.
func openLetter(private []byte, key string, sealed []byte) (letter, error) {
	holder, err := kem().NewPrivateKey(private)
	if err != nil {
		return letter{}, errors.New("the session's key cannot be read")
	}
	text, err := hpke.Open(holder, hpke.HKDFSHA256(), hpke.AES256GCM(), letterInfo(key), sealed)
	if err != nil {
		return letter{}, errors.New("the answer does not open with the session's key")
	}
	var l letter
	if err := json.Unmarshal(text, &l); err != nil || l.Code == "" || l.Confirmation == "" {
		return letter{}, errors.New("the answer is not what the public side writes")
	}
	return l, nil
}
