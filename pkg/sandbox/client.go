package sandbox

import (
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

// ErrNoConnection is returned for a connection that nobody registered.
var ErrNoConnection = errors.New("the sandbox has no such connection")

// connectionName is the rule of a single connection's name; it also names a file.
var connectionName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$`)

// Client is a registration at the plain OAuth 2.0 server.
type Client struct {
	// Connection is the name it goes by here and the name of its file.
	Connection string
	// ClientID and ClientSecret are random when empty; the secret then holds
	// characters that every encoding must treat with care.
	ClientID     string
	ClientSecret redact.Secret
	// ClientAuth is the one way it may authenticate; empty is client_secret_basic.
	ClientAuth provider.ClientAuth
	// Key is the client's key for private_key_jwt: RSA, P-256, P-384 or
	// Ed25519. The server uses its public half, the connection file holds it
	// whole. Nil: a P-256 key is made.
	Key crypto.Signer
	// KeyID is the kid that assertions must carry; empty: they must carry none.
	KeyID string
	// Scopes are what it may ask for, and what it gets when it asks for nothing.
	Scopes []string

	// Delegated registers it for authorization_code and refresh_token in place of
	// client_credentials. What follows is for such a client only.
	Delegated bool
	// RedirectURIs are where its users may be sent back to; see SetRedirectURIs.
	RedirectURIs []string
	// PostLogoutRedirectURI is where a browser goes that logs out half-way.
	PostLogoutRedirectURI string
	// RequirePKCE refuses authorization requests without a code challenge. One
	// that is sent counts in any case.
	RequirePKCE bool
	// Issuer is the iss of authorization responses; unless it is absent, the
	// connection file names the issuer to compare it with.
	Issuer ResponseIssuer
	// IDToken puts an id_token beside the tokens that a code is exchanged for; its
	// sub is the user's e-mail address.
	IDToken bool
	// Refresh is how its refresh tokens are treated.
	Refresh RefreshPolicy
}

// client is a registered client: what a developer portal would show of it.
type client struct {
	connection string
	server     *server
	id         string
	secret     redact.Secret
	// previous still works until previousUntil.
	previous      redact.Secret
	previousUntil time.Time
	auth          []provider.ClientAuth
	key           crypto.Signer
	keyID         string
	scopes        []string
	grantTypes    []string
	// user is the one it acts on behalf of; empty where the server has none.
	user string
	delegate

	// expiresIn overrules the documented lifetime; zero does not.
	expiresIn time.Duration
	script    []Fault
	counters  Counters
	// seen are ids of assertions, and when they expire (Unix seconds).
	seen map[string]int64
}

// clientKey finds a client by its id: ids are unique at one server only.
type clientKey struct {
	server *server
	id     string
}

// Register adds a client to the plain OAuth 2.0 server. The error says what is
// wrong with the registration.
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
	s.enrol(s.generic, c)
	return nil
}

// delegate gives a client the part of its registration that concerns users.
func (s *Sandbox) delegate(c *client, r Client) (err error) {
	if r.Delegated {
		c.grantTypes = []string{authorizationCode, refreshToken}
		c.delegate, err = s.delegateOf(r)
		return err
	}
	if len(r.RedirectURIs) > 0 || r.PostLogoutRedirectURI != "" || r.RequirePKCE || r.Issuer != "" || r.IDToken || r.Refresh != (RefreshPolicy{}) {
		return errors.New("redirect URIs, PKCE, iss, id_token and a refresh policy are for delegated clients")
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
	switch r.ClientAuth {
	case "":
		c.auth = []provider.ClientAuth{provider.ClientSecretBasic}
	case provider.ClientSecretPost, provider.ClientSecretBasic, provider.ClientSecretBasicRaw, provider.NoClientAuth:
		c.auth = []provider.ClientAuth{r.ClientAuth}
	case provider.PrivateKeyJWT:
		c.auth = []provider.ClientAuth{r.ClientAuth}
		return c, c.takeKey(r.Key)
	default:
		return c, errors.New("client_auth must be client_secret_post, client_secret_basic, client_secret_basic_raw, private_key_jwt or none")
	}
	return c, nil
}

// takeKey gives the client the key, or makes one.
func (c *client) takeKey(key crypto.Signer) (err error) {
	if key == nil {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
	}
	_, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil || algorithmOf(key.Public()) == "" {
		return errors.New("the key must be an RSA (2048 bits or more), P-256, P-384 or Ed25519 private key")
	}
	c.key = key
	return nil
}

// enrol completes a client with an id and a secret and lists it. s.mu is held,
// or s is not yet shared.
func (s *Sandbox) enrol(srv *server, c client) {
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

// named is the client of a connection. s.mu is held.
func (s *Sandbox) named(connection string) (*client, error) {
	if c, ok := s.clients[connection]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("%q: %w", connection, ErrNoConnection)
}

// usesSecret reports whether the client authenticates with a secret at all.
func (c *client) usesSecret() bool {
	return !slices.Contains(c.auth, provider.PrivateKeyJWT) && !slices.Contains(c.auth, provider.NoClientAuth)
}
