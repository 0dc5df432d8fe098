package sandbox

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// ErrNoConnection: no client is registered for the connection.
var ErrNoConnection = errors.New("the sandbox has no such connection")

// connectionName matches the name of a connection that is not in a bundle; it is also
// the name of a file.
var connectionName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$`)

// Client is a registration at the plain OAuth 2.0 server.
type Client struct {
	// Connection is its name in the sandbox and the name of its file.
	Connection string
	// ClientID and ClientSecret are random when empty; the secret then has characters
	// that are special in some encoding.
	ClientID     string
	ClientSecret redact.Secret
	// ClientAuth is the only accepted method; empty is client_secret_basic.
	ClientAuth provider.ClientAuth
	// Key is the client's key for private_key_jwt: RSA, P-256, P-384 or Ed25519. The
	// server uses its public key, the connection file has the private key. Nil: a
	// P-256 key is generated.
	Key crypto.Signer
	// KeyID is the kid that assertions must have; empty: they must have none.
	KeyID string
	// Scopes are what it may request, and what it gets when it requests none.
	Scopes []string

	// Delegated registers it for authorization_code and refresh_token instead of
	// client_credentials. The following fields are for such a client only.
	Delegated bool
	// RedirectURIs are its registered redirect URIs; see SetRedirectURIs.
	RedirectURIs []string
	// PostLogoutRedirectURI is where a browser goes that logs out before consent.
	PostLogoutRedirectURI string
	// RequirePKCE refuses authorization requests without a code challenge. A challenge
	// that is sent is always checked.
	RequirePKCE bool
	// Issuer is the iss of authorization responses. Unless it is absent, the connection
	// file has the expected issuer.
	Issuer ResponseIssuer
	// IDToken adds an id_token to the response to a code; its sub is the user's e-mail
	// address.
	IDToken bool
	// Refresh is how its refresh tokens are treated.
	Refresh RefreshPolicy
}

// client is a registered client.
type client struct {
	connection string
	server     *server
	id         string
	secret     redact.Secret
	// previous is the previous secret, valid until previousUntil.
	previous      redact.Secret
	previousUntil time.Time
	auth          []provider.ClientAuth
	key           crypto.Signer
	keyID         string
	scopes        []string
	grantTypes    []string
	// variables, members and certificate are those of an [EntryClient]; username and
	// password are for grant_type password.
	variables   map[string]string
	members     map[string]any
	certificate *x509.Certificate
	username    string
	password    redact.Secret
	// user is the user on whose behalf it acts; empty if the server has none.
	user string
	delegate

	// expiresIn replaces the documented lifetime; zero does not.
	expiresIn time.Duration
	script    []Fault
	counters  Counters
	// seen are the ids of used assertions, and when they expire (Unix seconds).
	seen map[string]int64
}

// clientKey identifies a client by its id: ids are unique per server.
type clientKey struct {
	server *server
	id     string
}

// Register adds a client to the plain OAuth 2.0 server. The error says what is wrong
// with the registration.
func (s *Sandbox) Register(r Client) error {
	c, err := r.client()
	if err == nil {
		err = s.delegate(&c, r)
	}
	if err != nil {
		return fmt.Errorf("register %q: %w", r.Connection, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.clients[r.Connection]; taken {
		return fmt.Errorf("register %q: the name is taken", r.Connection)
	}
	if _, taken := s.byID[clientKey{s.generic, r.ClientID}]; taken {
		return fmt.Errorf("register %q: the client id is taken", r.Connection)
	}
	s.addClient(s.generic, c)
	return nil
}

// delegate sets the part of a client's registration that concerns users.
func (s *Sandbox) delegate(c *client, r Client) (err error) {
	if r.Delegated {
		c.grantTypes = []string{authorizationCode, refreshToken}
		c.delegate, err = s.delegateOf(r)
		return err
	}
	if len(r.RedirectURIs) > 0 || r.PostLogoutRedirectURI != "" || r.RequirePKCE || r.Issuer != "" || r.IDToken || r.Refresh != (RefreshPolicy{}) {
		return errors.New("redirect URIs, PKCE, iss, id_token and a refresh policy are for delegated clients only")
	}
	return nil
}

func (r Client) client() (client, error) {
	c := client{
		connection: r.Connection, id: r.ClientID, secret: r.ClientSecret, keyID: r.KeyID,
		scopes: slices.Clone(r.Scopes), grantTypes: []string{clientCredentials},
	}
	if !connectionName.MatchString(r.Connection) {
		return c, errors.New("the name must be 1 to 64 lower-case letters, digits and inner hyphens")
	}
	method := cmp.Or(r.ClientAuth, provider.ClientSecretBasic)
	if !slices.Contains(provider.ClientAuths(), method) {
		return c, fmt.Errorf("client_auth must be one of %s", provider.ClientAuths())
	}
	c.auth = []provider.ClientAuth{method}
	if method == provider.PrivateKeyJWT {
		return c, c.takeKey(r.Key)
	}
	return c, nil
}

// takeKey sets the client's key, or generates one.
func (c *client) takeKey(key crypto.Signer) (err error) {
	if key == nil {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return fmt.Errorf("generate a key: %w", err)
		}
	}
	_, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil || algorithmOf(key.Public()) == "" {
		return errors.New("the key must be an RSA (2048 bits or more), P-256, P-384 or Ed25519 private key")
	}
	c.key = key
	return nil
}

// addClient completes a client with an id and a secret and registers it. s.mu is
// held, or s is not shared yet.
func (s *Sandbox) addClient(srv *server, c client) {
	id, secret := srv.newClient(s.entropy)
	c.server = srv
	if c.id == "" {
		c.id = id
	}
	if c.secret.IsZero() {
		c.secret = redact.New(secret)
	}
	if c.auth == nil {
		c.auth = srv.auth
	}
	s.clients[c.connection] = &c
	s.byID[clientKey{srv, c.id}] = &c
}

// lookup returns the client of a connection. s.mu is held.
func (s *Sandbox) lookup(connection string) (*client, error) {
	if c, ok := s.clients[connection]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("%q: %w", connection, ErrNoConnection)
}

// usesSecret reports whether the client authenticates with a secret.
func (c *client) usesSecret() bool {
	return slices.ContainsFunc(c.auth, provider.ClientAuth.UsesSecret)
}
