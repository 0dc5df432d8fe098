package sandbox

// Remembered is how many tokens are kept, the expired among them included.
func (s *Sandbox) Remembered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens.living)
}

// RememberedGrants is how many codes and refresh tokens are kept, the expired
// among them included.
func (s *Sandbox) RememberedGrants() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.grants.codes) + len(s.grants.handles)
}

// RememberedBrowsers is how many browsers are known.
func (s *Sandbox) RememberedBrowsers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.browsers)
}
