// Package sandbox plays the authorization servers that the providers'
// documents describe, faithfully to the letter, so that the whole service runs
// and is tested without an account anywhere.
//
// One [Sandbox] is one http.Handler with four servers under it: Creative
// Force, Agile.Now, Cliquify, and a plain RFC 6749 server for every client
// authentication there is. Each has a token endpoint and a resource that
// refuses dead tokens, because "does the token still work" is the question the
// service exists to answer. Creative Force and the plain server act for users
// too: they have pages to sign in and to consent at, and an endpoint to revoke
// at. What the documents do not say, RFC 6749, 6750 and 7009 decide, read
// strictly.
//
// It also hurts on demand: secrets rotate, tokens die, answers come late,
// broken, or not at all. Every such lever exists twice under one name, as a
// method for tests in process and as a control endpoint ([Help]) for people.
//
// It is no production server: its state is memory, its control endpoints ask
// for no password, and its JSON Web Tokens are signed with noise. Production
// packages never import it.
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

// Config is what a Sandbox is made of. The zero Config works in process once
// SetBaseURL has been called.
type Config struct {
	// BaseURL is the scheme and host the sandbox is reached under, without a
	// trailing slash. Empty: SetBaseURL follows, as under httptest, where the
	// address is known only afterwards.
	BaseURL string
	// Folder is where the local connection files live, for the levers that
	// rewrite one. Empty: there are none, and such a lever is refused.
	Folder string
	// LocalRedirects lets redirect URIs at Creative Force be on localhost, which
	// its document refuses: without it nobody could consent on one machine.
	LocalRedirects bool
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// Rand makes ids, secrets and tokens; nil is crypto/rand.Reader. A read
	// that fails panics, as crypto/rand itself does. Generated private keys
	// always come from crypto/rand.
	Rand io.Reader
	// Wait passes the time of a Fault's latency, and fails when the context
	// ends first; nil waits in earnest.
	Wait func(ctx context.Context, d time.Duration) error
}

// Sandbox is the servers and their state. It is safe for concurrent use.
type Sandbox struct {
	folder         string
	localRedirects bool

	now     func() time.Time
	wait    func(ctx context.Context, d time.Duration) error
	routes  map[string]http.HandlerFunc
	control http.Handler
	// generic is the server that Register adds clients to.
	generic *server
	// files orders rewrites of connection files; it is taken before mu.
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

// New returns a sandbox with the documents' clients registered under fresh ids
// and secrets: creative-force, creative-force-user (delegated), agile-now and
// cliquify.
func New(c Config) *Sandbox {
	s := &Sandbox{
		folder:  c.Folder,
		now:     c.Now,
		wait:    c.Wait,
		routes:  map[string]http.HandlerFunc{},
		entropy: entropy{source: c.Rand},
		clients: map[string]*client{},
		byID:    map[clientKey]*client{},
		tokens:  tokens{living: map[string]issued{}},
		grants:  grants{codes: map[string]*code{}, handles: map[string]*handle{}},
		generic: plainOAuth2(),

		localRedirects: c.LocalRedirects,
		browsers:       map[string]*browser{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.wait == nil {
		s.wait = waitInEarnest
	}
	if s.entropy.source == nil {
		s.entropy.source = rand.Reader
	}
	s.SetBaseURL(c.BaseURL)
	s.control = s.controlRoutes()
	s.openServers()
	return s
}

// openServers mounts every server and registers the documents' clients.
func (s *Sandbox) openServers() {
	cf, an, cq := creativeForce(), agileNow(), cliquify()
	for _, srv := range []*server{cf, an, cq, s.generic} {
		s.routes[srv.prefix+srv.tokenPath] = func(w http.ResponseWriter, r *http.Request) { s.serveToken(srv, w, r) }
		s.routes[srv.prefix+resourcePath] = func(w http.ResponseWriter, r *http.Request) { s.serveResource(srv, w, r) }
		if d := srv.delegation; d != nil {
			s.routes[srv.prefix+d.authorizePath] = func(w http.ResponseWriter, r *http.Request) { s.serveAuthorize(srv, w, r) }
			s.routes[srv.prefix+d.revocationPath] = func(w http.ResponseWriter, r *http.Request) { s.serveRevocation(srv, w, r) }
		}
	}
	s.enrol(cf, client{connection: "creative-force", grantTypes: []string{clientCredentials}, user: "integration@studio.example"})
	s.enrol(cf, client{
		connection: "creative-force-user", grantTypes: []string{authorizationCode, refreshToken},
		delegate: delegate{policy: RefreshPolicy{Rotation: RotateNever, Repeat: RepeatSame}},
	})
	s.enrol(an, client{connection: "agile-now", grantTypes: []string{clientCredentials}, scopes: agileNowScopes()})
	s.enrol(cq, client{connection: "cliquify", grantTypes: []string{clientCredentials}})
}

// SetBaseURL says under which scheme and host the sandbox is reached. It is
// what connection files name and what a client's assertion must be meant for,
// so it must be known before either is used.
func (s *Sandbox) SetBaseURL(u string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baseURL = strings.TrimSuffix(u, "/")
}

// ServeHTTP answers for all servers. A path counts byte for byte as it was
// sent: another case, an escaped letter or a doubled slash is 404, because a
// client that cleans a provider's path must find out here.
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

// clock is the wall clock without the monotonic reading, which says nothing
// about instants that are compared across a pause of the process.
func (s *Sandbox) clock() time.Time { return s.now().Round(0).UTC() }

func waitInEarnest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
