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

// grant is the result of one consent: the family of tokens issued for it.
type grant struct {
	client *client
	user   string
	scope  string
	// ended: the user, a revocation or reuse detection has ended it.
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
	// spent: it was presented. grant is the result; nil if it was refused.
	spent bool
	grant *grant
}

// issuedRefresh is a refresh token; it may have expired.
type issuedRefresh struct {
	text  string
	grant *grant
	// expiresAt is when it expires; zero is never.
	expiresAt time.Time
	// supersededAt is when a successor was first issued; zero is not yet.
	supersededAt time.Time
	// prior is the one that it replaced; nil for the first.
	prior *issuedRefresh
	// successorHeld: the client has shown that it holds a successor.
	successorHeld bool
}

// grants are the codes and refresh tokens of all servers, by their text.
type grants struct {
	codes         map[string]*code
	refreshTokens map[string]*issuedRefresh
	// sweepAt is the size at which expired ones are removed.
	sweepAt int
}

// sweep sometimes removes what has expired, so that the memory of a long run is
// bounded.
func (g *grants) sweep(now time.Time) {
	if len(g.codes)+len(g.refreshTokens) < max(g.sweepAt, 1024) {
		return
	}
	for text, c := range g.codes {
		if !now.Before(c.expiresAt) {
			delete(g.codes, text)
		}
	}
	for text, rt := range g.refreshTokens {
		if rt.hasExpired(now) {
			delete(g.refreshTokens, text)
		}
	}
	g.sweepAt = 2 * (len(g.codes) + len(g.refreshTokens))
}

func (rt *issuedRefresh) hasExpired(now time.Time) bool {
	return !rt.expiresAt.IsZero() && !now.Before(rt.expiresAt)
}

// markHeld records that the client holds rt, and so no longer needs those that rt
// replaced.
func (rt *issuedRefresh) markHeld() {
	if rt == nil {
		return
	}
	for before := rt.prior; before != nil && !before.successorHeld; before = before.prior {
		before.successorHeld = true
	}
}

// grantCode makes a code for what a user has allowed. s.mu is held.
func (s *Sandbox) grantCode(a authorization, user string) string {
	now := s.clock()
	s.grants.sweep(now)
	text := s.entropy.opaque(cmp.Or(a.client.server.habit.codeLength*3/4, 32))
	s.grants.codes[text] = &code{
		client: a.client, user: user, scope: a.scope, redirectURI: a.redirectURI,
		challenge: a.challenge, nonce: a.nonce, expiresAt: now.Add(a.client.server.delegation.codeLife),
	}
	return text
}

// newRefreshToken makes a refresh token of a grant, which replaces prior, if any. s.mu is held.
func (s *Sandbox) newRefreshToken(g *grant, prior *issuedRefresh) *issuedRefresh {
	now := s.clock()
	s.grants.sweep(now)
	rt := &issuedRefresh{text: s.entropy.opaque(32), grant: g, prior: prior}
	if life := cmp.Or(g.client.policy.Life, g.client.server.delegation.refreshLife); life > 0 {
		rt.expiresAt = now.Add(life)
	}
	s.grants.refreshTokens[rt.text] = rt
	return rt
}

// end ends a grant, if it is not nil, and revokes its access tokens. It reports
// whether the grant was active. s.mu is held.
func (s *Sandbox) end(g *grant) bool {
	if g == nil || g.ended {
		return false
	}
	g.ended = true
	s.tokens.remove(func(_ string, i issued) bool { return i.grant == g })
	return true
}

// unusable is the refusal of a code or refresh token, whatever its reason (RFC 6749
// §5.2).
func unusable(what string) *refusal {
	return &refusal{code: invalidGrant, description: "The " + what + " is unknown, expired, used, revoked, or another client's."}
}

// redeem exchanges a code (RFC 6749 §4.1.3). Every presentation by its client uses
// it up, and a second one ends the grant of the first (§4.1.2). s.mu is held.
func (s *Sandbox) redeem(c *client, form url.Values) (issue, *refusal) {
	text := form.Get("code")
	if text == "" {
		return issue{}, malformed("The code is missing.")
	}
	found := s.grants.codes[text]
	if found == nil || found.client != c {
		return issue{}, unusable("code")
	}
	if found.spent {
		s.end(found.grant)
		return issue{}, unusable("code")
	}
	found.spent = true
	if bad := found.check(form, s.clock()); bad != nil {
		return issue{}, bad
	}
	found.grant = &grant{client: c, user: found.user, scope: found.scope}
	i := s.issueOf(found.grant, found.grant.scope, s.firstRefreshToken(found.grant))
	if c.idToken {
		i.idToken = s.idToken(found)
	}
	return i, nil
}

// check compares the authorization request of a code with its token request.
func (c *code) check(form url.Values, now time.Time) *refusal {
	switch {
	case !now.Before(c.expiresAt):
		return unusable("code")
	case form.Get("redirect_uri") != c.redirectURI:
		return &refusal{code: invalidGrant, description: "The redirect_uri is not that of the authorization request."}
	case !c.verifies(form.Get("code_verifier")):
		return &refusal{code: invalidGrant, description: "The code_verifier does not match the code_challenge."}
	case c.client.server.repeatsScope() && c.scope != "" && !form.Has("scope"):
		return &refusal{code: invalidScope, description: "The scope of the authorization request is missing."}
	case form.Has("scope") && !sameScope(form.Get("scope"), c.scope):
		return &refusal{code: invalidScope, description: "The scope is not that of the authorization request."}
	}
	return nil
}

// codeVerifier is RFC 7636 §4.1.
var codeVerifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verifies follows RFC 7636 §4.6. A verifier without a challenge is refused too,
// because an attacker could have removed the challenge (RFC 9700 §4.8.2).
func (c *code) verifies(verifier string) bool {
	if c.challenge == "" || verifier == "" {
		return c.challenge == verifier
	}
	digest := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(digest[:])
	return codeVerifier.MatchString(verifier) && subtle.ConstantTimeCompare([]byte(got), []byte(c.challenge)) == 1
}

// idToken names the user who consented (OpenID Connect Core §2); its signature is
// random. s.mu is held.
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
