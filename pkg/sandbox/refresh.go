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
	h := s.grants.refreshTokens[text]
	if !s.isUsable(c, h) {
		c.counters.Refresh.Refused++
		return issue{}, unusable("refresh token")
	}
	scope, bad := refreshScope(c, h.grant, req.form)
	if bad != nil {
		return issue{}, bad
	}
	c.counters.Refresh.Granted++
	next := s.successor(h)
	i := s.issueOf(h.grant, scope, next)
	if next == h {
		i.refreshToken = c.repeated(h)
	}
	return i, nil
}

// detectReuse reports whether the refresh token has a successor, and counts its use.
// s.mu is held.
func (s *Sandbox) detectReuse(c *client, text string) bool {
	h := s.grants.refreshTokens[text]
	if h == nil || h.grant.client != c {
		return false
	}
	h.markHeld()
	if h.supersededAt.IsZero() {
		return false
	}
	c.counters.Refresh.Superseded++
	if h.successorHeld {
		c.counters.Refresh.Reused++
	}
	return true
}

// isUsable reports whether a refresh token can be used now. Using a superseded one
// after its grace period may end the grant. s.mu is held.
func (s *Sandbox) isUsable(c *client, h *refresh) bool {
	now := s.clock()
	if h == nil || h.grant.client != c || h.grant.ended || h.hasExpired(now) {
		return false
	}
	if h.supersededAt.IsZero() || now.Before(h.supersededAt.Add(c.policy.Grace)) {
		return true
	}
	if c.policy.Rotation == RotateAndDetect && s.end(h.grant) {
		c.counters.Refresh.Detected++
	}
	return false
}

// refreshScope is the scope of the new access token: any part of the scope that was
// consented to (RFC 6749 §6), or exactly that scope if the provider documents it.
func refreshScope(c *client, g *grant, form url.Values) (string, *refusal) {
	requested := form.Get("scope")
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
func (s *Sandbox) firstRefreshToken(g *grant) *refresh {
	asked, _ := scopeTokens(g.scope)
	offline := g.client.server.delegation.offlineScope
	if offline != "" && !slices.Contains(asked, offline) {
		return nil
	}
	return s.newRefreshToken(g, nil)
}

// successor is the refresh token in the response to h: h itself without rotation.
// s.mu is held.
func (s *Sandbox) successor(h *refresh) *refresh {
	if h.grant.client.policy.Rotation == RotateNever {
		return h
	}
	if h.supersededAt.IsZero() {
		h.supersededAt = s.clock()
	}
	return s.newRefreshToken(h.grant, h)
}

// issueOf mints an access token of a grant and adds its refresh token. s.mu is held.
func (s *Sandbox) issueOf(g *grant, scope string, h *refresh) issue {
	i := s.mint(g.client, issued{scope: scope, user: g.user, grant: g, refresh: h})
	if h == nil {
		return i
	}
	i.refreshToken = asJSON(h.text)
	if g.client.policy.StateLife && !h.expiresAt.IsZero() {
		i.refreshTokenExpiresIn = int64(h.expiresAt.Sub(s.clock()) / time.Second)
	}
	return i
}

// repeated is the member refresh_token of a response that keeps the refresh token.
func (c *client) repeated(h *refresh) json.RawMessage {
	switch c.policy.Repeat {
	case RepeatOmit:
		return nil
	case RepeatEmpty:
		return asJSON("")
	case RepeatNull:
		return json.RawMessage("null")
	case RepeatSame:
	}
	return asJSON(h.text)
}
