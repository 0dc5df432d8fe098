// Package audit writes one log line for every outcome, denials included. The
// same line is the metric: it carries CloudWatch's embedded metric format, so
// that nothing is counted which is not also recorded, and nothing else has to
// be called on the caller's path.
//
// A line names tokens by their id only. It has no level and passes no level
// filter: LOG_LEVEL cannot switch it off.
package audit

import (
	"context"
	"time"
)

// Entry collects what one invocation did. The gateway begins it, the core adds
// to it through [From], and [Writer.Write] closes it. It belongs to one
// request; a refresh shared by several callers reports to the one that began it.
type Entry struct {
	RequestID string
	// Action is what was asked for: vend, reject, forget, renew, list, status,
	// authorize, complete, import, disconnect, consent_page, consent_continue or callback.
	Action string
	// Outcome is "ok" or the error code that the caller was sent; Status the HTTP status.
	Outcome string
	Status  int

	// PrincipalARN and PrincipalID are who called, Account theirs.
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
	// SecretVersion is the version id of the secret that the provider was called
	// with; SecretFallback says that it was the previous one.
	SecretVersion  string
	SecretFallback bool
	LeaseSeq       int64
	// Unsaved is how long a refresh token that had been received was not stored
	// yet: dying then would have lost it.
	Unsaved time.Duration

	StartedAt time.Time
	Latency   time.Duration

	warnings []string
	cause    string
}

// Provider is what the token endpoint was asked and said.
type Provider struct {
	Calls   int
	Status  int
	Latency time.Duration
	// Outcome is "ok" or the error code that the failure became; empty when it was not called.
	Outcome string
	// Code is the known OAuth error code, Description the scrubbed words for operators.
	Code, Description string
}

// Warn adds a short fixed word about something tolerated.
func (e *Entry) Warn(words ...string) {
	e.warnings = append(e.warnings, words...)
}

// SetCause keeps the log's reason for a failure. It must hold no secret: errors
// of this project's packages do not.
func (e *Entry) SetCause(err error) {
	if err != nil {
		e.cause = err.Error()
	}
}

// Merge takes over what a shared refresh reported.
func (e *Entry) Merge(refresh *Entry) {
	e.Provider = refresh.Provider
	e.SecretVersion, e.SecretFallback, e.LeaseSeq = refresh.SecretVersion, refresh.SecretFallback, refresh.LeaseSeq
	e.Unsaved = refresh.Unsaved
	e.warnings = append(e.warnings, refresh.warnings...)
	if refresh.cause != "" {
		e.cause = refresh.cause
	}
}

type contextKey struct{}

// With returns a context that carries e.
func With(ctx context.Context, e *Entry) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// From returns the entry of ctx, or one that is thrown away.
func From(ctx context.Context) *Entry {
	if e, ok := ctx.Value(contextKey{}).(*Entry); ok {
		return e
	}
	return new(Entry)
}
