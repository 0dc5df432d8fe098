package sandbox

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// credentials are those in a request, before they are verified.
type credentials struct {
	// method is how they were sent. ClientSecretBasic is for both ways to decode the
	// header, because only the registration says which one applies.
	method provider.ClientAuth
	// id and secret are as sent: those from the header are not decoded.
	id, secret string
	assertion  string
}

// readCredentials finds the method with which a request authenticates; more than
// one is refused (RFC 6749 §2.3).
func readCredentials(header http.Header, form url.Values) (credentials, *refusal) {
	var found []credentials
	if header.Get("Authorization") != "" {
		found = append(found, readBasic(header))
	}
	if form.Has("client_secret") {
		found = append(found, credentials{method: provider.ClientSecretPost, id: form.Get("client_id"), secret: form.Get("client_secret")})
	}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		found = append(found, readAssertion(form))
	}
	switch len(found) {
	case 0:
		return credentials{method: provider.NoClientAuth, id: form.Get("client_id")}, nil
	case 1:
		return found[0], nil
	}
	return found[0], malformed("The client authenticates in more than one way.")
}

// readBasic parses the header (RFC 7617); an invalid one names no client.
func readBasic(header http.Header) credentials {
	c := credentials{method: provider.ClientSecretBasic}
	scheme, encoded, _ := strings.Cut(header.Get("Authorization"), " ")
	text, err := base64.StdEncoding.DecodeString(encoded)
	if !strings.EqualFold(scheme, "Basic") || err != nil || len(header.Values("Authorization")) > 1 {
		return c
	}
	c.id, c.secret, _ = strings.Cut(string(text), ":")
	return c
}

// readAssertion takes the client's id from the assertion (RFC 7521 §4.2). It is
// verified later.
func readAssertion(form url.Values) credentials {
	c := credentials{method: provider.PrivateKeyJWT}
	if form.Get("client_assertion_type") != assertionType {
		return c
	}
	claims, err := readClaims(form.Get("client_assertion"))
	if err == nil {
		c.id, c.assertion = claims.Subject, form.Get("client_assertion")
	}
	return c
}

// decoded decodes credentials from the header by RFC 6749 §2.3.1, where id and
// secret are form-encoded.
func (c credentials) decoded() (id, secret string, ok bool) {
	id, errID := url.QueryUnescape(c.id)
	secret, errSecret := url.QueryUnescape(c.secret)
	return id, secret, errID == nil && errSecret == nil
}

// find returns the client that the credentials name, or nil. A header is decoded by
// the method for which that client is registered. s.mu is held.
func (s *Sandbox) find(srv *server, from credentials) *client {
	asSent := s.byID[clientKey{srv, from.id}]
	if from.method != provider.ClientSecretBasic {
		return asSent
	}
	if asSent != nil && slices.Contains(asSent.auth, provider.ClientSecretBasicRaw) {
		return asSent
	}
	id, _, _ := from.decoded() // empty, and so no client, if it cannot be decoded
	if c := s.byID[clientKey{srv, id}]; c != nil && !slices.Contains(c.auth, provider.ClientSecretBasicRaw) {
		return c
	}
	return nil
}

// authenticate verifies the credentials of the request. A client_id beside other
// credentials must agree with them. s.mu is held.
func (s *Sandbox) authenticate(c *client, req tokenRequest) *refusal {
	failed := &refusal{code: invalidClient, description: "Client authentication failed."}
	if c == nil {
		return failed
	}
	if id := req.form.Get("client_id"); id != "" && id != c.id {
		return failed
	}
	if !s.authenticates(c, req.credentials) {
		return failed
	}
	return nil
}

func (s *Sandbox) authenticates(c *client, from credentials) bool {
	switch from.method {
	case provider.ClientSecretBasic:
		_, secret, ok := from.decoded()
		return ok && slices.Contains(c.auth, provider.ClientSecretBasic) && s.hasSecret(c, secret) ||
			slices.Contains(c.auth, provider.ClientSecretBasicRaw) && s.hasSecret(c, from.secret)
	case provider.ClientSecretPost:
		return slices.Contains(c.auth, provider.ClientSecretPost) && s.hasSecret(c, from.secret)
	case provider.PrivateKeyJWT:
		return slices.Contains(c.auth, provider.PrivateKeyJWT) && s.verifies(c, from.assertion)
	case provider.NoClientAuth:
		return slices.Contains(c.auth, provider.NoClientAuth)
	default:
		return false // ClientSecretBasicRaw is never read from a request
	}
}

// hasSecret reports whether secret is the client's, or the previous one during its
// grace period.
func (s *Sandbox) hasSecret(c *client, secret string) bool {
	return equal(c.secret, secret) || s.clock().Before(c.previousUntil) && equal(c.previous, secret)
}

func equal(want redact.Secret, got string) bool {
	return subtle.ConstantTimeCompare([]byte(want.Reveal()), []byte(got)) == 1
}
