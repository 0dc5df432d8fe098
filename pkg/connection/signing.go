package connection

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// algs are the algorithms of an RSA key (RFC 7518 §3.1). The first is the default.
var algs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// signs reports whether the connection signs assertions.
func (r *reader) signs() bool {
	return r.c.ClientAuth == provider.PrivateKeyJWT || r.c.GrantType == JWTBearer
}

// privateKey reads the key, and the members that concern it.
func (r *reader) privateKey() {
	if !r.signs() {
		if r.Sound(mClientAuth) {
			r.RejectUnused("is used with client_auth private_key_jwt and with grant_type jwt_bearer only", mPrivateKey, mKeyID, mCertificate, mAlgorithm)
		}
		return
	}
	r.c.KeyID, _ = r.Text(mKeyID)
	r.Require(mPrivateKey)
	text, ok := r.secretText(mPrivateKey, object.Text{})
	if !ok {
		return
	}
	key, err := parsePrivateKey(text)
	if err != nil {
		r.Report(mPrivateKey, "%v", err)
		return
	}
	r.c.PrivateKey = key
	r.signingAlgorithm()
	r.certificate()
}

func (r *reader) signingAlgorithm() {
	r.c.SigningAlgorithm, _ = r.Text(mAlgorithm)
	if _, isRSA := r.c.PrivateKey.(*rsa.PrivateKey); !isRSA {
		r.RejectUnused("is used with an RSA key only: another key decides the algorithm itself", mAlgorithm)
	}
}

// certificate reads the certificate of the key.
func (r *reader) certificate() {
	text, ok := r.secretText(mCertificate, object.Text{})
	if !ok {
		return
	}
	certificate, err := parseCertificate(text)
	if err != nil {
		r.Report(mCertificate, "%v", err)
		return
	}
	public, ok := r.c.PrivateKey.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certificate.PublicKey) {
		r.Report(mCertificate, "is of another key than private_key; use the certificate of that key")
	}
	r.c.Certificate = certificate
}

// parseCertificate reads one PEM block with a certificate.
func parseCertificate(text string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, errNotPEM
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("contains more than one PEM block; keep only the certificate of the key")
	case block.Type != "CERTIFICATE":
		return nil, errors.New("is a PEM block of another type; use a certificate (BEGIN CERTIFICATE)")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("is damaged; use a certificate (X.509)")
	}
	return certificate, nil
}

// inKMS reports whether a text is the ARN of a KMS key.
func inKMS(text string) bool {
	return strings.HasPrefix(text, "arn:") && strings.Contains(text, ":kms:")
}
