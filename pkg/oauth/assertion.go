package oauth

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is defined with SHA-1
	"crypto/sha256"
	_ "crypto/sha512" // RS384, RS512, PS384, PS512, ES384
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"time"
)

// assertionLife is how long an assertion is valid, if nothing else is declared. It is short because anyone who
// reads one can use it.
const assertionLife = 60 * time.Second

// algorithm is a JWS signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
type algorithm struct {
	name string
	hash crypto.Hash // zero: the signer hashes
	// pss: an RSA signature with the padding of RSASSA-PSS.
	pss bool
	// half is the size of r and of s in an ECDSA signature, in bytes; zero for the others.
	half int
}

// rsaAlgorithms are those for an RSA key.
var rsaAlgorithms = []algorithm{
	{name: "RS256", hash: crypto.SHA256}, {name: "RS384", hash: crypto.SHA384}, {name: "RS512", hash: crypto.SHA512},
	{name: "PS256", hash: crypto.SHA256, pss: true}, {name: "PS384", hash: crypto.SHA384, pss: true}, {name: "PS512", hash: crypto.SHA512, pss: true},
}

// algorithmOf is determined by the key; only for an RSA key there is a choice, of
// which the empty one is RS256.
func algorithmOf(public crypto.PublicKey, chosen string) (algorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return algorithm{}, errors.New("the RSA key is shorter than 2048 bits; generate a longer one")
		}
		for _, one := range rsaAlgorithms {
			if one.name == cmp.Or(chosen, rsaAlgorithms[0].name) {
				return one, nil
			}
		}
		return algorithm{}, errors.New("the signing algorithm is not one for RSA keys")
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

// assertion makes the JWT that authenticates the client, or that is the grant
// (RFC 7523 §3).
func (c *Client) assertion(e endpoint, a Assertion) (string, error) {
	if e.auth.PrivateKey == nil {
		return "", errors.New("no private key")
	}
	alg, err := algorithmOf(e.auth.PrivateKey.Public(), e.auth.Algorithm)
	if err != nil {
		return "", err
	}
	claims, err := c.claims(e, a)
	if err != nil {
		return "", err
	}
	text := segment(headerOf(alg, e.auth)) + "." + segment(claims)
	signature, err := alg.sign(c.rand, e.auth.PrivateKey, []byte(text))
	if err != nil {
		return "", errors.New("the private key failed to sign")
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// joseHeader names the key in the ways that servers look for it: by id, or by a
// digest of its certificate (RFC 7515 §4.1.7, §4.1.8).
type joseHeader struct {
	Algorithm   string `json:"alg"`
	Type        string `json:"typ"`
	KeyID       string `json:"kid,omitempty"`
	Thumbprint  string `json:"x5t,omitempty"`
	Thumbprint2 string `json:"x5t#S256,omitempty"`
}

func headerOf(alg algorithm, auth Authentication) joseHeader {
	header := joseHeader{Algorithm: alg.name, Type: "JWT", KeyID: auth.KeyID}
	if auth.Certificate != nil {
		first, second := sha1.Sum(auth.Certificate.Raw), sha256.Sum256(auth.Certificate.Raw) //nolint:gosec // x5t is defined with SHA-1
		header.Thumbprint = base64.RawURLEncoding.EncodeToString(first[:])
		header.Thumbprint2 = base64.RawURLEncoding.EncodeToString(second[:])
	}
	return header
}

// claims are those of RFC 7523 §3, over the declared ones. The id is new for each
// request, repeated ones included, because servers accept an id once.
func (c *Client) claims(e endpoint, a Assertion) (map[string]any, error) {
	var id [16]byte
	if _, err := io.ReadFull(c.rand, id[:]); err != nil {
		return nil, errors.New("no randomness for the id of an assertion")
	}
	now := c.instant()
	claims := maps.Clone(a.Claims)
	if claims == nil {
		claims = map[string]any{}
	}
	claims["iss"], claims["sub"] = cmp.Or(a.Issuer, e.auth.ClientID), cmp.Or(a.Subject, e.auth.ClientID)
	claims["jti"] = base64.RawURLEncoding.EncodeToString(id[:])
	claims["iat"], claims["exp"] = now.Unix(), now.Add(cmp.Or(a.Lifetime, assertionLife)).Unix()
	switch {
	case len(a.Audience) == 0:
		claims["aud"] = e.url
	case len(a.Audience) == 1 && !a.AudienceArray:
		claims["aud"] = a.Audience[0]
	default:
		claims["aud"] = a.Audience
	}
	return claims, nil
}

// segment encodes what JSON can express; that cannot fail.
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
	var options crypto.SignerOpts = a.hash
	if a.pss {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
	}
	signature, err := key.Sign(random, text, options)
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
