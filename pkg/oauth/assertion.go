package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // RS256, ES256
	_ "crypto/sha512" // ES384
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"time"
)

// assertionLife is how long an assertion is valid. It is short because anyone who
// reads one can use it.
const assertionLife = 60 * time.Second

// algorithm is a JWS signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
type algorithm struct {
	name string
	hash crypto.Hash // zero: the signer hashes
	// half is the size of r and of s in an ECDSA signature, in bytes; zero for the others.
	half int
}

// algorithmOf is determined by the key alone; it cannot be configured.
func algorithmOf(public crypto.PublicKey) (algorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return algorithm{}, errors.New("the RSA key is shorter than 2048 bits; generate a longer one")
		}
		return algorithm{name: "RS256", hash: crypto.SHA256}, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return algorithm{name: "ES256", hash: crypto.SHA256, half: 32}, nil
		case elliptic.P384():
			return algorithm{name: "ES384", hash: crypto.SHA384, half: 48}, nil
		}
	case ed25519.PublicKey:
		return algorithm{name: "EdDSA"}, nil
	}
	return algorithm{}, errors.New("the key type is not supported; use RSA, P-256, P-384 or Ed25519")
}

// assertion makes the JWT that authenticates the client (RFC 7523 §3). The
// audience is one string: with an array, one server could use it at another.
func (c *Client) assertion(e endpoint) (string, error) {
	if e.auth.PrivateKey == nil {
		return "", errors.New("no private key")
	}
	alg, err := algorithmOf(e.auth.PrivateKey.Public())
	if err != nil {
		return "", err
	}
	claims, err := c.claims(e)
	if err != nil {
		return "", err
	}
	header := struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid,omitempty"`
	}{alg.name, "JWT", e.auth.KeyID}
	text := segment(header) + "." + segment(claims)
	signature, err := alg.sign(c.rand, e.auth.PrivateKey, []byte(text))
	if err != nil {
		return "", errors.New("the private key failed to sign")
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// claims are those of RFC 7523 §3. The id is new for each request, repeated ones
// included, because servers accept an id once.
type claims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ID        string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
}

func (c *Client) claims(e endpoint) (claims, error) {
	var id [16]byte
	if _, err := io.ReadFull(c.rand, id[:]); err != nil {
		return claims{}, errors.New("no randomness for the id of an assertion")
	}
	audience := e.auth.Audience
	if audience == "" {
		audience = e.url
	}
	now := c.instant()
	return claims{
		Issuer: e.auth.ClientID, Subject: e.auth.ClientID, Audience: audience,
		ID:       base64.RawURLEncoding.EncodeToString(id[:]),
		IssuedAt: now.Unix(), ExpiresAt: now.Add(assertionLife).Unix(),
	}, nil
}

// segment encodes a struct of strings and numbers; that cannot fail.
func segment(value any) string {
	text, _ := json.Marshal(value)
	return base64.RawURLEncoding.EncodeToString(text)
}

func (a algorithm) sign(random io.Reader, key crypto.Signer, text []byte) ([]byte, error) {
	if a.hash != 0 {
		digest := a.hash.New()
		digest.Write(text)
		text = digest.Sum(nil)
	}
	signature, err := key.Sign(random, text, a.hash)
	if err != nil || a.half == 0 {
		return signature, err
	}
	return a.concatenate(signature)
}

// concatenate converts an ECDSA signature from ASN.1 to the form of JWS: r and s,
// each padded to the size of the curve (RFC 7518 §3.4).
func (a algorithm) concatenate(der []byte) ([]byte, error) {
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return nil, err
	}
	if pair.R.BitLen() > a.half*8 || pair.S.BitLen() > a.half*8 {
		return nil, errors.New("the signature is too long for its curve")
	}
	out := make([]byte, 2*a.half)
	pair.R.FillBytes(out[:a.half])
	pair.S.FillBytes(out[a.half:])
	return out, nil
}
