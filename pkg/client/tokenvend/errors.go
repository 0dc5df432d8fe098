package tokenvend

import (
	"cmp"
	"net/http"
	"time"
)

// The codes of errors that the service did not answer, beside the codes that its API
// documents.
const (
	// CodeUnreachable: no complete answer came, or the caller's context ended first.
	CodeUnreachable = "service_unreachable"
	// CodeUnexpected: the answer is not the service's, such as a captive portal's page.
	CodeUnexpected = "unexpected_answer"
	// CodeCredentials: the AWS credentials or the region cannot be resolved.
	CodeCredentials = "no_credentials"
	// CodeExpired: the token had ended when it arrived.
	CodeExpired = "token_expired"
	// CodeAuthorizationRequired is the service's: a user must consent first.
	CodeAuthorizationRequired = "authorization_required"
)

// Error says why there is no token.
type Error struct {
	// Code is the service's error code, or one of this package.
	Code string
	// Status is the HTTP status; 0 when no answer came.
	Status int
	// Retryable reports whether a later call may succeed without any change.
	Retryable bool
	// RetryAfter is when; zero when the service did not say.
	RetryAfter time.Duration
	// RequestID identifies the request in the service's log.
	RequestID string
	// Connection is the connection's name.
	Connection string
	// Detail says what is wrong and how to fix it.
	Detail string

	cause error
}

// Error describes the failure in one line.
func (e *Error) Error() string {
	text := "tokenvend: no token of " + e.Connection + ": " + e.Code
	if detail := cmp.Or(e.Detail, http.StatusText(e.Status)); detail != "" {
		text += ": " + detail
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	if e.RetryAfter > 0 {
		text += "; retry after " + e.RetryAfter.String()
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// Unwrap returns the network's, the SDK's or the context's error, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// AuthorizationRequiredError says that a user must consent before there is a token.
// It is also an [*Error] for [errors.As].
type AuthorizationRequiredError struct{ err *Error }

// Error describes the failure in one line.
func (e *AuthorizationRequiredError) Error() string { return e.err.Error() }

// Unwrap returns the [*Error].
func (e *AuthorizationRequiredError) Unwrap() error { return e.err }

// typed returns the error as the type of its code.
func (e *Error) typed() error {
	if e.Code == CodeAuthorizationRequired {
		return &AuthorizationRequiredError{e}
	}
	return e
}
