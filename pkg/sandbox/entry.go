package sandbox

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// The grant types without a user's consent, besides client_credentials. The server
// knows them by these names, whatever a request calls them.
const (
	jwtBearer     = "jwt_bearer"
	passwordGrant = "password"
)

// EntryClient is a client at a server that behaves as an entry of the provider
// catalogue declares. Each has a server of its own, below /entry/CONNECTION.
type EntryClient struct {
	// Entry is the name in the catalogue. Connection is the name of its connection.
	Entry, Connection string
	// GrantType is one that the entry offers; empty is the first of them.
	GrantType string
	// Variables are values of the entry's variables; a missing one gets a value that
	// the entry allows.
	Variables map[string]string
	// ClientAuth is another method than the entry's; empty is the entry's. With
	// private_key_jwt, and with grant_type jwt_bearer, Key signs; nil: a P-256 key is
	// generated. With a Certificate, assertions must name it by x5t#S256.
	ClientAuth  provider.ClientAuth
	Key         crypto.Signer
	Certificate *x509.Certificate
	// RedirectName is what the console calls the first registered redirect URI: requests
	// name it by this. Empty: they have the URI itself.
	RedirectName string
	// Members are further members of the connection file. Assertions are compared with
	// its assertion, key_id and signing_algorithm.
	Members map[string]any
}

// Play adds the clients of an entry of the catalogue: one for each grant type that
// the entry offers. The first one without consent is called as the entry, that with
// consent has the suffix -user, and others have -assertion or -password. An entry that
// is always there adds nothing. Call it before the sandbox serves. The error says why
// the entry cannot be played.
func (s *Sandbox) Play(entry string) error {
	if c, there := s.clients[entry]; there && c.server.provider == entry && c.server.entry == nil {
		return nil
	}
	offered, err := grantsOf(entry)
	if err != nil {
		return err
	}
	base := ""
	for _, grantType := range offered {
		name := entry
		switch {
		case grantType == authorizationCode:
			name += "-user"
		case base == "":
			base = grantType
		case grantType == jwtBearer:
			name += "-assertion"
		default:
			name += "-" + grantType
		}
		if err := s.RegisterEntry(EntryClient{Entry: entry, Connection: name, GrantType: grantType}); err != nil {
			return err
		}
	}
	return nil
}

// CanPlay says why [Sandbox.Play] cannot play an entry; nil if it can.
func CanPlay(entry string) error {
	_, err := grantsOf(entry)
	return err
}

