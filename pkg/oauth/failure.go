package oauth

import (
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Kind is what a failure means. Its text is one of the service's error codes.
type Kind string

// The kinds of failure.
const (
	// Rejected: the server refused the request. The same request fails again.
	Rejected Kind = "provider_rejected"
	// Malformed: the response is unusable, a redirect or too large.
	Malformed Kind = "provider_malformed"
	// Unavailable: no response, or one that says so. A later attempt may succeed.
	Unavailable Kind = "provider_unavailable"
	// Timeout: no response in time, or the caller gave up.
	Timeout Kind = "provider_timeout"
	// Misconfigured: the request could not be built; nothing was sent.
	Misconfigured Kind = "connection_misconfigured"
)

// The reasons of a failure: fixed words for logs and metrics. For an invalid
// member of the response the reason is the member's name: access_token,
// token_type, expires_in, scope, success.
const (
	ReasonURL       = "url"         // the endpoint's URL is not allowed
	ReasonAuth      = "client_auth" // the client's credentials do not work with the declared method
	ReasonEgress    = "egress"      // the host resolves to an address that is not allowed
	ReasonDNS       = "dns"         // the host's name does not resolve
	ReasonDial      = "dial"        // no connection
	ReasonTLS       = "tls"         // the certificate or the handshake
	ReasonReset     = "reset"       // the connection broke before the response was complete
	ReasonTimeout   = "timeout"     // the budget or the caller's deadline
	ReasonCanceled  = "canceled"    // the caller gave up
	ReasonHTTP      = "http"        // the response is not HTTP
	ReasonHeaders   = "headers"     // too many header lines
	ReasonStatus    = "status"      // the HTTP status
	ReasonRedirect  = "redirect"    // a 3xx status
	ReasonEncoding  = "encoding"    // a content encoding that is not supported, or is broken
	ReasonTooLarge  = "too_large"   // the response is larger than 1 MiB
	ReasonNotJSON   = "not_json"    // the response is not a JSON object
	ReasonJSON      = "json"        // the response breaks a rule of JSON
	ReasonTruncated = "truncated"   // the response ends before its JSON does
	ReasonError     = "error"       // a response with status 200 and an error
)

// Error is a failed request. Its text is safe to show to callers; Description is
// for operators only.
type Error struct {
	Kind Kind
	// Reason is a short fixed word.
	Reason string
	// Detail says in a fixed text what could not be used, or what the likely fix is;
	// empty when there is nothing to add.
	Detail string
	// Code is the server's error code if it is a known one (RFC 6749 §5.2,
	// RFC 8707 §2) or a declared one, else empty.
	Code string
	// GrantEnded: the code says that the code or refresh token is no longer valid:
	// invalid_grant, or a declared one.
	GrantEnded bool
	// Description is the server's explanation: at most 256 characters, no control
	// characters, and nothing that the request carried.
	Description string
	// RetryAfter is the pause that the server requests: 1 s to 1 h, or zero when it
	// requests none (RFC 9110 §10.2.3).
	RetryAfter time.Duration
	// Momentary: the server repeated a token that ends. The same request succeeds
	// after RetryAfter, however often it has failed.
	Momentary bool
	// Ambiguous: the request may have reached the server, and no response shows
	// whether the server acted on it. The code or refresh token in it may be used up
	// (RFC 9700 §4.14.2). It is always false with client_credentials, which has no
	// one-time credential. It is false too when nothing was sent, when the server
	// refused (a gateway's 502 or 504 is not a refusal), and when RefreshToken shows
	// how the request ended.
	Ambiguous bool
	// RefreshToken is a new refresh token in a response that is Malformed otherwise.
	// The one that was sent is used up, and this may be the only valid one. It must
	// be stored like one that came with an access token. Empty when there is none.
	RefreshToken redact.Secret
	// RefreshTokenExpiresAt is when RefreshToken expires if the response says so,
	// else zero.
	RefreshTokenExpiresAt time.Time
	// Response identifies an unusable response without showing it.
	Response ResponseSummary
	Trace    Trace
}

// ResponseSummary is what may be logged of a response's body.
type ResponseSummary struct {
	// ContentType is the media type without parameters; empty when it is absent or unusual.
	ContentType string
	// Length is the number of bytes after decoding.
	Length int
	// Digest is the first 16 hexadecimal digits of the body's SHA-256; empty when it was not read.
	Digest string
}

// Error returns the kind and the reason, with the HTTP status and the known code.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s", e.Kind, e.Reason)
	if e.Trace.Status != 0 {
		text += fmt.Sprintf(", HTTP status %d", e.Trace.Status)
	}
	if e.Code != "" {
		text += ", error " + e.Code
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// failure is an Error that is not yet complete.
type failure struct {
	Error
	// retryable: the same request may succeed at once.
	retryable bool
	// unsent: no byte of the request was sent.
	unsent bool
	// conclusive: the server's response shows whether the server acted.
	conclusive bool
}

func fail(kind Kind, reason string) *failure {
	return &failure{Error: Error{Kind: kind, Reason: reason}}
}

// failUnsent is the failure of a request that was not sent.
func failUnsent(kind Kind, reason string) *failure {
	return &failure{Error: Error{Kind: kind, Reason: reason}, unsent: true}
}

func failRetryable(kind Kind, reason string) *failure {
	return &failure{Error: Error{Kind: kind, Reason: reason}, retryable: true}
}

func malformed(reason string) *failure { return fail(Malformed, reason) }

// with adds the trace of all attempts and returns the error.
func (f *failure) with(trace Trace) error {
	f.Trace = trace
	return &f.Error
}
