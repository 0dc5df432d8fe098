package sandbox

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"regexp"
	"time"
)

// grant is what one consent left behind: the family of tokens that came of it.
type grant struct {
	client *client
	user   string
	scope  string
	// ended: the user, a revocation or reuse detection has put an end to it.
	ended bool
}

// code is an authorization code (RFC 6749 §4.1.2).
type code struct {
	client                   *client
	user, scope, redirectURI string
	// challenge is the S256 code challenge; empty when none was sent.
	challenge string
	nonce     string
	expiresAt time.Time
	// spent: it was presented. grant is what came of it; nil for nothing.
	spent bool
	grant *grant
}

// handle is a refresh token.
type handle struct {
	text  string
	grant *grant
	// expiresAt is its end; zero is never.
	expiresAt time.Time
	// supersededAt is when a successor was first issued; zero is not yet.
	supersededAt time.Time
	// prior is the one that this one replaced; nil for the first.
	prior *handle
	// outlived: the client has shown that it holds a successor.
	outlived bool
}

// grants are the codes and refresh tokens of all servers, by their text.
type grants struct {
	codes   map[string]*code
	handles map[string]*handle
	// sweepAt is the size at which what has expired is thrown out.
	sweepAt int
}

// sweep now and then throws out what has expired, so that a long run does not grow.
func (g *grants) sweep(now time.Time) {
	if len(g.codes)+len(g.handles) < max(g.sweepAt, 1024) {
		return
	}
	for text, c := range g.codes {
		if !now.Before(c.expiresAt) {
			delete(g.codes, text)
		}
	}
	for text, h := range g.handles {
		if h.hasExpired(now) {
			delete(g.handles, text)
		}
	}
	g.sweepAt = 2 * (len(g.codes) + len(g.handles))
}

func (h *handle) hasExpired(now time.Time) bool {
	return !h.expiresAt.IsZero() && !now.Before(h.expiresAt)
}

// proveHeld remembers that the client has h, so that it has no use any more
// for those that h replaced.
func (h *handle) proveHeld() {
	if h == nil {
		return
	}
	for before := h.prior; before != nil && !before.outlived; before = before.prior {
		before.outlived = true
	}
}

// grantCode makes a code for what a user has allowed. s.mu is held.
func (s *Sandbox) grantCode(a authorization, user string) string {
	now := s.clock()
	s.grants.sweep(now)
	text := s.entropy.opaque(32)
	s.grants.codes[text] = &code{
		client: a.client, user: user, scope: a.scope, redirectURI: a.redirectURI,
		challenge: a.challenge, nonce: a.nonce, expiresAt: now.Add(a.client.server.delegation.codeLife),
	}
	return text
}

// newHandle makes a refresh token of a grant that replaces prior, if any. s.mu is held.
func (s *Sandbox) newHandle(g *grant, prior *handle) *handle {
	now := s.clock()
	s.grants.sweep(now)
	h := &handle{text: s.entropy.opaque(32), grant: g, prior: prior}
	if life := cmp.Or(g.client.policy.Life, g.client.server.delegation.refreshLife); life > 0 {
		h.expiresAt = now.Add(life)
	}
	s.grants.handles[h.text] = h
	return h
}

// end puts an end to a grant and kills its access tokens; nil has none. It
// reports whether the grant was alive. s.mu is held.
func (s *Sandbox) end(g *grant) bool {
	if g == nil || g.ended {
		return false
	}
	g.ended = true
	s.tokens.kill(func(_ string, i issued) bool { return i.grant == g })
	return true
}

// dead is the one refusal of a code or refresh token that is good for nothing:
// it does not say why (RFC 6749 §5.2).
func dead(what string) *refusal {
	return &refusal{code: invalidGrant, description: "The " + what + " is unknown, expired, used, revoked, or another client's."}
}

// redeem exchanges a code (RFC 6749 §4.1.3). Any presentation by its own
// client spends it, and a second one ends what came of the first (§4.1.2).
// s.mu is held.
func (s *Sandbox) redeem(c *client, form url.Values) (issue, *refusal) {
	text := form.Get("code")
	if text == "" {
		return issue{}, malformed("The code is missing.")
	}
	found := s.grants.codes[text]
	if found == nil || found.client != c {
		return issue{}, dead("code")
	}
	if found.spent {
		s.end(found.grant)
		return issue{}, dead("code")
	}
	found.spent = true
	if bad := found.check(form, s.clock()); bad != nil {
		return issue{}, bad
	}
	found.grant = &grant{client: c, user: found.user, scope: found.scope}
	i := s.issueOf(found.grant, found.grant.scope, s.firstHandle(found.grant))
	if c.idToken {
		i.idToken = s.idToken(found)
	}
	return i, nil
}

// check compares what a code was made for with what it is presented with.
func (c *code) check(form url.Values, now time.Time) *refusal {
	switch {
	case !now.Before(c.expiresAt):
		return dead("code")
	case form.Get("redirect_uri") != c.redirectURI:
		return &refusal{code: invalidGrant, description: "The redirect_uri is not that of the authorization request."}
	case !c.verifies(form.Get("code_verifier")):
		return &refusal{code: invalidGrant, description: "The code_verifier does not match the code_challenge."}
	case form.Has("scope") && !sameScope(form.Get("scope"), c.scope):
		return &refusal{code: invalidScope, description: "The scope is not that of the authorization request."}
	}
	return nil
}

// codeVerifier is RFC 7636 §4.1.
var codeVerifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verifies is RFC 7636 §4.6. A verifier without a challenge is refused too,
// else an attacker could strip the challenge (RFC 9700 §4.8.2).
func (c *code) verifies(verifier string) bool {
	if c.challenge == "" || verifier == "" {
		return c.challenge == verifier
	}
	digest := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(digest[:])
	return codeVerifier.MatchString(verifier) && subtle.ConstantTimeCompare([]byte(got), []byte(c.challenge)) == 1
}

// idToken says who consented (OpenID Connect Core §2), unsigned. s.mu is held.
func (s *Sandbox) idToken(from *code) string {
	now := s.clock()
	claims := map[string]any{
		"iss": s.issuerOf(from.client.server), "sub": from.user, "aud": from.client.id,
		"iat": now.Unix(), "exp": now.Add(from.client.lifetime()).Unix(),
	}
	if from.nonce != "" {
		claims["nonce"] = from.nonce
	}
	return s.unsigned(claims)
}
