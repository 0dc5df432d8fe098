package vending

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Request asks for a token. Its names have been validated.
type Request struct {
	Connection connection.Name
	// Subject is empty for the default one.
	Subject connection.Subject
	// Caller is the ARN of the IAM principal that asks.
	Caller string
	// CallerID is its unique id as API Gateway reports it (identity.caller). It
	// counts forced refreshes.
	CallerID string
	// MinTTL is the least remaining lifetime that the caller needs; zero means the
	// default rule.
	MinTTL time.Duration
	// Scope is chosen by the caller, normalized; empty means the connection's own.
	Scope string
	// RejectedTokenID, when set, is the token that the resource server refused.
	RejectedTokenID string
	// ClearReport forgets that callers reported the token of a grant that has no
	// refresh token.
	ClearReport bool
}

// Authorization is the result of a user's consent (RFC 6749 §4.1.3).
type Authorization struct {
	Connection connection.Connection
	// Subject is empty for the default one.
	Subject connection.Subject
	// Code, Verifier and RedirectURI are those of the authorization response;
	// Verifier is empty where the connection does not use PKCE.
	Code        redact.Secret
	Verifier    redact.Secret
	RedirectURI string
	// Scope is the scope of the authorization request.
	Scope string
	// Extra is what callers get besides the token, as the authorization response says.
	Extra extra.Values
	// Consume is called once, when the code is about to be sent and its result can
	// be stored. If it returns an error, the exchange stops with that error.
	Consume func(context.Context) error
}

// Import is a grant that was issued elsewhere.
type Import struct {
	Request
	RefreshToken redact.Secret
	// Scope is what was consented to; empty means the connection's own.
	Scope string
	// ExpiresAt is the expiry of the refresh token; zero is unknown.
	ExpiresAt time.Time
	// Extra is what callers get besides the token.
	Extra extra.Values
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

// Vended is a token served to a caller.
type Vended struct {
	Token
	// Stale: a refresh failed and this still-valid token is served instead.
	Stale  bool
	Source Source
	// Present is how to put the token into a request.
	Present provider.Present
}

// served is rec's token, as the record that decides about it says.
func served(rec record.Record, by declaration.Record) Vended {
	return Vended{Token: rec.Token, Source: rec.Source, Present: by.Present}
}

// key identifies the item of a request. The default subject of a delegated
// connection and a client_credentials connection share a key, so that the warm
// path need not know the grant type.
func (r Request) key() tokenstore.Key {
	return tokenstore.Key{Connection: string(r.Connection), Subject: string(r.Subject), Variant: variant(r.Scope)}
}

// variant identifies a chosen scope in a key; 64 bits are ample for the few
// variants of one connection.
func variant(scope string) string {
	if scope == "" {
		return ""
	}
	return digest.Short(scope)
}

func (r Request) access() rules.Access {
	return rules.Access{Caller: r.Caller, Subject: r.Subject, Scope: r.Scope}
}

// check decides whether a stored token may be served to r, however it got there.
func (r Request) check(ctx context.Context, t Token, by declaration.Record) error {
	if err := r.access().PermitToken(ctx, t, by); err != nil {
		return err
	}
	return rules.CheckMinTTL(t, r.MinTTL)
}

// refresh is the refresh that r asks for.
func (r Request) refresh(conn declared.InForce) lease.Refresh {
	return lease.Refresh{Key: r.key(), Conn: conn, ForCaller: true,
		Want: lease.Want{MinTTL: r.MinTTL, Scope: r.Scope, Not: [2]string{"", r.RejectedTokenID}}}
}

// deliver serves the result of a refresh.
func (r Request) deliver(ctx context.Context, rec record.Record, by declaration.Record) (Vended, error) {
	if rec.Token.ID == r.RejectedTokenID {
		return Vended{}, problem.New(problem.ProviderMalformed, "the provider issued the rejected token again")
	}
	if err := r.check(ctx, rec.Token, by); err != nil {
		return Vended{}, err
	}
	if err := rules.RequireUnreported(rec.Item, r.principal()); err != nil {
		return Vended{}, err
	}
	return served(rec, by), nil
}

// principal identifies the caller's principal among those that report tokens.
func (r Request) principal() string { return digest.Short(connection.PrincipalID(r.CallerID)) }
