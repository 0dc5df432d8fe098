// Package problem defines the errors of the API, once for the whole service.
//
// An [Error] has two readers: Detail is written for the caller and is safe to
// send; Cause is for the log only. Package gateway gives each code its HTTP
// status. Whether a retry may succeed is decided here and nowhere else.
package problem

import (
	"errors"
	"time"
)

// Code is an error code of the API: one of RFC 6749 where one fits.
type Code string

// The codes. Package gateway gives each its HTTP status.
const (
	InvalidRequest Code = "invalid_request"
	// InvalidScope: the connection does not allow the scope.
	InvalidScope Code = "invalid_scope"
	// AccessDenied: the request has no identity, the connection does not admit the
	// caller, or a consent belongs to another principal or got a wrong code.
	AccessDenied Code = "access_denied"
	// ConnectionNotFound: there is no such connection, or no such path.
	ConnectionNotFound Code = "connection_not_found"
	MethodNotAllowed   Code = "method_not_allowed"
	// AuthorizationRequired: a user must consent. There is no grant, the provider has
	// ended it, the declaration has changed since, or a consent is not finished.
	AuthorizationRequired Code = "authorization_required"
	// SessionExpired: the consent session is over.
	SessionExpired Code = "session_expired"
	// RateLimited: too many forced refreshes, scopes or pending consents.
	RateLimited Code = "rate_limited"
	// ConnectionMisconfigured: the declaration is invalid.
	ConnectionMisconfigured Code = "connection_misconfigured"
	InternalError           Code = "internal_error"
	// ProviderRejected: the provider returned an OAuth error.
	ProviderRejected Code = "provider_rejected"
	// ProviderMalformed: the provider's response is not a token response.
	ProviderMalformed   Code = "provider_malformed"
	ProviderUnavailable Code = "provider_unavailable"
	ProviderTimeout     Code = "provider_timeout"
	// StoreUnavailable: the table, a connection's secret or the keyset.
	StoreUnavailable Code = "store_unavailable"
	// RefreshInProgress: another instance is refreshing the token.
	RefreshInProgress Code = "refresh_in_progress"
)

// Retryable reports whether the same request may succeed later without any change
// to the request or the configuration.
func (c Code) Retryable() bool {
	switch c {
	case RateLimited, ProviderMalformed, ProviderUnavailable, ProviderTimeout, StoreUnavailable, RefreshInProgress:
		return true
	default:
		return false
	}
}

// Provider is what a caller may learn of a provider's error response.
type Provider struct {
	// Status is the HTTP status; zero if there was no response.
	Status int
	// Error is an OAuth error code of a fixed list, or empty.
	Error string
}

// Error is a failed request.
type Error struct {
	Code Code
	// Detail tells the caller what is wrong and how to correct it.
	Detail string
	// RetryAfter, if positive, is how long to wait before a retry.
	RetryAfter time.Duration
	// Provider is set if a provider's response was the reason.
	Provider *Provider
	// Final: a retry of this request cannot succeed, even if its code is retryable.
	Final bool
	// Cause is for the log only.
	Cause error
}

// New returns an Error without a cause.
func New(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

// Error returns the code and the detail.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Of returns err as an *Error. Any other error becomes an internal_error, whose
// detail reveals nothing of it.
func Of(err error) *Error {
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	return &Error{Code: InternalError, Detail: "internal error; the request id identifies it in the log", Cause: err}
}

// Is reports whether err is an Error with this code.
func Is(err error, code Code) bool {
	var p *Error
	return errors.As(err, &p) && p.Code == code
}
