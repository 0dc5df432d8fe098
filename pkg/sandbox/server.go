package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// The grant types (RFC 6749 §4.1.3, §4.4.2, §6).
const (
	clientCredentials = "client_credentials"
	authorizationCode = "authorization_code"
	refreshToken      = "refresh_token"
)

// The error codes of a token endpoint (RFC 6749 §5.2). Servers that do not
// send them are still counted by them.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	invalidScope         = "invalid_scope"
	unauthorizedClient   = "unauthorized_client"
	unsupportedGrantType = "unsupported_grant_type"
	invalidGrant         = "invalid_grant"
)

// server is one authorization server: what differs between the documents, as
// data where it can be and as functions where it cannot.
type server struct {
	// provider is its name in the catalogue; prefix the folder it lives in.
	provider, prefix string
	// tokenPath is the documented path of the token endpoint.
	tokenPath string
	// auth are the documented ways to authenticate; none: each client has its own.
	auth []provider.ClientAuth
	// grantTypes are those the token endpoint knows.
	grantTypes []string
	// expiresIn is the documented lifetime of an access token.
	expiresIn time.Duration
	// jwt: access tokens look like JSON Web Tokens, else they are opaque.
	jwt bool
	// refreshToken: a refresh token comes even with client_credentials.
	refreshToken bool
	// diesWithSecret: generating a new secret kills the access tokens that exist.
	diesWithSecret bool
	// delegation is what it does for users; nil where it does nothing for them.
	delegation *delegation

	// newClient makes an id and a secret as this provider's portal shows them.
	newClient func(e entropy) (id, secret string)
	// declare completes a client's connection file with this server's addresses.
	declare func(d *declaration, base string)
	// scope decides what is granted when requested is asked for ("" is nothing).
	scope func(c *client, requested string) (string, *refusal)
	// success and refuse are the bodies and statuses of its answers.
	success func(i issue) any
	refuse  func(r refusal, from credentials) answer
}

// issue is a new token on its way to a client.
type issue struct {
	accessToken, scope string
	expiresIn          int64 // seconds
	// refreshToken is the member's JSON, because a server may also say null or
	// nothing there; nil leaves it out.
	refreshToken json.RawMessage
	// refreshTokenExpiresIn is in seconds; zero leaves it out.
	refreshTokenExpiresIn int64
	// idToken says who consented; empty leaves it out.
	idToken string
}

// asJSON is a text as an answer's member.
func asJSON(text string) json.RawMessage { return json.RawMessage(strconv.Quote(text)) }

// refusal is why a token request fails.
type refusal struct {
	code, description string
	// status overrules the server's own; zero does not.
	status int
}

// answer is a whole response, made before any byte of it is sent, so that a
// fault can cut or replace it.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	outcome string // what the counters call it
}

// jsonAnswer is a token endpoint's answer (RFC 6749 §5.1: never cached).
func jsonAnswer(status int, body any, outcome string) answer {
	text, err := json.Marshal(body)
	if err != nil {
		panic("sandbox: unmarshalable answer: " + err.Error())
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	return answer{status: status, header: header, body: text, outcome: outcome}
}

func (a answer) write(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that went away needs no answer
}

// statusOr is the refusal's own status, or the server's.
func (r refusal) statusOr(status int) int { return cmp.Or(r.status, status) }

// scopeTokens splits a scope parameter (RFC 6749 §3.3); ok is false when it
// breaks the grammar's spacing.
func scopeTokens(scope string) (tokens []string, ok bool) {
	tokens = strings.Split(scope, " ")
	return tokens, !slices.Contains(tokens, "")
}

// scopeAmong grants what is asked for if the client is registered for all of
// it, and everything it is registered for when it asks for nothing.
func scopeAmong(c *client, requested string) (string, *refusal) {
	if requested == "" {
		return strings.Join(c.scopes, " "), nil
	}
	tokens, ok := scopeTokens(requested)
	if !ok {
		return "", &refusal{code: invalidScope, description: "The scope is malformed."}
	}
	for _, t := range tokens {
		if !slices.Contains(c.scopes, t) {
			return "", &refusal{code: invalidScope, description: "The client is not registered for that scope."}
		}
	}
	return requested, nil
}
