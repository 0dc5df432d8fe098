package sandbox

// Remembered is the number of stored tokens, including expired ones.
func (s *Sandbox) Remembered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens.active)
}

// RememberedGrants is the number of stored codes and refresh tokens, including
// expired ones.
func (s *Sandbox) RememberedGrants() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.grants.codes) + len(s.grants.refreshTokens)
}

// RememberedBrowsers is the number of browser sessions.
func (s *Sandbox) RememberedBrowsers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.browsers)
}
