package sandbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Rotation is how a client secret is replaced.
type Rotation struct {
	// Grace is how long the previous secret still works; zero: it stops at once.
	Grace time.Duration
	// Update also writes the new secret to the connection's file in Config.Folder, as
	// an operator would.
	Update bool
}

// Rotate generates a new client secret. If the provider documents it, all access
// tokens are revoked, whatever the grace period. Errors are ErrNoConnection, a
// client without a secret, and a file that cannot be rewritten: the secret has then
// changed nevertheless.
func (s *Sandbox) Rotate(connection string, how Rotation) error {
	if how.Grace < 0 {
		return errors.New("grace must not be negative")
	}
	if how.Update && s.folder == "" {
		return errors.New("there is no folder of connection files to update")
	}
	if err := s.newSecret(connection, how.Grace); err != nil || !how.Update {
		return err
	}
	return s.rewriteSecret(connection)
}

func (s *Sandbox) newSecret(connection string, grace time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return err
	}
	if !c.usesSecret() {
		return fmt.Errorf("%q does not authenticate with a secret", connection)
	}
	_, secret := c.server.newClient(s.entropy)
	c.previous, c.previousUntil = c.secret, s.clock().Add(grace)
	c.secret = redact.New(secret)
	if c.server.rotationRevokesTokens {
		s.revokeAll(c)
	}
	return nil
}

// ChangeUser changes the user on whose behalf a client acts, and revokes its access
// tokens. Errors are ErrNoConnection and a client that acts for no user.
func (s *Sandbox) ChangeUser(connection, user string) error {
	if user == "" {
		return errors.New("user must not be empty")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return err
	}
	if c.user == "" {
		return fmt.Errorf("%q acts on behalf of no user", connection)
	}
	if c.user != user {
		c.user = user
		s.revokeAll(c)
	}
	return nil
}

// Revoke revokes one access token of a connection, or all of them if token is empty,
// and returns their number. The error is ErrNoConnection.
func (s *Sandbox) Revoke(connection string, token redact.Secret) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return 0, err
	}
	s.tokens.sweep(s.clock()) // expired ones are not counted
	if token.IsZero() {
		return s.revokeAll(c), nil
	}
	return s.tokens.remove(func(text string, i issued) bool { return i.client == c && text == token.Reveal() }), nil
}

// revokeAll removes a client's access tokens. s.mu is held.
func (s *Sandbox) revokeAll(c *client) int {
	return s.tokens.remove(func(_ string, i issued) bool { return i.client == c })
}

// SetLifetime sets the lifetime of new access tokens; zero restores the documented
// one. Errors are ErrNoConnection and a lifetime that is negative or not in whole
// seconds.
func (s *Sandbox) SetLifetime(connection string, lifetime time.Duration) error {
	if lifetime < 0 || lifetime%time.Second != 0 {
		return errors.New("expires_in must be whole seconds, and not negative")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return err
	}
	c.expiresIn = lifetime
	return nil
}
