package oauth

import (
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	// maxAuthorizationResponse is the longest authorization response read, in bytes as sent.
	maxAuthorizationResponse = 2 << 10
	maxCode                  = 1 << 10 // bytes
	// maxErrorCode is the longest error code that is taken for one, in bytes.
	maxErrorCode = 64
)

// AuthorizationResponse is an authorization response (RFC 6749 §4.1.2): a code, or an error.
type AuthorizationResponse struct {
	// Code is empty when the server refused.
	Code redact.Secret
	// State is never empty.
	State redact.Secret
	// Refused: the response carries an error in the code's place.
	Refused bool
	// Error is the server's error code if it is a known one (RFC 6749 §4.1.2.1,
	// OpenID Connect Core §3.1.2.6), else empty.
	Error string
	// ErrorDescription is the server's own explanation: at most 256 characters
	// and no control characters. Anybody can write one into a link: it is for
	// operators, and escaped wherever it is shown.
	ErrorDescription string
	// Issuer is who answers by their own word (RFC 9207 §2); empty when they do
	// not say.
	Issuer string
}

// AuthorizationResponseError says why an authorization response is not acted upon, in fixed
// words that hold nothing of it.
type AuthorizationResponseError struct{ Reason string }

// The reasons of an AuthorizationResponseError.
const (
	ResponseTooLong  = "is longer than 2 KiB"
	ResponseEncoding = "is not written as a query has to be"
	ResponseRepeated = "says one thing twice"
	ResponseState    = "lacks a usable state"
	ResponseCode     = "holds a code that cannot be one"
	ResponseRefusal  = "holds an error that cannot be one"
	ResponseBoth     = "holds a code and an error"
	ResponseNeither  = "holds neither a code nor an error"
	ResponseIssuer   = "does not come from the issuer that was asked"
)

// Error returns the reason in a sentence.
func (e *AuthorizationResponseError) Error() string { return "the authorization response " + e.Reason }

// ReadAuthorizationResponse reads the query of the redirect URI, as it was sent and without
// the question mark. Where issuer is set and the response names one, they have
// to be the same text; a response that names none is refused if requireIssuer
// says that this server always does (RFC 9207 §2.4). Parameters that nobody
// asked for are ignored (RFC 6749 §4.1.2), an id_token or access_token among
// them; a parameter without a value counts as omitted (§3.1).
//
// Every error is a *AuthorizationResponseError. With ResponseIssuer comes the state, and
// nothing else, so that its session can be found; the code is not to be used.
func ReadAuthorizationResponse(rawQuery, issuer string, requireIssuer bool) (AuthorizationResponse, error) {
	params, reason := responseParams(rawQuery)
	if reason != "" {
		return AuthorizationResponse{}, &AuthorizationResponseError{reason}
	}
	r, reason := authorizationResponseOf(params)
	switch {
	case reason != "":
		return r, &AuthorizationResponseError{reason}
	case issuer != "" && r.Issuer != issuer && (r.Issuer != "" || requireIssuer):
		return AuthorizationResponse{State: r.State}, &AuthorizationResponseError{ResponseIssuer}
	}
	return r, nil
}

// responseParams decodes the parameters that matter. Two of one name are
// refused even if one is empty: which of them counts is a matter of taste, and
// attacks live on taste.
func responseParams(rawQuery string) (map[string]string, string) {
	if len(rawQuery) > maxAuthorizationResponse {
		return nil, ResponseTooLong
	}
	if strings.ContainsFunc(rawQuery, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, ResponseEncoding
	}
	params := map[string]string{}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		if nameErr != nil || valueErr != nil {
			return nil, ResponseEncoding
		}
		switch name {
		case "code", "state", "error", "error_description", "iss":
		default:
			continue
		}
		if _, twice := params[name]; twice {
			return nil, ResponseRepeated
		}
		params[name] = value
	}
	return params, ""
}

func authorizationResponseOf(params map[string]string) (AuthorizationResponse, string) {
	code, refusal, state, issuer := params["code"], params["error"], params["state"], params["iss"]
	switch {
	case !isVisible(state):
		return AuthorizationResponse{}, ResponseState
	case code != "" && refusal != "":
		return AuthorizationResponse{}, ResponseBoth
	case code == "" && refusal == "":
		return AuthorizationResponse{}, ResponseNeither
	case code != "" && (len(code) > maxCode || !isPrintable(code)):
		return AuthorizationResponse{}, ResponseCode
	case refusal != "" && !isErrorCode(refusal):
		return AuthorizationResponse{}, ResponseRefusal
	case issuer != "" && !isVisible(issuer):
		return AuthorizationResponse{State: redact.New(state)}, ResponseIssuer
	}
	return AuthorizationResponse{
		Code:             redact.New(code),
		State:            redact.New(state),
		Refused:          refusal != "",
		Error:            knownRefusal(refusal),
		ErrorDescription: sent{}.clean(params["error_description"]),
		Issuer:           issuer,
	}, ""
}

// isVisible accepts VCHAR, of which states of ours and URLs consist.
func isVisible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' })
}

// isPrintable accepts VSCHAR, of which codes and refresh tokens consist
// (RFC 6749 App. A.11, A.17).
func isPrintable(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// isErrorCode accepts one word. RFC 6749 §4.1.2.1 would allow most of ASCII,
// markup included, but no server sends that.
func isErrorCode(text string) bool {
	return len(text) <= maxErrorCode && !strings.ContainsFunc(text, func(r rune) bool {
		return !isTokenRune(r)
	})
}
