// Package problem names the ways in which a request can fail, once, for the
// whole service.
//
// An [Error] has two readers who must not be confused: Detail is written for
// the caller and is safe to send; Cause is for the log. Which HTTP status a
// code has is the gateway's business; whether it is worth trying again is
// decided here, and nowhere else.
package problem

import (
	"errors"
	"time"
)

// Code is the error code of the API: RFC 6749's where one fits.
type Code string

// The codes.
const (
	InvalidRequest          Code = "invalid_request"
	InvalidScope            Code = "invalid_scope"
	AccessDenied            Code = "access_denied"
	ConnectionNotFound      Code = "connection_not_found"
	MethodNotAllowed        Code = "method_not_allowed"
	AuthorizationRequired   Code = "authorization_required"
	SessionExpired          Code = "session_expired"
	RateLimited             Code = "rate_limited"
	ConnectionMisconfigured Code = "connection_misconfigured"
	InternalError           Code = "internal_error"
	ProviderRejected        Code = "provider_rejected"
	ProviderMalformed       Code = "provider_malformed"
	ProviderUnavailable     Code = "provider_unavailable"
	ProviderTimeout         Code = "provider_timeout"
	StoreUnavailable        Code = "store_unavailable"
	RefreshInProgress       Code = "refresh_in_progress"
)

// Retryable reports whether the same request may succeed later without anybody
// mending anything.
func (c Code) Retryable() bool {
	switch c {
	case RateLimited, ProviderMalformed, ProviderUnavailable, ProviderTimeout, StoreUnavailable, RefreshInProgress:
		return true
	default:
		return false
	}
}

// Provider is what may be told of a provider's refusal: an allow-list.
type Provider struct {
	// Status is the HTTP status; zero when there was no answer.
	Status int
	// Error is a known OAuth error code, or empty.
	Error string
}

// Error is a failed request.
type Error struct {
	Code Code
	// Detail tells the caller what is wrong and how to mend it.
	Detail string
	// RetryAfter, when positive, is how long to wait before asking again.
	RetryAfter time.Duration
	// Provider is set when a provider's answer was the reason.
	Provider *Provider
	// Final: the same request cannot succeed any more, whatever its code says of others.
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

// Of returns err as an *Error; what is none becomes an internal_error whose
// text tells the caller nothing.
func Of(err error) *Error {
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	return &Error{Code: InternalError, Detail: "something went wrong on our side; the request id finds it in the log", Cause: err}
}

// Is reports whether err is an Error of the code.
func Is(err error, code Code) bool {
	var p *Error
	return errors.As(err, &p) && p.Code == code
}
