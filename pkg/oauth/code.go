package oauth

// knownCode returns the error code if it is one that the specifications define
// (RFC 6749 §4.1.2.1 and §5.2, RFC 7009 §2.2.1, RFC 8628 §3.5, RFC 8707 §2). Any
// other text is the server's own, could be anything, and is dropped.
func knownCode(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type", "invalid_scope", "access_denied", "invalid_target",
		"unsupported_token_type", "unsupported_response_type":
		return code
	}
	if isTransient(code) {
		return code
	}
	return ""
}

// knownRefusal is knownCode for authorization responses, where OpenID Connect
// Core §3.1.2.6 has codes of its own for a consent that did not come about.
func knownRefusal(code string) string {
	switch code {
	case "login_required", "consent_required", "interaction_required", "account_selection_required":
		return code
	}
	return knownCode(code)
}

// isTransient reports whether a known code means that a later try may succeed.
func isTransient(code string) bool {
	return code == "temporarily_unavailable" || code == "server_error" || code == "slow_down"
}
