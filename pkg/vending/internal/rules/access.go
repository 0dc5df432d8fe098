package rules

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
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

// Permit decides whether the caller may use a token of conn. The caller is
// checked first, so that an unauthorized one learns nothing about scopes.
func (a Access) Permit(conn connection.Connection) error {
	if err := a.check(conn.Callers, cmp.Or(a.Scope, conn.Scope)); err != nil {
		return err
	}
	if _, err := conn.EffectiveScope(a.Scope); err != nil {
		return &problem.Error{Code: problem.InvalidScope, Cause: err, Detail: err.Error()}
	}
	if conn.Delegated() {
		return nil
	}
	_, err := AssertionSubject(conn, string(a.Subject))
	return err
}

// subjectVariable stands for the subject of the request in an assertion's subject.
const subjectVariable = "{subject}"

// AssertionSubject is the user that a token of a connection without consents is
// requested for: with jwt_bearer each subject may be one. It is empty where the
// connection has no subjects, and the request must not have one then.
func AssertionSubject(conn connection.Connection, subject string) (string, error) {
	a := conn.Assertion
	bySubject := conn.GrantType == connection.JWTBearer && (a.Subjects != nil || strings.Contains(a.Subject, subjectVariable))
	switch {
	case !bySubject && subject != "":
		return "", problem.New(problem.InvalidRequest, "connection "+string(conn.Name)+" uses "+string(conn.GrantType)+
			" and has no subjects; omit the subject")
	case !bySubject:
		return a.Subject, nil
	case subject == "":
		return "", problem.New(problem.InvalidRequest, "connection "+string(conn.Name)+
			" has a token for each subject and none without; use …/subjects/{subject}/token")
	case a.Subjects == nil:
		return strings.ReplaceAll(a.Subject, subjectVariable, subject), nil
	}
	user, known := a.Subjects[subject]
	if !known {
		return "", problem.New(problem.AccessDenied, "connection "+string(conn.Name)+" declares no such subject in assertion.subject")
	}
	return user, nil
}

// PermitConsent decides whether the caller may consent to conn, import a grant
// for it or disconnect it, which only a delegated connection allows.
func (a Access) PermitConsent(conn connection.Connection) error {
	if err := a.check(conn.Callers, conn.Scope); err != nil {
		return err
	}
	if !conn.Delegated() {
		return problem.New(problem.InvalidRequest, "connection "+string(conn.Name)+
			" uses "+string(conn.GrantType)+": there is nothing to consent to")
	}
	return nil
}

// PermitToken decides by the declaration record whether the caller may have a stored
// token. The callers must be allowed the scope that was requested and the one that
// the provider reports as granted.
func (a Access) PermitToken(ctx context.Context, t token.Token, r declaration.Record) error {
	if err := a.check(r.Callers, t.AskedScope); err != nil {
		return err
	}
	if a.Scope != "" {
		if _, err := connection.ChooseScope(r.AllowedScopes, a.Scope); err != nil {
			return &problem.Error{Code: problem.InvalidScope, Cause: err, Detail: err.Error()}
		}
	}
	if len(r.Callers) == 0 || t.Scope == t.AskedScope {
		return nil
	}
	refused := a.refusedTokens(r.Callers, t.Scope)
	if len(refused) == 0 {
		return nil
	}
	if requestsDefault(t.AskedScope) {
		audit.From(ctx).Warn(audit.ScopeNotCompared)
		return nil
	}
	return &problem.Error{Code: problem.AccessDenied, Cause: connection.RefusedScope,
		Detail: "the provider granted more than the connection's callers allow this principal: " + shorten(strings.Join(refused, " "))}
}

// PermitRecord decides by the last declaration record whether the caller may use or
// delete what is stored of the connection. Without a record IAM alone decides.
func (a Access) PermitRecord(r declaration.Record) error {
	return a.check(r.Callers, cmp.Or(a.Scope, r.Scope))
}

// Accepted reports whether r accepts t for a subject; empty is the connection itself.
func Accepted(r declaration.Record, subject string, t token.Token) bool {
	return r.Accepts(subject, t.MintID, t.ConfigHash, t.SecretIncarnation)
}

// refusedTokens are the tokens of a granted scope that the callers do not allow:
// all of them where each is allowed, but no one rule allows all.
func (a Access) refusedTokens(callers connection.Callers, granted string) []string {
	tokens := strings.Fields(granted)
	if len(tokens) == 0 || a.check(callers, strings.Join(tokens, " ")) == nil {
		return nil
	}
	refused := slices.DeleteFunc(slices.Clone(tokens), func(one string) bool { return a.check(callers, one) == nil })
	if len(refused) == 0 {
		return tokens
	}
	return refused
}

// requestsDefault reports whether a requested scope means what the provider has
// registered for the client (Microsoft Entra ID's /.default): the granted names then
// differ from the requested one.
func requestsDefault(requested string) bool {
	return slices.ContainsFunc(strings.Fields(requested), func(one string) bool { return strings.HasSuffix(one, "/.default") })
}

// maxShown bounds what a detail repeats of a provider's response.
const maxShown = 256

func shorten(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return text[:maxShown] + "…"
}

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
