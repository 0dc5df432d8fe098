// Package sandbox imitates the authorization servers of the supported providers,
// exactly as their documentation describes them, so that the service runs and is
// tested without an account at any provider.
//
// A [Sandbox] is an http.Handler with four servers: Creative Force, Agile.Now,
// Cliquify, and a plain RFC 6749 server for all client authentication methods.
// Each has a token endpoint and a resource that refuses invalid tokens, so that
// tests can check whether a token works. Creative Force and the plain server also
// support users: they have pages for signing in and for consent, and a revocation
// endpoint. [Sandbox.Play] adds a server for any entry of the provider catalogue, made
// from what the entry declares: it refuses a client that does not follow the entry.
// Where the documentation is silent, RFC 6749, 6750 and 7009 apply, strictly.
//
// Faults are injected on demand: secrets rotate, tokens are revoked, responses are
// late, broken or missing. Each such control exists twice under one name, as a
// method for tests in the same process and as a control endpoint ([Help]).
//
// It is not a production server: its state is in memory, its control endpoints
// need no authentication, and its JSON Web Tokens have random signatures.
// Production packages never import it.
package sandbox

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config configures a [Sandbox]. The zero Config works in the same process once
// SetBaseURL has been called.
type Config struct {
	// BaseURL is the scheme and host of the sandbox, without a trailing slash. If it
	// is empty, call SetBaseURL: with httptest the address is known only later.
	BaseURL string
	// Folder has the local connection files, for the controls that rewrite one.
	// Empty: there are none, and such a control is refused.
	Folder string
	// LocalRedirects allows redirect URIs on localhost at Creative Force. Its
	// documentation refuses them, but a local run needs them.
	LocalRedirects bool
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// Rand is the randomness of ids, secrets and tokens; nil is crypto/rand.Reader.
	// A read error panics, as in crypto/rand. Generated private keys always use
	// crypto/rand.
	Rand io.Reader
	// Wait waits for the latency of a Fault, and fails if the context ends first; nil
	// is a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// Sandbox is the four servers and their state. It is safe for concurrent use.
type Sandbox struct {
	folder         string
	localRedirects bool

	now     func() time.Time
	wait    func(ctx context.Context, d time.Duration) error
	routes  map[string]http.HandlerFunc
	control http.Handler
	// generic is the server that Register adds clients to.
	generic *server
	// files serializes rewrites of connection files; it is locked before mu.
	files sync.Mutex

	mu             sync.Mutex // guards what follows
	entropy        entropy
	baseURL        string
	clients        map[string]*client // by connection
	byID           map[clientKey]*client
	tokens         tokens
	grants         grants
	browsers       map[string]*browser // by the value of their cookie
	unknownClients Counters
}

// New returns a sandbox with these registered clients, with new ids and secrets:
// creative-force, creative-force-user (delegated), agile-now and cliquify.
func New(c Config) *Sandbox {
	s := &Sandbox{
		folder:  c.Folder,
		now:     c.Now,
		wait:    c.Wait,
		routes:  map[string]http.HandlerFunc{},
		entropy: entropy{source: c.Rand},
		clients: map[string]*client{},
		byID:    map[clientKey]*client{},
		tokens:  tokens{active: map[string]issued{}},
		grants:  grants{codes: map[string]*code{}, refreshTokens: map[string]*issuedRefresh{}},
		generic: plainOAuth2(),

		localRedirects: c.LocalRedirects,
		browsers:       map[string]*browser{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.wait == nil {
		s.wait = sleep
	}
	if s.entropy.source == nil {
		s.entropy.source = rand.Reader
	}
	s.SetBaseURL(c.BaseURL)
	s.control = s.controlRoutes()
	s.mountServers()
	return s
}

// mountServers mounts all servers and registers the clients that [New] names.
func (s *Sandbox) mountServers() {
	cf, an, cq := creativeForce(), agileNow(), cliquify()
	for _, srv := range []*server{cf, an, cq, s.generic} {
		s.mount(srv)
	}
	s.addClient(cf, client{connection: "creative-force", grantTypes: []string{clientCredentials}, user: "integration@studio.example"})
	s.addClient(cf, client{
		connection: "creative-force-user", grantTypes: []string{authorizationCode, refreshToken},
		delegate: delegate{policy: RefreshPolicy{Rotation: RotateNever, Repeat: RepeatSame}},
	})
	s.addClient(an, client{connection: "agile-now", grantTypes: []string{clientCredentials}, scopes: agileNowScopes()})
	s.addClient(cq, client{connection: "cliquify", grantTypes: []string{clientCredentials}})
}

// mount adds the routes of a server.
func (s *Sandbox) mount(srv *server) {
	s.routes[srv.prefix+srv.tokenPath] = func(w http.ResponseWriter, r *http.Request) { s.serveToken(srv, w, r) }
	s.routes[srv.prefix+resourcePath] = func(w http.ResponseWriter, r *http.Request) { s.serveResource(srv, w, r) }
	if srv.entry != nil {
		s.routes[srv.prefix+srv.refreshAt.path] = s.routes[srv.prefix+srv.tokenPath]
	}
	d := srv.delegation
	if d == nil {
		return
	}
	s.routes[srv.prefix+d.authorizePath] = func(w http.ResponseWriter, r *http.Request) { s.serveAuthorize(srv, w, r) }
	if d.revocationPath != "" {
		s.routes[srv.prefix+d.revocationPath] = func(w http.ResponseWriter, r *http.Request) { s.serveRevocation(srv, w, r) }
	}
}

// SetBaseURL sets the scheme and host of the sandbox. Connection files and the
// audience of assertions contain them, so call it before either is used.
func (s *Sandbox) SetBaseURL(u string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baseURL = strings.TrimSuffix(u, "/")
}

// ServeHTTP serves all servers. A path is compared byte for byte as sent: another
// case, an escaped letter or a doubled slash is 404. A client that cleans the path
// of a provider fails here.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if serve, ok := s.routes[path]; ok {
		serve(w, r)
		return
	}
	switch {
	case path == "/":
		s.serveHelp(w, r)
	case path == "/control" || strings.HasPrefix(path, "/control/"):
		s.control.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// clock is the wall clock without the monotonic reading, which is not valid across
// a pause of the process.
func (s *Sandbox) clock() time.Time { return s.now().Round(0).UTC() }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
