package oauth

import (
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Kind is what a failure means to the service. Its text is the service's own
// error code.
type Kind string

// The kinds of failure.
const (
	// Rejected: the server understood and refused. The same request fails again.
	Rejected Kind = "provider_rejected"
	// Malformed: the answer is unusable, a redirect or too large.
	Malformed Kind = "provider_malformed"
	// Unavailable: no answer, or one that says so. A later try may succeed.
	Unavailable Kind = "provider_unavailable"
	// Timeout: no answer in time, or the caller gave up waiting.
	Timeout Kind = "provider_timeout"
	// Misconfigured: the request could not even be built; nothing was sent.
	Misconfigured Kind = "connection_misconfigured"
)

// The reasons of a failure: fixed words for logs and metrics. Failures of a
// member of the answer bear the member's name: access_token, token_type,
// expires_in, scope, success.
const (
	ReasonURL       = "url"         // the endpoint's URL is not allowed
	ReasonAuth      = "client_auth" // the client's credentials cannot be used as declared
	ReasonEgress    = "egress"      // the host resolves to an address that is not allowed
	ReasonDNS       = "dns"         // the host's name does not resolve
	ReasonDial      = "dial"        // no connection
	ReasonTLS       = "tls"         // the certificate or the handshake
	ReasonReset     = "reset"       // the connection broke before the answer was whole
	ReasonTimeout   = "timeout"     // a budget, or the caller's deadline
	ReasonCanceled  = "canceled"    // the caller gave up
	ReasonHTTP      = "http"        // the answer is not HTTP
	ReasonHeaders   = "headers"     // too many header lines
	ReasonStatus    = "status"      // the HTTP status
	ReasonRedirect  = "redirect"    // a 3xx status
	ReasonEncoding  = "encoding"    // a content encoding that was not asked for, or broken
	ReasonTooLarge  = "too_large"   // the answer is larger than 1 MiB
	ReasonNotJSON   = "not_json"    // the answer is no JSON object
	ReasonJSON      = "json"        // the answer breaks a rule of JSON
	ReasonTruncated = "truncated"   // the answer ends before its JSON does
	ReasonError     = "error"       // a 200 that carries an error
)

// Error is a failed request. Its text is safe to show to anybody; Description
// is for operators only.
type Error struct {
	Kind Kind
	// Reason is a short fixed word.
	Reason string
	// Code is the server's error code if it is a known one (RFC 6749 §5.2,
	// RFC 8707 §2), else empty.
	Code string
	// Description is the server's own explanation: at most 256 characters,
	// no control characters, and nothing in it that the request carried.
	Description string
	// RetryAfter is when the server asks to be tried again: 1 s to 1 h, zero
	// when it does not say (RFC 9110 §10.2.3).
	RetryAfter time.Duration
	// Ambiguous: the request may have reached the server, and nothing came back
	// that tells whether it was acted on: the code or refresh token that it
	// carried may be spent (RFC 9700 §4.14.2). Always false with
	// client_credentials, which spends nothing. It is false too when nothing was
	// sent, when the server refused (a gateway's 502 or 504 in its place is no
	// refusal), and when RefreshToken tells how the request ended.
	Ambiguous bool
	// RefreshToken is a new refresh token in an answer that is Malformed
	// otherwise: the one that was sent is spent, and this may be the only one
	// that lives. It has to be stored like one that came with an access token.
	// Empty when there is none.
	RefreshToken redact.Secret
	// RefreshTokenExpiresAt is the end of RefreshToken where the server states
	// one, else zero.
	RefreshTokenExpiresAt time.Time
	// Answer identifies an unusable answer without showing it.
	Answer Answer
	Trace  Trace
}

// Answer is what may be logged of an answer's body.
type Answer struct {
	// ContentType is the media type without parameters; empty when it is absent or odd.
	ContentType string
	// Length is the number of bytes after decoding.
	Length int
	// Digest is the first 16 hexadecimal digits of the body's SHA-256; empty when it was not read.
	Digest string
}

// Error says what failed in fixed words, with the HTTP status and the known code.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s", e.Kind, e.Reason)
	if e.Trace.Status != 0 {
		text += fmt.Sprintf(", HTTP status %d", e.Trace.Status)
	}
	if e.Code != "" {
		text += ", error " + e.Code
	}
	return text
}

// failure is an Error in the making.
type failure struct {
	Error
	// again means that the same request may well succeed at once.
	again bool
	// unsent means that no byte of the request left.
	unsent bool
	// conclusive means that the server answered, and that what it said tells
	// whether it acted.
	conclusive bool
}

func fail(kind Kind, reason string) *failure {
	return &failure{Error: Error{Kind: kind, Reason: reason}}
}

// failUnsent is the failure of a request that never left.
func failUnsent(kind Kind, reason string) *failure {
	return &failure{Error: Error{Kind: kind, Reason: reason}, unsent: true}
}

func failAgain(kind Kind, reason string) *failure {
	return &failure{Error: Error{Kind: kind, Reason: reason}, again: true}
}

func malformed(reason string) *failure { return fail(Malformed, reason) }

// with completes the error by what was spent on it.
func (f *failure) with(trace Trace) error {
	f.Trace = trace
	return &f.Error
}
