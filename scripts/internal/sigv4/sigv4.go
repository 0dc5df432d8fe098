// Package sigv4 verifies AWS Signature Version 4, as API Gateway does for routes with
// AWS_IAM authorization, so that a local run refuses what the cloud refuses.
//
// It verifies a signature by signing again: it rebuilds the request from what arrived
// (method, raw path, query, body, and only the signed headers), signs it with the
// stored key and the SDK's own signer, and compares in constant time. So there is no
// second implementation of the canonical form that could disagree with AWS.
//
// Only the Authorization header is supported. A presigned URL would put a credential
// into logs, and is refused as unsigned.
package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// MaxBody is the largest body read, in bytes: API Gateway's own limit.
const MaxBody = 10 << 20

// tolerance is how far a request's date may be from now, either way.
const tolerance = 5 * time.Minute

// Key is one access key that may sign.
type Key struct {
	ID     string
	Secret redact.Secret
	// SessionToken is zero for the key of a user. For the key of a session, the
	// request must have it in X-Amz-Security-Token.
	SessionToken redact.Secret
}

// Config is what a Verifier needs.
type Config struct {
	// Keys are all that may sign.
	Keys []Key
	// Region and Service are the required credential scope, for example us-east-1 and
	// execute-api.
	Region, Service string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Verifier checks requests. It is safe for concurrent use.
type Verifier struct {
	keys            map[string]Key
	region, service string
	now             func() time.Time
	signer          *v4.Signer
}

// New returns a Verifier.
func New(c Config) *Verifier {
	v := &Verifier{keys: make(map[string]Key, len(c.Keys)), region: c.Region, service: c.Service, now: c.Now, signer: v4.NewSigner()}
	if v.now == nil {
		v.now = time.Now
	}
	for _, k := range c.Keys {
		v.keys[k.ID] = k
	}
	return v
}

// Verified is what a valid signature covers.
type Verified struct {
	// KeyID is the access key that signed.
	KeyID string
	// Body is the whole body, read and hashed. The request's own is used up.
	Body []byte
	// Query is the parsed query.
	Query url.Values
}

// Verify checks the signature of r and reads its body. Every error is a *Refusal;
// nothing of r is trustworthy then.
func (v *Verifier) Verify(r *http.Request) (Verified, error) {
	a, err := parseAuthorization(r.Header)
	if err != nil {
		return Verified{}, err
	}
	key, at, err := v.admit(r.Header, a)
	if err != nil {
		return Verified{}, err
	}
	// The parser drops invalid pairs, which would then be unsigned.
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !strings.HasPrefix(r.RequestURI, "/") {
		return Verified{}, errBadRequest
	}
	body, err := readBody(r)
	if err != nil {
		return Verified{}, err
	}
	want, err := v.sign(r, a, key, at, body)
	if err != nil {
		return Verified{}, err
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(a.signature)) != 1 {
		return Verified{}, errMismatch
	}
	return Verified{KeyID: key.ID, Body: body, Query: query}, nil
}

// admit checks everything except the signature: key, session, scope and date.
func (v *Verifier) admit(h http.Header, a authorization) (Key, time.Time, error) {
	key, known := v.keys[a.keyID]
	if !known || !sameSession(h.Values("X-Amz-Security-Token"), key) {
		return Key{}, time.Time{}, errUnknownKey
	}
	at, err := signedAt(h)
	if err != nil {
		return Key{}, time.Time{}, err
	}
	if err := v.checkScope(a, at); err != nil {
		return Key{}, time.Time{}, err
	}
	return key, at, v.checkAge(at)
}

func sameSession(sent []string, key Key) bool {
	if len(sent) == 0 {
		return key.SessionToken.IsZero()
	}
	return len(sent) == 1 && !key.SessionToken.IsZero() &&
		subtle.ConstantTimeCompare([]byte(sent[0]), []byte(key.SessionToken.Reveal())) == 1
}

func (v *Verifier) checkScope(a authorization, at time.Time) error {
	switch {
	case a.terminator != "aws4_request":
		return mismatch("Credential should be scoped with a valid terminator: 'aws4_request'.")
	case a.region != v.region:
		return mismatch(fmt.Sprintf("Credential should be scoped to a valid region: '%s'.", v.region))
	case a.service != v.service:
		return mismatch(fmt.Sprintf("Credential should be scoped to correct service: '%s'.", v.service))
	case a.date != at.Format("20060102"):
		return mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
	}
	return nil
}

func (v *Verifier) checkAge(at time.Time) error {
	now := v.now().UTC()
	switch oldest, newest := now.Add(-tolerance), now.Add(tolerance); {
	case at.Before(oldest):
		return mismatch(fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)",
			at.Format(dateFormat), oldest.Format(dateFormat), now.Format(dateFormat)))
	case at.After(newest):
		return mismatch(fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			at.Format(dateFormat), newest.Format(dateFormat), now.Format(dateFormat)))
	}
	return nil
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == http.NoBody {
		return []byte{}, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errTooLong
	}
	if err != nil {
		return nil, errBadRequest
	}
	return body, nil
}

// sign returns the signature that r should have.
func (v *Verifier) sign(r *http.Request, a authorization, key Key, at time.Time, body []byte) (string, error) {
	again := rebuild(r, a)
	// The session token was compared before; it is copied if it was signed.
	credentials := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret.Reveal()}
	err := v.signer.SignHTTP(r.Context(), credentials, again, hashOf(body), v.service, v.region, at)
	if err != nil {
		return "", errMismatch
	}
	_, signature, _ := strings.Cut(again.Header.Get("Authorization"), "Signature=")
	return signature, nil
}

// emptyHash is the hash of an empty body, which most requests have.
var emptyHash = hex.EncodeToString(sha256.New().Sum(nil))

func hashOf(body []byte) string {
	if len(body) == 0 {
		return emptyHash
	}
	hash := sha256.Sum256(body)
	return hex.EncodeToString(hash[:])
}

// rebuild copies what a signature covers. The path is set as an opaque URL, so that it
// is signed byte for byte as it arrived. Header names are in lower case, so that the
// signer includes those that the SDK never signs but other signers do (User-Agent).
func rebuild(r *http.Request, a authorization) *http.Request {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	again := &http.Request{
		Method: r.Method,
		Host:   r.Host,
		URL:    &url.URL{Opaque: "//host" + path, RawQuery: r.URL.RawQuery},
		Header: make(http.Header, len(a.signedHeaders)+1),
	}
	for _, name := range a.signedHeaders {
		values, sent := r.Header[http.CanonicalHeaderKey(name)]
		if sent && name != "x-amz-date" { // the signer adds it
			again.Header[name] = slices.Clone(values)
		}
	}
	if slices.Contains(a.signedHeaders, "content-length") {
		again.ContentLength = r.ContentLength
	}
	return again
}
