package provider

import (
	"errors"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// The grant types. Only an entry of the catalogue may offer password.
const (
	clientCredentials = "client_credentials"
	authorizationCode = "authorization_code"
	jwtBearer         = "jwt_bearer"
	password          = "password"
)

var exceptPassword = object.Except{
	Texts: []string{password}, Why: "may be offered by an entry of the catalogue only, for a server that has nothing else (RFC 9700 §2.4); remove it",
}

// grantTypes are the grants of a declaration; grantValues are those of requests.
var (
	grantTypes  = []string{clientCredentials, authorizationCode, jwtBearer, password}
	grantValues = append(slices.Clone(grantTypes), "refresh_token")
)

// checkClientAuth refuses by name what this release does not have.
func checkClientAuth(text string) error {
	if text == "tls_client_auth" || text == "self_signed_tls_client_auth" {
		return errors.New("must be another: client certificates (RFC 8705) are not in this release; use private_key_jwt if the server has it")
	}
	return nil
}

// standardParams are the parameters of token requests (RFC 6749, 7521, 7523, 7636).
// A provider may give them other names.
var standardParams = []string{
	"client_id", "client_secret", "grant_type", "scope", "code", "redirect_uri", "code_verifier", "refresh_token",
	"assertion", "client_assertion", "client_assertion_type", "username", "password",
}

// reserved are the parameters that the service sets itself (AZ-42), and those
// that would replace all others (a request object, RFC 9101).
var reserved = append(slices.DeleteFunc(slices.Clone(standardParams), func(name string) bool {
	return name == "username" || name == password // some servers want them with client_credentials
}), "state", "code_challenge", "code_challenge_method", "response_type", "request", "request_uri")

var exceptReserved = object.Except{Texts: reserved, Why: "is reserved: the service sets it itself; remove it"}

func checkNewName(text string) error {
	if !isGraphic(text) {
		return errors.New("contains a space, a control or a non-ASCII character; remove it")
	}
	return nil
}

func checkParamName(name string) error {
	if name == "" {
		return errors.New("is a parameter without a name; remove it")
	}
	return nil
}

var exceptCallback = object.Except{Texts: ownedByCallback, Why: "is a parameter that the service reads itself; choose another"}

var exceptCode = object.Except{Texts: ownedByCallback[1:], Why: "is a parameter with another meaning (RFC 6749 §4.1.2); choose another"}

// ownedByCallback are parameters of an authorization response that the service
// reads itself (RFC 6749 §4.1.2, RFC 9207).
var ownedByCallback = []string{"code", "state", "iss", "error", "error_description", "error_uri"}

// headerNames is what checkHeaderToken accepts.
const headerNames = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// exceptHeaders are set by the service or by net/http, or concern one connection only
// (RFC 9110 §7.6.1).
var exceptHeaders = object.Except{
	Texts: []string{
		"authorization", "host", "cookie", "content-", "accept", "accept-encoding", "connection", "keep-alive", "proxy-", "te",
		"trailer", "transfer-encoding", "upgrade", "expect",
	},
	Why: "is a header that the service sets itself, or that concerns the connection; remove it",
}

// Headers is the form of the headers of requests by name. Each is that of a value.
func Headers(each object.Form) object.Map {
	return object.Map{Key: checkHeaderToken, Pattern: headerNames, Except: exceptHeaders, Each: each}
}

// HeaderValue is the form of a header's value.
var HeaderValue = object.Text{Exact: true, Check: checkHeaderValue, Pattern: "^[ -~]*$"}

func checkHeaderToken(name string) error {
	if name == "" || strings.Trim(name, letters+"0123456789!#$%&'*+.^_`|~-") != "" {
		return errors.New("is not the name of a header (RFC 9110 §5.1); use letters, digits and hyphens")
	}
	return nil
}

func checkHeaderValue(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("contains a control or a non-ASCII character, which a header must not have; remove it")
	}
	return nil
}

// extraNames is what checkExtraName accepts.
const extraNames = "^[A-Za-z][A-Za-z0-9_.-]{0,63}$"

func checkExtraName(name string) error {
	if len(name) > 64 || !isNameOf(name, letters, letters+"0123456789_.-") {
		return errors.New("is not a name; use 1 to 64 letters, digits, underscores, hyphens and dots, beginning with a letter")
	}
	return nil
}

// exceptEnded are error codes whose meaning is fixed (RFC 6749 §5.2) or that pass.
var exceptEnded = object.Except{
	Texts: []string{
		"invalid_grant", "invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"temporarily_unavailable", "server_error", "slow_down", "authorization_pending", "rate_limited", "rate_limit_exceeded",
		"too_many_requests", "408", "429", "500", "502", "503", "504",
	},
	Why: "is a code that means the end of a grant anyway (invalid_grant), something else, or a failure that passes; remove it",
}

// isNameOf reports whether a text begins with one of first and goes on with those of
// rest.
func isNameOf(text, first, rest string) bool {
	return text != "" && strings.IndexByte(first, text[0]) >= 0 && strings.Trim(text, rest) == ""
}

func checkTokenPath(text string) error {
	if text[0] != '/' {
		return errors.New("must begin with a slash")
	}
	return nil
}

func checkSeparator(text string) error {
	if len(text) > 4 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New(`is not 1 to 4 printable ASCII characters; write " " or ","`)
	}
	return nil
}

func checkScopeToken(text string) error {
	if !isScopeToken(text) {
		return errors.New("is not one scope token: it must not contain a space, quote, backslash, control or non-ASCII character (RFC 6749 §3.3)")
	}
	return nil
}

// CheckScope says why a text is not a scope of RFC 6749 §3.3: tokens of %x21,
// %x23-5B and %x5D-7E with one space between two.
func CheckScope(scope string) error {
	for token := range strings.SplitSeq(scope, " ") {
		if token == "" {
			return errors.New("is empty or has superfluous spaces; write tokens with one space between two")
		}
		if !isScopeToken(token) {
			return errors.New("contains a character that is not allowed in a scope (a quote, a backslash, a control or non-ASCII character; RFC 6749 §3.3)")
		}
	}
	return nil
}

func isScopeToken(token string) bool {
	return isGraphic(token) && !strings.ContainsAny(token, `"\`)
}

// isGraphic reports whether a text is of printable ASCII without spaces.
func isGraphic(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
