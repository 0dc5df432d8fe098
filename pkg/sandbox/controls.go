package sandbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Rotation is how a client secret is replaced.
type Rotation struct {
	// Grace is how long the previous secret still works; zero is not at all.
	Grace time.Duration
	// Update also writes the new secret into the connection's file in
	// Config.Folder, as an operator would.
	Update bool
}

// Rotate generates a new client secret. Where the documents say so, the tokens
// that exist die, whatever the grace. Errors are ErrNoConnection, a client
// without a secret, and a file that cannot be rewritten: then the secret has
// changed all the same.
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
	c, err := s.named(connection)
	if err != nil {
		return err
	}
	if !c.usesSecret() {
		return fmt.Errorf("%q does not authenticate with a secret", connection)
	}
	_, secret := c.server.newClient(s.entropy)
	c.previous, c.previousUntil = c.secret, s.clock().Add(grace)
	c.secret = redact.New(secret)
	if c.server.diesWithSecret {
		s.killAll(c)
	}
	return nil
}

// ChangeUser changes the user on whose behalf a client acts; its tokens die.
// Errors are ErrNoConnection and a client that acts for nobody.
func (s *Sandbox) ChangeUser(connection, user string) error {
	if user == "" {
		return errors.New("user must not be empty")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.named(connection)
	if err != nil {
		return err
	}
	if c.user == "" {
		return fmt.Errorf("%q acts on behalf of no user", connection)
	}
	if c.user != user {
		c.user = user
		s.killAll(c)
	}
	return nil
}

// Revoke kills one access token of a connection, or all of them when token is
// empty, and returns how many died. The error is ErrNoConnection.
func (s *Sandbox) Revoke(connection string, token redact.Secret) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.named(connection)
	if err != nil {
		return 0, err
	}
	s.tokens.sweep(s.clock()) // an expired one does not die again
	if token.IsZero() {
		return s.killAll(c), nil
	}
	return s.tokens.kill(func(text string, i issued) bool { return i.client == c && text == token.Reveal() }), nil
}

// killAll kills a client's tokens. s.mu is held.
func (s *Sandbox) killAll(c *client) int {
	return s.tokens.kill(func(_ string, i issued) bool { return i.client == c })
}

// SetLifetime makes the tokens that are minted from now on live that long;
// zero is the documented lifetime again. Errors are ErrNoConnection and a
// lifetime that is negative or not in whole seconds.
func (s *Sandbox) SetLifetime(connection string, life time.Duration) error {
	if life < 0 || life%time.Second != 0 {
		return errors.New("expires_in must be whole seconds, and not negative")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.named(connection)
	if err != nil {
		return err
	}
	c.expiresIn = life
	return nil
}
