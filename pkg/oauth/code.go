package oauth

// knownCode returns the error code if it is one that the specifications define
// (RFC 6749 §4.1.2.1 and §5.2, RFC 7009 §2.2.1, RFC 8628 §3.5, RFC 8707 §2). Any
// other text is dropped, because the server may put anything there.
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

// knownAuthorizationError is knownCode for authorization responses, for which
// OpenID Connect Core §3.1.2.6 defines further codes.
func knownAuthorizationError(code string) string {
	switch code {
	case "login_required", "consent_required", "interaction_required", "account_selection_required":
		return code
	}
	return knownCode(code)
}

// isTransient reports whether a known code means that a later attempt may succeed.
func isTransient(code string) bool {
	return code == "temporarily_unavailable" || code == "server_error" || code == "slow_down"
}
