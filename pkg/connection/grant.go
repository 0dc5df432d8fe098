package connection

import "strings"

// Delegated reports whether the connection's tokens come from a user's consent
// (RFC 6749 §4.1), so that it needs a stored grant.
func (c Connection) Delegated() bool { return c.GrantType == AuthorizationCode }

// TakesSubjects reports whether a request to the connection may name a subject:
// whose consent is used, or for whom an assertion speaks.
func (c Connection) TakesSubjects() bool {
	return c.Delegated() || c.Assertion.Subjects != nil || strings.Contains(c.Assertion.Subject, "{subject}")
}
