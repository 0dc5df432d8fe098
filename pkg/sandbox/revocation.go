package sandbox

import (
	"net/http"
)

// serveRevocation is the revocation endpoint of one server (RFC 7009). It
// answers truthfully, or as the connection's faults demand.
func (s *Sandbox) serveRevocation(srv *server, w http.ResponseWriter, r *http.Request) {
	req := readTokenRequest(r)
	s.mu.Lock()
	c := s.find(srv, req.credentials)
	s.countersOf(c).Revocations++
	fault := c.nextFault(OnRevocation)
	s.mu.Unlock()
	s.perform(w, r, fault, c, func() answer {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.revoke(srv, c, req)
	})
}

// revoke ends the token that is named. One that nobody knows is as good as
// revoked (RFC 7009 §2.2), and a hint at its type is not needed to find it.
// s.mu is held.
func (s *Sandbox) revoke(srv *server, c *client, req tokenRequest) answer {
	bad := req.refusal
	if bad == nil {
		bad = s.authenticate(c, req)
	}
	token := req.form.Get("token")
	if bad == nil && token == "" {
		bad = malformed("The token is missing.")
	}
	if bad == nil {
		bad = s.revokeToken(c, token)
	}
	if bad != nil {
		a := srv.refuse(*bad, req.credentials)
		if a.status == http.StatusMethodNotAllowed {
			a.header.Set("Allow", http.MethodPost)
		}
		return a
	}
	return answer{status: http.StatusOK, header: http.Header{"Cache-Control": {"no-store"}}}
}

// revokeToken ends the whole grant of a refresh token, and an access token
// alone (RFC 7009 §2.1). s.mu is held.
func (s *Sandbox) revokeToken(c *client, token string) *refusal {
	foreign := malformed("The token is another client's.")
	if h := s.grants.handles[token]; h != nil {
		if h.grant.client != c {
			return foreign
		}
		s.end(h.grant)
		return nil
	}
	if i, ok := s.tokens.living[token]; ok {
		if i.client != c {
			return foreign
		}
		delete(s.tokens.living, token)
	}
	return nil
}
