package rules

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Access is a caller's request as access rules see it.
type Access struct {
	// Caller is the ARN of the IAM principal.
	Caller string
	// Subject is empty for the default one.
	Subject connection.Subject
	// Scope is the caller's choice; empty means the connection's own.
	Scope string
}

// Permit decides whether the caller may have a token of conn. The caller is
// checked first, so that an unauthorized one learns nothing about scopes.
func (a Access) Permit(conn connection.Connection) error {
	if err := a.check(conn.Callers, cmp.Or(a.Scope, conn.Scope)); err != nil {
		return err
	}
	if _, err := conn.EffectiveScope(a.Scope); err != nil {
		return &problem.Error{Code: problem.InvalidScope, Cause: err, Detail: err.Error()}
	}
	if a.Subject != "" && !conn.Delegated() {
		return problem.New(problem.InvalidRequest, "connection "+string(conn.Name)+" uses client_credentials and has no subjects; omit the subject")
	}
	return nil
}

// PermitConsent decides whether the caller may consent to conn, import a grant
// for it or disconnect it, which only a delegated connection allows.
func (a Access) PermitConsent(conn connection.Connection) error {
	if err := a.check(conn.Callers, conn.Scope); err != nil {
		return err
	}
	if !conn.Delegated() {
		return problem.New(problem.InvalidRequest, "connection "+string(conn.Name)+
			" uses client_credentials: there is nothing to consent to")
	}
	return nil
}

// PermitToken checks the callers that a stored token carries, so that a cached
// token is as well protected as the declaration.
func (a Access) PermitToken(t token.Token) error { return a.check(t.Callers, t.AskedScope) }

func (a Access) check(callers connection.Callers, scope string) error {
	if err := callers.Allows(a.Caller, scope, string(cmp.Or(a.Subject, connection.DefaultSubject))); err != nil {
		return &problem.Error{Code: problem.AccessDenied, Cause: err,
			Detail: "the connection's callers do not allow this: " + err.Error()}
	}
	return nil
}

// CheckMinTTL refuses a minTTL that no token of this lifetime could satisfy
// without a refresh per call.
func CheckMinTTL(t token.Token, minTTL time.Duration) error {
	if most := t.MaxMinTTL(); minTTL > most {
		return problem.New(problem.InvalidRequest, fmt.Sprintf("min_ttl may be at most %d s here: half of the token's lifetime", most/time.Second))
	}
	return nil
}
