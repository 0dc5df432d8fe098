package oauth

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	// maxAuthorizationResponse is the longest authorization response accepted, in
	// bytes as sent.
	maxAuthorizationResponse = 8 << 10
	// maxCode is the longest code accepted, in bytes. Entra's have 1,200 to 2,400.
	maxCode = 4 << 10
	// maxErrorCode is the longest error code accepted, in bytes.
	maxErrorCode = 64
)

// AuthorizationResponse is a response of the authorization endpoint (RFC 6749
// §4.1.2): a code or an error.
type AuthorizationResponse struct {
	// Code is empty when Refused is set.
	Code redact.Secret
	// State is never empty.
	State redact.Secret
	// Refused: the response has an error and no code.
	Refused bool
	// Error is the server's error code if it is a known one (RFC 6749 §4.1.2.1,
	// OpenID Connect Core §3.1.2.6), else empty.
	Error string
	// ErrorDescription is the server's explanation: at most 256 characters and no
	// control characters. It is untrusted, because anyone can put one into a link.
	// It is for operators, and must be escaped wherever it is shown.
	ErrorDescription string
	// Issuer is the iss parameter (RFC 9207 §2); empty when it is absent.
	Issuer string
	// Extra is what callers get besides the token.
	Extra extra.Values
}

// ResponseFormat is what is known of a server's authorization responses. The zero
// value is RFC 6749's.
type ResponseFormat struct {
	// Issuer, when set, must equal the one that a response names; with RequireIssuer a
	// response must name one (RFC 9207 §2.4).
	Issuer        string
	RequireIssuer bool
	// Callback is how a response differs from RFC 6749 §4.1.2.
	Callback provider.Callback
}

// AuthorizationResponseError says why an authorization response is not used. The
// reasons are fixed texts and contain nothing of the response.
type AuthorizationResponseError struct{ Reason string }

// The reasons of an AuthorizationResponseError.
const (
	ResponseTooLong  = "is longer than 8 KiB"
	ResponseEncoding = "is not a valid query"
	ResponseRepeated = "repeats a parameter"
	ResponseState    = "has no valid state"
	ResponseCode     = "has an invalid code"
	ResponseRefusal  = "has an invalid error"
	ResponseBoth     = "has a code and an error"
	ResponseNeither  = "has neither a code nor an error"
	ResponseIssuer   = "does not come from the expected issuer"
)

// Error returns the reason as a sentence.
func (e *AuthorizationResponseError) Error() string { return "the authorization response " + e.Reason }

// ReadAuthorizationResponse parses the query of the redirect URI, as sent and
// without the question mark. Other parameters are ignored
// (RFC 6749 §4.1.2), an id_token or access_token among them, whatever they contain
// and however they are escaped; a parameter without a value counts as absent (§3.1).
//
// Every error is an *AuthorizationResponseError. With [ResponseIssuer] the state
// is returned, and nothing else, so that the session can be found; the code must
// not be used.
func ReadAuthorizationResponse(rawQuery string, f ResponseFormat) (AuthorizationResponse, error) {
	params, reason := responseParams(rawQuery, f.names())
	if reason != "" {
		return AuthorizationResponse{}, &AuthorizationResponseError{reason}
	}
	params["code"] = params[f.codeName()]
	r, reason := authorizationResponseOf(params)
	switch {
	case reason != "":
		return r, &AuthorizationResponseError{reason}
	case f.Issuer != "" && r.Issuer != f.Issuer && (r.Issuer != "" || f.RequireIssuer):
		return AuthorizationResponse{State: r.State}, &AuthorizationResponseError{ResponseIssuer}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Callback.Extra)) {
		if value := params[f.Callback.Extra[name]]; value != "" && value != r.Code.Reveal() && value != r.State.Reveal() {
			r.Extra.Add(name, value)
		}
	}
	return r, nil
}

// AuthorizationState is the state of an authorization response, by which its session
// is found before anything else of it can be read. Every error is an
// *AuthorizationResponseError.
func AuthorizationState(rawQuery string) (redact.Secret, error) {
	params, reason := responseParams(rawQuery, []string{"state"})
	if reason == "" && !isVisible(params["state"]) {
		reason = ResponseState
	}
	if reason != "" {
		return redact.Secret{}, &AuthorizationResponseError{reason}
	}
	return redact.New(params["state"]), nil
}

func (f ResponseFormat) codeName() string { return cmp.Or(f.Callback.Code, "code") }

// names are the parameters that are read.
func (f ResponseFormat) names() []string {
	names := []string{f.codeName(), "state", "error", "error_description", "iss"}
	return slices.AppendSeq(names, maps.Values(f.Callback.Extra))
}

// responseParams decodes the parameters that are used. A repeated one is refused
// even if one value is empty: implementations differ in which one they use, and
// attacks depend on that difference.
func responseParams(rawQuery string, names []string) (params map[string]string, reason string) {
	if len(rawQuery) > maxAuthorizationResponse {
		return nil, ResponseTooLong
	}
	params = map[string]string{}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, _ := url.QueryUnescape(rawName) // one that does not decode is none of these
		if !slices.Contains(names, name) {
			continue
		}
		if _, repeated := params[name]; repeated {
			return nil, ResponseRepeated
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil || !isVisible(rawValue) && rawValue != "" {
			return nil, ResponseEncoding
		}
		params[name] = value
	}
	return params, ""
}

// AuthorizationResponseQuery writes decoded parameters as a query for
// [ReadAuthorizationResponse]. It escapes only what would be read as something else,
// so the query is no longer than the one that the server sent.
func AuthorizationResponseQuery(params map[string][]string) string {
	var query []byte
	for _, name := range slices.Sorted(maps.Keys(params)) {
		for _, value := range params[name] {
			if len(query) > 0 {
				query = append(query, '&')
			}
			query = append(appendEscaped(query, name, "&%+="), '=')
			query = appendEscaped(query, value, "&%+")
		}
	}
	return string(query)
}

// appendEscaped escapes the special characters, and everything but VCHAR.
func appendEscaped(query []byte, text, special string) []byte {
	for _, c := range []byte(text) {
		switch {
		case c == ' ':
			query = append(query, '+')
		case c < '!' || c > '~' || strings.IndexByte(special, c) >= 0:
			query = fmt.Appendf(query, "%%%02X", c)
		default:
			query = append(query, c)
		}
	}
	return query
}

func authorizationResponseOf(params map[string]string) (r AuthorizationResponse, reason string) {
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
		Error:            knownAuthorizationError(refusal),
		ErrorDescription: echoScrubber{}.scrub(params["error_description"]),
		Issuer:           issuer,
	}, ""
}

// isVisible accepts VCHAR, the characters of the service's states and of URLs.
func isVisible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' })
}

// isPrintable accepts VSCHAR, the characters of codes and refresh tokens
// (RFC 6749 App. A.11, A.17).
func isPrintable(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// isErrorCode accepts one word. RFC 6749 §4.1.2.1 allows most of ASCII, markup
// included, but no server sends that.
func isErrorCode(text string) bool {
	return len(text) <= maxErrorCode && !strings.ContainsFunc(text, func(r rune) bool {
		return !isTokenRune(r)
	})
}
