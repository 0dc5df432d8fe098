// Package audit writes one log line for every outcome, including denials. The
// line carries CloudWatch's embedded metric format, so the log and the metrics
// cannot disagree and publishing metrics costs no request of its own.
//
// A line names a token by its id, never by its value. It has no level and
// passes no level filter: LOG_LEVEL cannot turn it off.
package audit

import (
	"context"
	"time"
)

// Entry collects the facts of one request. The gateway begins it, the core adds
// to it through [From], and [Writer.Write] completes it. It is not safe for
// concurrent use. A refresh that several callers share reports to the entry of
// the caller that started it.
type Entry struct {
	RequestID string
	// Action is the operation: vend, reject, clear_report, forget, renew, list, status,
	// authorize, complete, import, disconnect, consent_page, consent_continue or callback.
	Action string
	// Outcome is "ok" or the error code of the response; Status is its HTTP status.
	Outcome string
	Status  int

	// PrincipalARN and PrincipalID identify the caller; Account is its AWS account.
	PrincipalARN, PrincipalID, Account string
	SourceIP                           string

	Connection, Subject string
	SecretIncarnation   string
	// Source is memory, table or provider; empty when no token was served.
	Source    string
	TokenID   string
	ExpiresAt time.Time
	Stale     bool

	Provider Provider
	// SecretVersion is the version id of the secret used with the provider;
	// SecretFallback reports that it was the previous version.
	SecretVersion  string
	SecretFallback bool
	LeaseSeq       int64
	// Unsaved is the time between receiving a refresh token and storing it. A
	// crash within this time loses the token.
	Unsaved time.Duration

	StartedAt time.Time
	Latency   time.Duration

	warnings   []Warning
	departures []string
	cause      string
}

// Provider describes the calls to the token endpoint.
type Provider struct {
	Calls   int
	Status  int
	Latency time.Duration
	// Outcome is "ok" or the error code of the failure; empty without a call.
	Outcome string
	// Code is the OAuth error code if it is a known one; Description is the
	// provider's text for operators, without secrets.
	Code, Description string
}

// Warn adds warnings to the line.
func (e *Entry) Warn(warnings ...Warning) {
	e.warnings = append(e.warnings, warnings...)
}

// Depart adds the members of a provider's response that depart from RFC 6749, by
// the names that the specification or the declaration gives them.
func (e *Entry) Depart(members ...string) {
	if len(members) == 0 {
		return
	}
	e.departures = append(e.departures, members...)
	e.Warn(ResponseDeparts)
}

// SetCause records the reason of a failure for the log; nil changes nothing.
// The error must not contain a secret. The errors of this module's packages do not.
func (e *Entry) SetCause(err error) {
	if err != nil {
		e.cause = err.Error()
	}
}

// Merge adds the facts of a shared refresh to e.
func (e *Entry) Merge(refresh *Entry) {
	e.Provider = refresh.Provider
	e.SecretVersion, e.SecretFallback, e.LeaseSeq = refresh.SecretVersion, refresh.SecretFallback, refresh.LeaseSeq
	e.Unsaved = refresh.Unsaved
	e.warnings = append(e.warnings, refresh.warnings...)
	e.departures = append(e.departures, refresh.departures...)
	if refresh.cause != "" {
		e.cause = refresh.cause
	}
}

type contextKey struct{}

// With returns a context that carries e.
func With(ctx context.Context, e *Entry) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// From returns the entry of ctx, or a new one that is never written.
func From(ctx context.Context) *Entry {
	if e, ok := ctx.Value(contextKey{}).(*Entry); ok {
		return e
	}
	return new(Entry)
}
