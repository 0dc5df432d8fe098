package sandbox

import (
	"maps"
	"slices"
	"time"
)

// earlyBy is how long before the end of an access token a server that refuses early
// refreshes begins to accept them.
const earlyBy = 30 * time.Second

// isEarly reports whether a refresh comes before the server allows it. s.mu is held.
func (s *Sandbox) isEarly(c *client, g *grant) bool {
	if c.server.entry == nil || !c.server.entry.NoEarlyRefresh {
		return false
	}
	valid := s.clock().Add(earlyBy)
	for _, i := range s.tokens.active {
		if i.grant == g && i.expiresAt.After(valid) {
			return true
		}
	}
	return false
}

// revokesOld reports whether a new access token revokes the one before.
func (srv *server) revokesOld() bool { return srv.entry != nil && srv.entry.NewTokenRevokesOld }

// repeatsScope reports whether requests with a code must name the scope.
func (srv *server) repeatsScope() bool { return srv.entry != nil && srv.entry.Request.RepeatScope }

// endAll ends all grants of a grant's user and client, where the server documents that
// revoking one token does. s.mu is held.
func (s *Sandbox) endAll(c *client, g *grant) {
	if g == nil || c.server.entry == nil || !c.server.entry.RevocationEndsGrant {
		return
	}
	s.end(g)
	for other := range s.activeGrants(c) {
		if other.user == g.user {
			s.end(other)
		}
	}
}

// callback is the name of the code in authorization responses, and the further
// parameters, alternately name and value.
func (srv *server) callback() (code string, extra []string) {
	if srv.entry == nil {
		return "code", nil
	}
	code = "code"
	if srv.entry.Callback.Code != "" {
		code = srv.entry.Callback.Code
	}
	for _, param := range slices.Sorted(maps.Values(srv.entry.Callback.Extra)) {
		extra = append(extra, param, "sandbox-"+param)
	}
	return code, extra
}
