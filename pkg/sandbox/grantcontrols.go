package sandbox

import (
	"errors"
	"slices"
)

// SetRedirectURIs registers where a delegated client's users may be sent back
// to, as the provider's portal does, in place of what was registered before;
// none leaves it without. Each is compared to the letter. Errors are
// ErrNoConnection, a client that is not delegated, and words on what is wrong
// with an address: Creative Force takes none on localhost unless
// Config.LocalRedirects is set.
func (s *Sandbox) SetRedirectURIs(connection string, uris ...string) error {
	return s.redelegate(connection, func(c *client) error {
		if err := s.checkRedirects(c.server, uris...); err != nil {
			return err
		}
		c.redirectURIs = slices.Clone(uris)
		return nil
	})
}

// SetPostLogoutRedirectURI registers where a browser goes whose user logs out
// before authentication has been completed; empty is nowhere. Errors are those
// of SetRedirectURIs.
func (s *Sandbox) SetPostLogoutRedirectURI(connection, uri string) error {
	return s.redelegate(connection, func(c *client) error {
		if uri != "" {
			if err := s.checkRedirects(c.server, uri); err != nil {
				return err
			}
		}
		c.afterLogout = uri
		return nil
	})
}

// SetRefreshPolicy says how a delegated client's refresh tokens are treated
// from now on. Errors are ErrNoConnection, a client that is not delegated, and
// words on what is wrong with the policy.
func (s *Sandbox) SetRefreshPolicy(connection string, policy RefreshPolicy) error {
	policy, err := policy.completed()
	if err != nil {
		return err
	}
	return s.redelegate(connection, func(c *client) error {
		c.policy = policy
		return nil
	})
}

// SetResponseIssuer says what iss a delegated client's authorization responses
// carry from now on. Errors are ErrNoConnection, a client that is not
// delegated, and an unknown value.
func (s *Sandbox) SetResponseIssuer(connection string, iss ResponseIssuer) error {
	if err := iss.check(); err != nil {
		return err
	}
	return s.redelegate(connection, func(c *client) error {
		c.issuer = iss
		return nil
	})
}

// redelegate changes a delegated client.
func (s *Sandbox) redelegate(connection string, change func(*client) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.delegated(connection)
	if err != nil {
		return err
	}
	return change(c)
}

// EndGrants has a user (empty is every user) withdraw what a connection was
// allowed: refreshing ends in invalid_grant, and the access tokens die. It
// returns how many grants ended. Errors are ErrNoConnection and a client that
// is not delegated.
func (s *Sandbox) EndGrants(connection, user string) (ended int, err error) {
	err = s.redelegate(connection, func(c *client) error {
		for g := range s.livingGrants(c) {
			if user == "" || g.user == user {
				s.end(g)
				ended++
			}
		}
		return nil
	})
	return ended, err
}

// ExpireRefreshTokens lets a connection's refresh tokens reach their end now;
// access tokens live on. It returns how many expired, those included that had
// been replaced already. Errors are
// ErrNoConnection and a client that is not delegated.
func (s *Sandbox) ExpireRefreshTokens(connection string) (expired int, err error) {
	err = s.redelegate(connection, func(c *client) error {
		now := s.clock()
		for _, h := range s.grants.handles {
			if h.grant.client == c && !h.grant.ended && !h.hasExpired(now) {
				h.expiresAt = now
				expired++
			}
		}
		return nil
	})
	return expired, err
}

// ForgetCodes has a connection's codes be unknown. It returns how many could
// still have been exchanged. Errors are ErrNoConnection and a client that is
// not delegated.
func (s *Sandbox) ForgetCodes(connection string) (forgotten int, err error) {
	err = s.redelegate(connection, func(c *client) error {
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

// livingGrants are the client's grants with a refresh token that could still
// be exchanged, and how many such tokens each has. s.mu is held.
func (s *Sandbox) livingGrants(c *client) map[*grant]int {
	now, living := s.clock(), map[*grant]int{}
	for _, h := range s.grants.handles {
		replaced := !h.supersededAt.IsZero() && !now.Before(h.supersededAt.Add(c.policy.Grace))
		if h.grant.client == c && !h.grant.ended && !h.hasExpired(now) && !replaced {
			living[h.grant]++
		}
	}
	return living
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
