package sandbox

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// issued is an access token that has not been revoked; it may have expired.
type issued struct {
	client *client
	scope  string
	// user is the user on whose behalf it was minted.
	user      string
	expiresAt time.Time
	// grant is the result of a user's consent; nil without one.
	grant *grant
	// refresh is the refresh token in the same response, or the one that was kept; nil
	// for none.
	refresh *issuedRefresh
}

// tokens are the access tokens of all servers, by their text.
type tokens struct {
	active map[string]issued
	// sweepAt is the size at which expired ones are removed.
	sweepAt int
}

// add stores a token, and sometimes removes expired ones, so that the memory of a
// long run is bounded.
func (t *tokens) add(text string, i issued, now time.Time) {
	if len(t.active) >= max(t.sweepAt, 1024) {
		t.sweep(now)
		t.sweepAt = 2 * len(t.active)
	}
	t.active[text] = i
}

// sweep removes the tokens that have expired.
func (t *tokens) sweep(now time.Time) {
	t.remove(func(_ string, i issued) bool { return !now.Before(i.expiresAt) })
}

// remove removes the tokens that match and returns their number.
func (t *tokens) remove(match func(text string, i issued) bool) int {
	before := len(t.active)
	for text, i := range t.active {
		if match(text, i) {
			delete(t.active, text)
		}
	}
	return before - len(t.active)
}

// serveToken is the token endpoint of one server. It counts the request, then
// responds normally or with the next fault of the connection.
func (s *Sandbox) serveToken(srv *server, w http.ResponseWriter, r *http.Request) {
	req := srv.readRequest(r)
	c, fault := s.receive(srv, &req)
	s.respondWith(w, r, fault, c, func() response {
		s.mu.Lock()
		defer s.mu.Unlock()
		resp := s.respond(srv, c, req)
		if !fault.replaces() {
			s.countersOf(c).count(resp.outcome)
		}
		return resp
	})
}

// receive counts a request before it can fail, and takes the next fault.
func (s *Sandbox) receive(srv *server, req *tokenRequest) (*client, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find(srv, req.credentials)
	counters := s.countersOf(c)
	counters.Total++
	grantType := req.form.Get("grant_type")
	if c != nil && grantType == refreshToken {
		counters.Refresh.Requests++
		req.reuse = s.detectReuse(c, req.form.Get("refresh_token"))
	}
	fault := c.nextFault(grantType)
	if fault.replaces() {
		counters.count(outcomeFault)
	}
	return c, fault
}

// respond handles the request. s.mu is held.
func (s *Sandbox) respond(srv *server, c *client, req tokenRequest) response {
	i, bad := s.issueToken(srv, c, req)
	if bad != nil {
		resp := srv.refuse(*bad, req.credentials)
		if resp.status == http.StatusMethodNotAllowed {
			resp.header.Set("Allow", http.MethodPost)
		}
		return resp
	}
	return jsonResponse(http.StatusOK, srv.success(i), outcomeIssued)
}

// issueToken returns the token for a request. s.mu is held.
func (s *Sandbox) issueToken(srv *server, c *client, req tokenRequest) (issue, *refusal) {
	if bad := s.checkRequest(srv, c, req); bad != nil {
		return issue{}, bad
	}
	switch req.form.Get("grant_type") {
	case authorizationCode:
		return s.redeem(c, req.form)
	case refreshToken:
		return s.refresh(c, req)
	case jwtBearer:
		return s.redeemAssertion(c, req.form)
	case passwordGrant:
		if req.form.Get("username") != c.username || !equal(c.password, req.form.Get("password")) {
			return issue{}, unusable("password")
		}
	}
	scope, bad := srv.scope(c, req.form.Get("scope"))
	if bad != nil {
		return issue{}, bad
	}
	i := s.mint(c, issued{scope: scope, user: c.user})
	if srv.refreshToken {
		i.refreshToken = asJSON(s.entropy.opaque(16))
	}
	return i, nil
}

// checkRequest checks whether the client may make the request. s.mu is held.
func (s *Sandbox) checkRequest(srv *server, c *client, req tokenRequest) *refusal {
	if req.refusal != nil {
		return req.refusal
	}
	if bad := s.authenticate(c, req); bad != nil {
		return bad
	}
	grantType := req.form.Get("grant_type")
	switch {
	case grantType == "":
		return malformed("The grant_type is missing.")
	case !slices.Contains(srv.grantTypes, grantType):
		return &refusal{code: unsupportedGrantType, description: "The grant_type is not supported."}
	case !slices.Contains(c.grantTypes, grantType):
		return &refusal{code: unauthorizedClient, description: "The client may not use this grant_type."}
	}
	return nil
}

// mint makes an access token with the scope, user and grant of allowed. s.mu is held.
func (s *Sandbox) mint(c *client, allowed issued) issue {
	now, life := s.clock(), c.lifetime()
	if c.server.revokesOld() {
		s.tokens.remove(func(_ string, old issued) bool { return old.client == c && old.grant == allowed.grant })
	}
	i := issue{scope: allowed.scope, user: allowed.user, expiresIn: int64(life / time.Second), expiresAt: now.Add(life)}
	if c.server.jwt {
		i.accessToken = s.jwtLookalike(c, allowed.scope, now, now.Add(life))
	} else {
		i.accessToken = s.entropy.opaque(32)
	}
	allowed.client, allowed.expiresAt = c, now.Add(life)
	s.tokens.add(i.accessToken, allowed, now)
	return i
}

// lifetime is the documented one, or the one set by SetLifetime.
func (c *client) lifetime() time.Duration { return cmp.Or(c.expiresIn, c.server.expiresIn) }

// jwtLookalike has the parts and the claims of a JSON Web Token. Clients must treat
// access tokens as opaque (RFC 6749 §1.4).
func (s *Sandbox) jwtLookalike(c *client, scope string, now, expiresAt time.Time) string {
	return s.unsigned(map[string]any{
		"iss": s.issuerOf(c.server), "sub": c.id, "client_id": c.id, "scope": scope,
		"iat": now.Unix(), "exp": expiresAt.Unix(), "jti": s.entropy.hex(16),
	})
}

// unsigned is a JSON Web Token with a random signature.
func (s *Sandbox) unsigned(claims map[string]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		panic("sandbox: unmarshalable claims: " + err.Error())
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + encode(text) + "." + s.entropy.opaque(256)
}

// issuerOf is a server's issuer identifier (RFC 8414 §2). s.mu is held.
func (s *Sandbox) issuerOf(srv *server) string { return s.baseURL + srv.prefix }