// Delegated are the connections that need a user's consent, sorted.
func (s *Sandbox) Delegated() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, c := range s.clients {
		if c.isDelegated() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// grantsOf are the grant types that an entry offers.
func grantsOf(entry string) ([]string, error) {
	p, known := provider.Lookup(entry)
	switch {
	case !known:
		return nil, fmt.Errorf("%q is not a name of the provider catalogue", entry)
	case p.GrantTypes == nil:
		return []string{clientCredentials, authorizationCode}, nil
	case len(p.GrantTypes) == 0:
		return nil, fmt.Errorf("%q offers no OAuth grant: %s", entry, p.Note)
	}
	return p.GrantTypes, nil
}

// RegisterEntry adds a client and its server. Call it before the sandbox serves. The
// error says what is wrong with the registration.
func (s *Sandbox) RegisterEntry(r EntryClient) error {
	c, err := s.entryClient(r)
	if err != nil {
		return fmt.Errorf("register %q: %w", r.Connection, err)
	}
	s.mount(c.server)
	s.addClient(c.server, c)
	return nil
}

func (s *Sandbox) entryClient(r EntryClient) (client, error) {
	c := client{connection: r.Connection, grantTypes: []string{r.GrantType}, members: r.Members, certificate: r.Certificate}
	offered, err := grantsOf(r.Entry)
	switch _, taken := s.clients[r.Connection]; {
	case err != nil:
		return c, err
	case !connectionName.MatchString(r.Connection):
		return c, errors.New("the name must be 1 to 64 lower-case letters, digits and inner hyphens")
	case taken:
		return c, errors.New("the name is taken")
	case r.GrantType == "":
		c.grantTypes[0] = offered[0]
	case !slices.Contains(offered, r.GrantType):
		return c, fmt.Errorf("the entry offers %s", offered)
	}
	entry, values, err := resolved(r.Entry, r.Variables)
	if err != nil {
		return c, err
	}
	c.variables = values
	c.server = newEntryServer(r.Connection, entry, offered)
	method := cmp.Or(r.ClientAuth, entry.ClientAuth, provider.ClientSecretBasic)
	if c.grantTypes[0] == jwtBearer && r.ClientAuth == "" {
		method = provider.NoClientAuth // the assertion is enough (RFC 7523 §3.1)
	}
	c.auth = []provider.ClientAuth{method}
	err = s.completeEntry(&c, r)
	return c, err
}

// completeEntry adds what the grant type and the client authentication need.
func (s *Sandbox) completeEntry(c *client, r EntryClient) error {
	c.keyID, _ = r.Members["key_id"].(string)
	if c.isDelegated() {
		c.grantTypes = append(c.grantTypes, refreshToken)
		c.requirePKCE = c.auth[0] == provider.NoClientAuth
		c.policy = policyOf(*c.server.entry)
		c.redirectName = r.RedirectName
	}
	if c.grantTypes[0] == passwordGrant {
		c.username, c.password = "user@tenant.example", redact.New(s.entropy.specialSecret())
	}
	if c.auth[0] == provider.PrivateKeyJWT || c.grantTypes[0] == jwtBearer {
		return c.takeKey(r.Key)
	}
	return nil
}

// resolved is an entry with its variables replaced, and their values.
func resolved(name string, given map[string]string) (provider.Provider, map[string]string, error) {
	entry, _ := provider.Lookup(name)
	values := map[string]string{}
	for name, v := range entry.Variables {
		values[name] = sample(v)
	}
	maps.Copy(values, given)
	var err error
	entry = entry.Resolve(values, func(variable, problem string) {
		err = errors.Join(err, fmt.Errorf("variable %q %s", variable, problem))
	})
	return entry, values, err
}

// policyOf is what an entry says about refresh tokens. An unstated rotation is the
// strictest: the service must expect it.
func policyOf(entry provider.Provider) RefreshPolicy {
	p := RefreshPolicy{Rotation: RotateAndDetect, Repeat: RepeatSame, StateLife: entry.Response.RefreshTokenExpiresIn != ""}
	switch entry.RefreshToken.Rotation {
	case provider.RotationKept:
		p.Rotation = RotateNever
	case provider.RotationGrace:
		p.Rotation, p.Grace = RotateAlways, entry.RefreshToken.Grace
	case provider.RotationUntilUsed:
		p.Rotation = RotateUntilUsed
	case provider.RotationStrict:
	}
	return p
}

// endpointAt is an endpoint of an entry: its path below the server's, and the query
// that each request has.
type endpointAt struct{ path, query, fragment string }

// endpointOf puts an endpoint below its server. The host is the first segment, so that
// a wrong host is a wrong path.
func endpointOf(text, fallback string) endpointAt {
	u, err := url.Parse(text)
	if err != nil || text == "" {
		return endpointAt{path: fallback}
	}
	at := endpointAt{path: "/" + u.Host + u.EscapedPath(), query: u.RawQuery}
	if u.Fragment != "" {
		at.fragment = "#" + u.EscapedFragment()
	}
	return at
}

// tenantPath is where the base URL of an entry with one host per tenant is.
const tenantPath = "/tenant"

// newEntryServer is the server of one client.
func newEntryServer(connection string, entry provider.Provider, offered []string) *server {
	srv := &server{
		provider: entry.Name, prefix: "/entry/" + connection, entry: &entry, habit: habits[entry.Name],
		grantTypes: offered,
		expiresIn:  cmp.Or(entry.DefaultExpiresIn, time.Hour),
		newClient:  func(e entropy) (string, string) { return e.uuid(), e.opaque(24) },
		scope:      anyScope,
	}
	srv.success, srv.refuse = srv.entrySuccess, srv.entryRefusal
	srv.token = endpointOf(entry.TokenURL, "/as.example.com/token")
	if entry.TokenPath != "" {
		srv.token = endpointAt{path: tenantPath + entry.TokenPath}
	}
	srv.tokenPath = srv.token.path
	srv.refreshAt = srv.token
	if entry.RefreshURL != "" {
		srv.refreshAt = endpointOf(entry.RefreshURL, "")
	}
	if entry.NeverExpires && entry.RefreshToken == (provider.RefreshToken{}) {
		srv.expiresIn = endless
	}
	if slices.Contains(offered, authorizationCode) {
		srv.delegateEntry(entry)
	}
	return srv
}

// delegateEntry adds what a server has for users.
func (srv *server) delegateEntry(entry provider.Provider) {
	srv.grantTypes = append(slices.Clone(srv.grantTypes), refreshToken)
	srv.authorizeAt = endpointOf(entry.AuthorizationURL, "/as.example.com/authorize")
	srv.delegation = &delegation{
		brand:         entry.Title,
		authorizePath: srv.authorizeAt.path,
		codeLife:      10 * time.Minute,
		refreshLife:   cmp.Or(entry.RefreshToken.ExpiresIn, entry.RefreshToken.IdleExpiresIn),
		sameScope:     entry.Request.RepeatScope,
		people:        []person{{Email: "ada@tenant.example", Name: "Ada"}, {Email: "grace@tenant.example", Name: "Grace"}},
		scope:         anyScope,
		noRefresh:     srv.expiresIn == endless,
	}
	if entry.RevocationURL != "" {
		srv.revokeAt = endpointOf(entry.RevocationURL, "")
		srv.delegation.revocationPath = srv.revokeAt.path
	}
}

// anyScope grants what is requested.
func anyScope(_ *client, requested string) (string, *refusal) {
	if _, ok := scopeTokens(requested); !ok && requested != "" {
		return "", &refusal{code: invalidScope, description: "The scope is malformed."}
	}
	return requested, nil
}

// entryFile is the connection file of a client of an entry. s.mu is held.
func (s *Sandbox) entryFile(c *client) []byte {
	srv := c.server
	file := map[string]any{"provider": srv.provider, "grant_type": c.grantTypes[0], "client_id": c.id}
	if len(c.variables) > 0 {
		file["variables"] = c.variables
	}
	if c.auth[0] != cmp.Or(srv.entry.ClientAuth, provider.ClientSecretBasic) && c.grantTypes[0] != jwtBearer {
		file["client_auth"] = c.auth[0]
	}
	if c.usesSecret() {
		file["client_secret"] = c.secret.Reveal()
	}
	if c.key != nil {
		file["private_key"] = pemText(c)
	}
	if c.certificate != nil {
		file["certificate"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw}))
	}
	if c.username != "" {
		file["username"], file["password"] = c.username, c.password.Reveal()
	}
	s.fileEndpoints(file, c)
	maps.Copy(file, c.members)
	return indented(file)
}

// fileEndpoints adds the endpoints to a connection file. s.mu is held.
func (s *Sandbox) fileEndpoints(file map[string]any, c *client) {
	srv, base := c.server, s.baseURL+c.server.prefix
	if srv.entry.TokenPath != "" {
		file["base_url"] = base + tenantPath
	} else {
		file["token_url"] = srv.token.below(base)
	}
	if srv.entry.Issuer != "" {
		file["issuer"] = base
	}
	if c.isDelegated() {
		file["authorization_url"] = srv.authorizeAt.below(base)
		if srv.refreshAt != srv.token {
			file["refresh_url"] = srv.refreshAt.below(base)
		}
		if c.redirectName != "" {
			file["redirect_uri"] = c.redirectName
		}
		if srv.revokeAt != (endpointAt{}) {
			file["revocation_url"] = srv.revokeAt.below(base)
		}
	}
}

func (e endpointAt) below(base string) string {
	at := base + e.path
	if e.query != "" {
		at += "?" + e.query
	}
	return at + e.fragment
}
