package sandbox

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"
)

// refresh exchanges a refresh token (RFC 6749 §6) and rotates it as the
// client's policy wants. s.mu is held.
func (s *Sandbox) refresh(c *client, req tokenRequest) (issue, *refusal) {
	text := req.form.Get("refresh_token")
	if text == "" {
		return issue{}, malformed("The refresh_token is missing.")
	}
	if !req.reuse { // it may have been superseded while this request was under way
		s.notesReuse(c, text)
	}
	h := s.grants.handles[text]
	if !s.works(c, h) {
		c.counters.Refresh.Refused++
		return issue{}, dead("refresh token")
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

// notesReuse counts the presentation of a refresh token that has a successor,
// and reports whether it was one. s.mu is held.
func (s *Sandbox) notesReuse(c *client, text string) bool {
	h := s.grants.handles[text]
	if h == nil || h.grant.client != c {
		return false
	}
	h.proveHeld()
	if h.supersededAt.IsZero() {
		return false
	}
	c.counters.Refresh.Superseded++
	if h.outlived {
		c.counters.Refresh.Reused++
	}
	return true
}

// works reports whether a refresh token can be used now. One that was
// superseded beyond its grace may cost the whole grant. s.mu is held.
func (s *Sandbox) works(c *client, h *handle) bool {
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

// refreshScope is the scope of the new access token: where the document says
// so exactly the one that was consented to, else any part of it (RFC 6749 §6).
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

// sameScope compares scopes as what they are, sets (RFC 6749 §3.3).
func sameScope(a, b string) bool {
	first, okFirst := scopeTokens(a)
	second, okSecond := scopeTokens(b)
	slices.Sort(first)
	slices.Sort(second)
	return okFirst && okSecond && slices.Equal(slices.Compact(first), slices.Compact(second))
}

// firstHandle is the refresh token of a new grant; nil where the scope asks
// for none. s.mu is held.
func (s *Sandbox) firstHandle(g *grant) *handle {
	asked, _ := scopeTokens(g.scope)
	offline := g.client.server.delegation.offlineScope
	if offline != "" && !slices.Contains(asked, offline) {
		return nil
	}
	return s.newHandle(g, nil)
}

// successor is the refresh token that goes with the answer to h: h itself
// where nothing rotates. s.mu is held.
func (s *Sandbox) successor(h *handle) *handle {
	if h.grant.client.policy.Rotation == RotateNever {
		return h
	}
	if h.supersededAt.IsZero() {
		h.supersededAt = s.clock()
	}
	return s.newHandle(h.grant, h)
}

// issueOf mints a grant's access token, and puts its refresh token beside it.
// s.mu is held.
func (s *Sandbox) issueOf(g *grant, scope string, h *handle) issue {
	i := s.mint(g.client, issued{scope: scope, user: g.user, grant: g, handle: h})
	if h == nil {
		return i
	}
	i.refreshToken = asJSON(h.text)
	if g.client.policy.StateLife && !h.expiresAt.IsZero() {
		i.refreshTokenExpiresIn = int64(h.expiresAt.Sub(s.clock()) / time.Second)
	}
	return i
}

// repeated is how an answer puts a refresh token that stays.
func (c *client) repeated(h *handle) json.RawMessage {
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
