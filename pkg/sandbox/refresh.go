package sandbox

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"
)

// refresh exchanges a refresh token (RFC 6749 §6) and rotates it by the policy of
// the client. s.mu is held.
func (s *Sandbox) refresh(c *client, req tokenRequest) (issue, *refusal) {
	text := req.form.Get("refresh_token")
	if text == "" {
		return issue{}, malformed("The refresh_token is missing.")
	}
	if !req.reuse { // it may have been superseded during this request
		s.detectReuse(c, text)
	}
	rt := s.grants.refreshTokens[text]
	if !s.isUsable(c, rt) {
		c.counters.Refresh.Refused++
		return issue{}, unusable("refresh token")
	}
	scope, bad := refreshScope(c, rt.grant, req.form)
	if bad != nil {
		return issue{}, bad
	}
	if s.isEarly(c, rt.grant) {
		return issue{}, malformed("The access token has not expired yet.")
	}
	c.counters.Refresh.Granted++
	next := s.successor(rt)
	i := s.issueOf(rt.grant, scope, next)
	if next == rt {
		i.refreshToken = c.repeated(rt)
	}
	return i, nil
}

// detectReuse reports whether the refresh token has a successor, and counts its use.
// s.mu is held.
func (s *Sandbox) detectReuse(c *client, text string) bool {
	rt := s.grants.refreshTokens[text]
	if rt == nil || rt.grant.client != c {
		return false
	}
	rt.markHeld()
	if rt.supersededAt.IsZero() {
		return false
	}
	c.counters.Refresh.Superseded++
	if rt.successorHeld {
		c.counters.Refresh.Reused++
	}
	return true
}

// isUsable reports whether a refresh token can be used now. Using a superseded one
// after its grace period may end the grant. s.mu is held.
func (s *Sandbox) isUsable(c *client, rt *issuedRefresh) bool {
	now := s.clock()
	if rt == nil || rt.grant.client != c || rt.grant.ended || rt.hasExpired(now) {
		return false
	}
	if rt.supersededAt.IsZero() || now.Before(rt.supersededAt.Add(c.policy.Grace)) {
		return true
	}
	if c.policy.Rotation == RotateUntilUsed && !rt.successorHeld {
		return true
	}
	if c.policy.Rotation == RotateAndDetect && s.end(rt.grant) {
		c.counters.Refresh.Detected++
	}
	return false
}

// refreshScope is the scope of the new access token: any part of the scope that was
// consented to (RFC 6749 §6), or exactly that scope if the provider documents it.
func refreshScope(c *client, g *grant, form url.Values) (string, *refusal) {
	requested := form.Get("scope")
	if requested == "" && g.scope == "" {
		return "", nil
	}
	if c.server.delegation.sameScope {
		if !sameScope(requested, g.scope) {
			return "", &refusal{code: invalidScope, description: "Use the same scope as when the code was made."}
		}
		return g.scope, nil
	}
	if requested == "" {
		return g.scope, nil
	}
	asked, ok := scopeTokens(requested)
	granted, _ := scopeTokens(g.scope)
	if !ok || slices.ContainsFunc(asked, func(t string) bool { return !slices.Contains(granted, t) }) {
		return "", &refusal{code: invalidScope, description: "The scope exceeds what was consented to."}
	}
	return requested, nil
}

// sameScope compares scopes as sets (RFC 6749 §3.3).
func sameScope(a, b string) bool {
	first, okFirst := scopeTokens(a)
	second, okSecond := scopeTokens(b)
	slices.Sort(first)
	slices.Sort(second)
	return okFirst && okSecond && slices.Equal(slices.Compact(first), slices.Compact(second))
}

// firstRefreshToken is the refresh token of a new grant; nil if the scope does not
// include one. s.mu is held.
func (s *Sandbox) firstRefreshToken(g *grant) *issuedRefresh {
	if g.client.server.delegation.noRefresh {
		return nil
	}
	asked, _ := scopeTokens(g.scope)
	offline := g.client.server.delegation.offlineScope
	if offline != "" && !slices.Contains(asked, offline) {
		return nil
	}
	return s.newRefreshToken(g, nil)
}

// successor is the refresh token in the response to rt: rt itself without rotation.
// s.mu is held.
func (s *Sandbox) successor(rt *issuedRefresh) *issuedRefresh {
	if rt.grant.client.policy.Rotation == RotateNever {
		return rt
	}
	if rt.supersededAt.IsZero() {
		rt.supersededAt = s.clock()
	}
	return s.newRefreshToken(rt.grant, rt)
}

// issueOf mints an access token of a grant and adds its refresh token. s.mu is held.
func (s *Sandbox) issueOf(g *grant, scope string, rt *issuedRefresh) issue {
	i := s.mint(g.client, issued{scope: scope, user: g.user, grant: g, refresh: rt})
	if rt == nil {
		return i
	}
	i.refreshToken = asJSON(rt.text)
	if g.client.policy.StateLife && !rt.expiresAt.IsZero() {
		i.refreshTokenExpiresIn = int64(rt.expiresAt.Sub(s.clock()) / time.Second)
	}
	return i
}

// repeated is the member refresh_token of a response that keeps the refresh token.
func (c *client) repeated(rt *issuedRefresh) json.RawMessage {
	switch c.policy.Repeat {
	case RepeatOmit:
		return nil
	case RepeatEmpty:
		return asJSON("")
	case RepeatNull:
		return json.RawMessage("null")
	case RepeatSame:
	}
	return asJSON(rt.text)
}
