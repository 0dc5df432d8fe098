package sandbox

import (
	"net/http"
)

// serveRevocation is the revocation endpoint of one server (RFC 7009). It responds
// normally or with the next fault of the connection.
func (s *Sandbox) serveRevocation(srv *server, w http.ResponseWriter, r *http.Request) {
	req := srv.readRevocation(r)
	s.mu.Lock()
	c := s.find(srv, req.credentials)
	s.countersOf(c).Revocations++
	fault := c.nextFault(OnRevocation)
	s.mu.Unlock()
	s.respondWith(w, r, fault, c, func() response {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.revoke(srv, c, req)
	})
}

// readRevocation reads a request as RFC 7009 says, with the server's fixed headers.
func (srv *server) readRevocation(r *http.Request) tokenRequest {
	if srv.entry == nil {
		return readTokenRequest(r)
	}
	plain := *r
	at := *r.URL
	if at.RawQuery == srv.revokeAt.query {
		at.RawQuery = ""
	}
	plain.URL = &at
	req := readTokenRequest(&plain)
	if bad := srv.checkHeaders(r.Header); req.refusal == nil {
		req.refusal = bad
	}
	return req
}

// revoke revokes the token in the request. An unknown one counts as revoked
// (RFC 7009 §2.2), and the token type hint is not needed to find it. s.mu is held.
func (s *Sandbox) revoke(srv *server, c *client, req tokenRequest) response {
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
		resp := srv.refuse(*bad, req.credentials)
		if resp.status == http.StatusMethodNotAllowed {
			resp.header.Set("Allow", http.MethodPost)
		}
		return resp
	}
	return response{status: http.StatusOK, header: http.Header{"Cache-Control": {"no-store"}}}
}

// revokeToken ends the grant of a refresh token, or revokes only an access token
// (RFC 7009 §2.1). s.mu is held.
func (s *Sandbox) revokeToken(c *client, token string) *refusal {
	foreign := malformed("The token was issued to another client.")
	if rt := s.grants.refreshTokens[token]; rt != nil {
		if rt.grant.client != c {
			return foreign
		}
		s.end(rt.grant)
		s.endAll(c, rt.grant)
		return nil
	}
	if i, ok := s.tokens.active[token]; ok {
		if i.client != c {
			return foreign
		}
		delete(s.tokens.active, token)
		s.endAll(c, i.grant)
	}
	return nil
}
