package connection

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const minRSABits = 2048

var (
	errNotPEM    = errors.New(`is not PEM; paste the complete block from -----BEGIN to -----END, each line break as \n`)
	errEncrypted = errors.New("is encrypted with a passphrase; decrypt it first (openssl pkey): the secret protects it")
	errCurve     = errors.New("is on a curve other than P-256 and P-384; generate a key on one of them")
	errInKMS     = errors.New("is the ARN of a key in KMS, which is not in this release; paste the key as PEM")
	errKeyKind   = errors.New("is not a supported signing key; use RSA of 2048 bits or more, P-256, P-384 or Ed25519")
)

// parsePrivateKey reads one unencrypted PEM block (PKCS#8, PKCS#1 or SEC 1).
// Its error continues a sentence that names the member, and contains nothing of
// the key.
func parsePrivateKey(text string) (crypto.Signer, error) {
	if inKMS(text) {
		return nil, errInKMS
	}
	block, err := keyBlock(text)
	if err != nil {
		return nil, err
	}
	key, err := parseBlock(block)
	if err != nil {
		return nil, err
	}
	return checkKey(key)
}

// keyBlock returns the only block of text. It ignores the parameters that openssl
// ecparam writes before a key: the key names its curve itself.
func keyBlock(text string) (*pem.Block, error) {
	block, rest := pem.Decode([]byte(text))
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, errNotPEM
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("contains more than one PEM block; keep only the private key")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" || block.Headers["Proc-Type"] != "":
		return nil, errEncrypted
	}
	return block, nil
}

func parseBlock(block *pem.Block) (key any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "CERTIFICATE":
		return nil, errors.New("is a certificate; use its private key")
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, errors.New("is a public key; use the private key")
	case "OPENSSH PRIVATE KEY":
		return nil, errors.New("is in the OpenSSH format; convert it to PKCS#8")
	default:
		return nil, errors.New("is a PEM block of another type; use a private key (PKCS#8, PKCS#1 or SEC 1)")
	}
	if err == nil {
		return key, nil
	}
	if strings.Contains(err.Error(), "elliptic curve") {
		return nil, errCurve
	}
	return nil, errors.New("is damaged or not supported; use RSA of 2048 bits or more, P-256, P-384 or Ed25519")
}

func checkKey(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("is an RSA key of %d bits; generate one of %d or more", bits, minRSABits)
		}
		return k, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, errCurve
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	default:
		return nil, errKeyKind
	}
}
