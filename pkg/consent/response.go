package consent

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/extra"
)

// sealedResponse is what the front channel stores of an authorization response,
// encrypted so that it cannot decrypt it itself.
type sealedResponse struct {
	Code             string       `json:"code"`
	ConfirmationCode string       `json:"confirmation"`
	Extra            extra.Values `json:"extra,omitempty"`
}

// sessionSecrets are the secrets of the back channel, encrypted under its keyset.
type sessionSecrets struct {
	// Verifier is the PKCE verifier; empty if the connection does not use PKCE.
	Verifier string `json:"verifier,omitempty"`
	// PrivateKey decrypts the sealedResponse.
	PrivateKey []byte `json:"key"`
}

// The HPKE suite (RFC 9180) is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
// AES-256-GCM. A session lives less than an hour, so the suite may change.
func kem() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// responseInfo binds a response to its session. Stored responses depend on the
// text.
func responseInfo(key string) []byte { return []byte("tokenvend consent letter " + key) }

// newResponseKeys creates the key pair of a session.
func newResponseKeys() (public, private []byte, err error) {
	pair, err := kem().GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	private, err = pair.Bytes()
	return pair.PublicKey().Bytes(), private, err
}

// seal encrypts the response to the holder of the private key.
func (r sealedResponse) seal(publicKey []byte, key string) ([]byte, error) {
	recipient, err := kem().NewPublicKey(publicKey)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(recipient, hpke.HKDFSHA256(), hpke.AES256GCM(), responseInfo(key), text)
}

// openResponse decrypts a response. The errors contain nothing of it.
func openResponse(privateKey []byte, key string, sealed []byte) (sealedResponse, error) {
	recipient, err := kem().NewPrivateKey(privateKey)
	if err != nil {
		return sealedResponse{}, errors.New("the session's private key is invalid")
	}
	text, err := hpke.Open(recipient, hpke.HKDFSHA256(), hpke.AES256GCM(), responseInfo(key), sealed)
	if err != nil {
		return sealedResponse{}, errors.New("the response does not decrypt with the session's key")
	}
	var r sealedResponse
	if err := json.Unmarshal(text, &r); err != nil || r.Code == "" || r.ConfirmationCode == "" {
		return sealedResponse{}, errors.New("the response is not one that the front channel writes")
	}
	return r, nil
}
