package sandbox

import (
	"errors"
	"slices"
)

// SetRedirectURIs replaces the registered redirect URIs of a delegated client, as in
// the provider's portal; without arguments it removes them. Each is compared
// exactly. Errors are ErrNoConnection, a client that is not delegated, and an
// invalid URI: Creative Force accepts none on localhost unless
// Config.LocalRedirects is set.
func (s *Sandbox) SetRedirectURIs(connection string, uris ...string) error {
	return s.updateDelegated(connection, func(c *client) error {
		if err := s.checkRedirects(c.server, uris...); err != nil {
			return err
		}
		c.redirectURIs = slices.Clone(uris)
		return nil
	})
}

// SetPostLogoutRedirectURI sets where a browser is redirected whose user logs out
// before consent; empty is nowhere. Errors are those of SetRedirectURIs.
func (s *Sandbox) SetPostLogoutRedirectURI(connection, uri string) error {
	return s.updateDelegated(connection, func(c *client) error {
		if uri != "" {
			if err := s.checkRedirects(c.server, uri); err != nil {
				return err
			}
		}
		c.afterLogout = uri
		return nil
	})
}

// SetRefreshPolicy sets how a delegated client's refresh tokens are handled from now
// on. Errors are ErrNoConnection, a client that is not delegated, and an invalid
// policy.
func (s *Sandbox) SetRefreshPolicy(connection string, policy RefreshPolicy) error {
	policy, err := policy.completed()
	if err != nil {
		return err
	}
	return s.updateDelegated(connection, func(c *client) error {
		c.policy = policy
		return nil
	})
}

// SetResponseIssuer sets the iss of a delegated client's authorization responses
// from now on. Errors are ErrNoConnection, a client that is not delegated, and an
// unknown value.
func (s *Sandbox) SetResponseIssuer(connection string, iss ResponseIssuer) error {
	if err := iss.check(); err != nil {
		return err
	}
	return s.updateDelegated(connection, func(c *client) error {
		c.issuer = iss
		return nil
	})
}

// updateDelegated changes a delegated client.
func (s *Sandbox) updateDelegated(connection string, change func(*client) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.delegated(connection)
	if err != nil {
		return err
	}
	return change(c)
}

// EndGrants ends the grants that a user (empty is every user) gave a connection, as
// if the user had withdrawn consent: a refresh returns invalid_grant, and the access
// tokens are revoked. It returns the number of ended grants. Errors are
// ErrNoConnection and a client that is not delegated.
func (s *Sandbox) EndGrants(connection, user string) (ended int, err error) {
	err = s.updateDelegated(connection, func(c *client) error {
		for g := range s.activeGrants(c) {
			if user == "" || g.user == user {
				s.end(g)
				ended++
			}
		}
		return nil
	})
	return ended, err
}

// ExpireRefreshTokens makes all refresh tokens of a connection expire now; access
// tokens stay valid. It returns their number, including replaced ones. Errors are
// ErrNoConnection and a client that is not delegated.
func (s *Sandbox) ExpireRefreshTokens(connection string) (expired int, err error) {
	err = s.updateDelegated(connection, func(c *client) error {
		now := s.clock()
		for _, rt := range s.grants.refreshTokens {
			if rt.grant.client == c && !rt.grant.ended && !rt.hasExpired(now) {
				rt.expiresAt = now
				expired++
			}
		}
		return nil
	})
	return expired, err
}

// ForgetCodes removes all codes of a connection. It returns how many could still have
// been exchanged. Errors are ErrNoConnection and a client that is not delegated.
func (s *Sandbox) ForgetCodes(connection string) (forgotten int, err error) {
	err = s.updateDelegated(connection, func(c *client) error {
		now := s.clock()
		for text, found := range s.grants.codes {
			if found.client != c {
				continue
			}
			if !found.spent && now.Before(found.expiresAt) {
				forgotten++
			}
			delete(s.grants.codes, text)
		}
		return nil
	})
	return forgotten, err
}

// activeGrants are the client's grants with a usable refresh token, with the number of
// such tokens. s.mu is held.
func (s *Sandbox) activeGrants(c *client) map[*grant]int {
	now, active := s.clock(), map[*grant]int{}
	for _, rt := range s.grants.refreshTokens {
		replaced := !rt.supersededAt.IsZero() && !now.Before(rt.supersededAt.Add(c.policy.Grace))
		if c.policy.Rotation == RotateUntilUsed {
			replaced = rt.successorHeld
		}
		if rt.grant.client == c && !rt.grant.ended && !rt.hasExpired(now) && !replaced {
			active[rt.grant]++
		}
	}
	return active
}

// delegateOf is the part of a registration that concerns users.
func (s *Sandbox) delegateOf(r Client) (delegate, error) {
	d := delegate{
		redirectURIs: slices.Clone(r.RedirectURIs), afterLogout: r.PostLogoutRedirectURI,
		requirePKCE: r.RequirePKCE, issuer: r.Issuer, idToken: r.IDToken,
	}
	var err error
	if d.policy, err = r.Refresh.completed(); err != nil {
		return d, err
	}
	uris := d.redirectURIs
	if d.afterLogout != "" {
		uris = append(slices.Clone(uris), d.afterLogout)
	}
	return d, errors.Join(s.checkRedirects(s.generic, uris...), d.issuer.check())
}
