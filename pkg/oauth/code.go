package oauth

// knownCode returns the error code if it is one that the specifications define
// (RFC 6749 §4.1.2.1 and §5.2, RFC 8628 §3.5, RFC 8707 §2). Any other text is
// the server's own, could be anything, and is dropped.
func knownCode(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type", "invalid_scope", "access_denied", "invalid_target":
		return code
	}
	if isTransient(code) {
		return code
	}
	return ""
}

// isTransient reports whether a known code means that a later try may succeed.
func isTransient(code string) bool {
	return code == "temporarily_unavailable" || code == "server_error" || code == "slow_down"
}
