package connection

// Delegated reports whether the connection's tokens come from a user's consent
// (RFC 6749 §4.1), so that it needs a stored grant.
func (c Connection) Delegated() bool { return c.GrantType == AuthorizationCode }
