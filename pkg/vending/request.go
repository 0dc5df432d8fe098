package vending

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Request asks for a token. Names have passed their rules.
type Request struct {
	Connection connection.Name
	// Subject is empty for the default one.
	Subject connection.Subject
	// Caller is the ARN of the IAM principal that asks.
	Caller string
	// MinTTL is the least life the caller needs; zero leaves it to the rule.
	MinTTL time.Duration
	// Scope is chosen by the caller, normalised; empty means the connection's own.
	Scope string
	// RejectedTokenID, when set, is the token that the resource server refused.
	RejectedTokenID string
}

// Authorization brings the grant of a consent (RFC 6749 §4.1.3).
type Authorization struct {
	Connection connection.Connection
	// Subject is empty for the default one.
	Subject connection.Subject
	// Code, Verifier and RedirectURI are those of the authorization response;
	// Verifier is empty where the connection goes without PKCE.
	Code        redact.Secret
	Verifier    redact.Secret
	RedirectURI string
	// Scope is what was asked for in the authorization request.
	Scope string
	// Consume is called once, when the code is about to be sent and its result can
	// be stored; an error of it stops the adoption, and is returned.
	Consume func(context.Context) error
}

// Import brings a grant made elsewhere.
type Import struct {
	Request
	RefreshToken redact.Secret
	// Scope is what it was consented to; empty means the connection's own.
	Scope string
	// ExpiresAt is the refresh token's end; zero is unknown.
	ExpiresAt time.Time
}

// Token is an access token that can be served.
type Token = token.Token

// Source is where a served token came from.
type Source = token.Source

// The sources.
const (
	FromMemory   = token.FromMemory
	FromTable    = token.FromTable
	FromProvider = token.FromProvider
)

// Vended is a token handed to a caller.
type Vended struct {
	Token
	// Stale: a refresh failed and this still-valid token is served instead.
	Stale  bool
	Source Source
}

// key names the item of a request. The default subject of a delegated
// connection and a client_credentials connection share a key, so that the warm
// path need not know the grant type.
func (r Request) key() tokenstore.Key {
	return tokenstore.Key{Connection: string(r.Connection), Subject: string(r.Subject), Variant: variant(r.Scope)}
}

func (r Request) access() rules.Access {
	return rules.Access{Caller: r.Caller, Subject: r.Subject, Scope: r.Scope}
}

// variant is the digest that names a chosen scope in a key; 64 bits are ample
// for the handful of variants that a connection has.
func variant(scope string) string {
	if scope == "" {
		return ""
	}
	return digest.Short(scope)
}
