package connection

import (
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

func (r *reader) clientID() {
	r.c.ClientID, _ = r.secretText(mClientID, exact)
}

// clientAuth reads the method and the secret that it needs. A client_secret
// beside a method that does not send it is accepted: the provider registers one
// in any case, and an operator may switch methods.
func (r *reader) clientAuth() {
	r.c.ClientAuth = r.server.ClientAuth
	if r.c.ClientAuth == "" {
		r.c.ClientAuth = provider.ClientSecretBasic
	}
	// An assertion needs no client authentication (RFC 7523 §3.1).
	if r.c.GrantType == JWTBearer && !r.Has(mClientAuth) && !r.Has(mClientSecret) && r.c.ClientAuth.UsesSecret() {
		r.c.ClientAuth = provider.NoClientAuth
	}
	secret, ok := r.secretText(mClientSecret, object.Text{Exact: true, Blank: true})
	basic := r.c.ClientAuth == provider.ClientSecretBasic || r.c.ClientAuth == provider.ClientSecretBasicRaw
	if ok && secret == "" && !basic {
		r.Report(mClientSecret, "is empty, which only the client_auth client_secret_basic and client_secret_basic_raw can send; remove it, or give it a value")
	}
	if r.c.ClientAuth.UsesSecret() && r.Sound(mClientAuth) {
		r.Require(mClientSecret)
		r.c.ClientSecret = redact.New(secret)
	}
	if r.c.ClientAuth == provider.ClientSecretBasicRaw && strings.Contains(r.c.ClientID, ":") {
		r.Report(mClientID, "contains a colon, at which the server would split it (RFC 7617 §2); use client_auth client_secret_basic")
	}
}

func (r *reader) username() {
	r.Require(mUsername)
	r.c.Username, _ = r.Text(mUsername)
	for _, param := range []string{mUsername, mPassword} {
		for name := range r.c.TokenParams {
			if strings.EqualFold(name, param) {
				r.Report(mTokenParams+"/"+param, "is reserved: the service sets it itself; remove it")
			}
		}
	}
}

func (r *reader) password() {
	r.Require(mPassword)
	text, _ := r.secretText(mPassword, exact)
	r.c.Password = redact.New(text)
}

// headers reads the secret headers. One that the provider sets too replaces it.
func (r *reader) headers() {
	inner, ok := r.Object(mHeaders)
	if !ok || !r.Sound(mHeaders) {
		return
	}
	headers := map[string]redact.Secret{}
	for _, name := range inner.Names() {
		if text, ok := r.referenced(inner, mHeaders+"/", name, provider.HeaderValue); ok {
			headers[name] = redact.New(text)
		}
	}
	r.c.Headers = provider.CanonicalHeaders(r.Reader, mHeaders, headers)
}

// claimsOfService are the claims that the service sets itself (RFC 7519 §4.1).
var claimsOfService = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}

const (
	maxAssertionLifetime = 3600
	// maxClientAssertion is the longest that a client's assertion is valid, in seconds.
	maxClientAssertion = 60
)

func assertionFields() []object.Field {
	subjects := object.Map{Each: object.Text{}, Key: checkSubject, Pattern: namePart}
	claims := object.Map{Each: object.Any{}, Except: object.Except{
		Texts: claimsOfService, Why: "is a claim that the service sets itself; use issuer, subject, audience or lifetime",
	}}
	return []object.Field{
		{Name: "issuer", Form: object.Text{}},
		{Name: "subject", Form: object.Either{object.Text{}, subjects}},
		{Name: "audience", Form: object.Either{object.Text{}, object.List{Each: object.Text{}}}},
		{Name: "claims", Form: claims},
		{Name: "lifetime", Form: object.Whole{Min: 1, Max: maxAssertionLifetime, Unit: "seconds"}},
	}
}

func (r *reader) assertion() {
	inner, ok := r.Object(mAssertion)
	if !ok {
		return
	}
	if !r.signs() {
		r.RejectUnused("is used with client_auth private_key_jwt and with grant_type jwt_bearer only", mAssertion)
		return
	}
	a := Assertion{Audience: inner.Texts("audience"), Subjects: inner.Map("subject"), Lifetime: inner.Seconds("lifetime", 0)}
	a.Issuer, _ = inner.Text("issuer")
	a.Subject, _ = inner.Text("subject")
	_, single := inner.Text("audience")
	a.AudienceArray = len(a.Audience) > 0 && !single
	if claims, ok := inner.Value("claims"); ok {
		a.Claims, _ = claims.(map[string]any)
	}
	if r.c.GrantType != JWTBearer {
		inner.RejectUnused("is used with grant_type jwt_bearer only: in a client's assertion it is the client id (RFC 7523 §3)", "issuer", "subject")
		if inner.Whole("lifetime", 1) > maxClientAssertion {
			inner.Report("lifetime", "must be at most %d seconds in a client's assertion", maxClientAssertion)
		}
	}
	r.c.Assertion = a
}
