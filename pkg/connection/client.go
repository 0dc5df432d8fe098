package connection

import (
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

var clientAuths = []provider.ClientAuth{
	provider.ClientSecretPost, provider.ClientSecretBasic, provider.ClientSecretBasicRaw, provider.PrivateKeyJWT, provider.NoClientAuth,
}

// client reads who the OAuth client is and how it proves it. The proof that
// client_auth uses has to be there. A client_secret may stand beside the methods
// that do not send it: it is registered all the same, and an operator may switch.
func (d declaration) client(c *Connection, p provider.Provider) {
	c.ClientID, _ = d.exact(mClientID)
	d.require(mClientID)
	if !d.clientAuth(c, p.ClientAuth) {
		return
	}
	switch c.ClientAuth {
	case provider.PrivateKeyJWT:
		_, _ = d.exact(mClientSecret)
		d.key(c)
	case provider.NoClientAuth:
		_, _ = d.exact(mClientSecret)
		d.refuseUseless("is used with client_auth private_key_jwt only", mPrivateKey, mKeyID)
	default:
		secret, _ := d.exact(mClientSecret)
		c.ClientSecret = redact.New(secret)
		d.require(mClientSecret)
		d.refuseUseless("is used with client_auth private_key_jwt only", mPrivateKey, mKeyID)
	}
	if c.ClientAuth == provider.ClientSecretBasicRaw && strings.Contains(c.ClientID, ":") {
		d.note(mClientID, "holds a colon, at which the server would split it (RFC 7617 §2); use client_auth client_secret_basic")
	}
}

func (d declaration) require(name string) {
	if !d.has(name) {
		d.note(name, "is missing; add it")
	}
}

func (d declaration) clientAuth(c *Connection, standard provider.ClientAuth) bool {
	c.ClientAuth = standard
	if !d.has(mClientAuth) {
		return true
	}
	text, ok := d.text(mClientAuth)
	c.ClientAuth = provider.ClientAuth(text)
	if ok && !slices.Contains(clientAuths, c.ClientAuth) {
		d.note(mClientAuth, "has to be one of %s", join(clientAuths))
		ok = false
	}
	return ok
}

func (d declaration) key(c *Connection) {
	c.KeyID, _ = d.exact(mKeyID)
	d.require(mPrivateKey)
	text, ok := d.text(mPrivateKey)
	if !ok {
		return
	}
	key, err := parsePrivateKey(text)
	if err != nil {
		d.note(mPrivateKey, "%v", err)
	}
	c.PrivateKey = key
}

func join[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}
