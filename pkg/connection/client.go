package connection

import (
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

func (r *reader) clientID() {
	r.c.ClientID, _ = r.exactText(mClientID)
	r.require(mClientID)
}

// clientAuth reads the method and the credentials that it needs. A client_secret
// beside a method that does not send it is accepted: the provider registers one
// in any case, and an operator may switch methods.
func (r *reader) clientAuth() {
	if !r.clientAuthMethod() {
		return
	}
	secret, _ := r.exactText(mClientSecret)
	if r.c.ClientAuth == provider.PrivateKeyJWT {
		r.privateKey()
	} else {
		r.rejectUnused("is used with client_auth private_key_jwt only", mPrivateKey, mKeyID)
	}
	if r.c.ClientAuth.UsesSecret() {
		r.require(mClientSecret)
		r.c.ClientSecret = redact.New(secret)
	}
	if r.c.ClientAuth == provider.ClientSecretBasicRaw && strings.Contains(r.c.ClientID, ":") {
		r.report(mClientID, "contains a colon, at which the server would split it (RFC 7617 §2); use client_auth client_secret_basic")
	}
}

func (r *reader) clientAuthMethod() bool {
	r.c.ClientAuth = r.server.ClientAuth
	if !r.has(mClientAuth) {
		return true
	}
	text, ok := r.text(mClientAuth)
	r.c.ClientAuth = provider.ClientAuth(text)
	if ok && !slices.Contains(provider.ClientAuths(), r.c.ClientAuth) {
		r.report(mClientAuth, "must be one of %s", join(provider.ClientAuths()))
		ok = false
	}
	return ok
}

func (r *reader) privateKey() {
	r.c.KeyID, _ = r.exactText(mKeyID)
	r.require(mPrivateKey)
	text, ok := r.text(mPrivateKey)
	if !ok {
		return
	}
	key, err := parsePrivateKey(text)
	if err != nil {
		r.report(mPrivateKey, "%v", err)
	}
	r.c.PrivateKey = key
}

func join[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}
