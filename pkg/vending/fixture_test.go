package vending_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// principal is the caller in every test unless stated otherwise.
const principal = "arn:aws:iam::111122223333:role/app"

// fleet is a provider, a table and secrets, shared by as many processes as a
// test needs, with one clock that the test moves.
type fleet struct {
	t       *testing.T
	clock   *clock
	store   *flakyStore
	secrets *secretSource
	server  *authorizationServer
	sealer  *seal.Sealer
	now     func() time.Time
	wait    func(context.Context, time.Duration) error
	random  io.Reader
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	clock := &clock{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	f := &fleet{
		t: t, clock: clock,
		store:   &flakyStore{Store: memory.New()},
		secrets: &secretSource{versions: map[string][]clientsecret.Secret{}},
		now:     clock.Now, wait: clock.Wait, random: rand.Reader,
		server: &authorizationServer{now: clock.Now, lifetime: time.Hour},
		sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.New(`{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`), nil
		}}),
	}
	f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token"}`)
	return f
}

// process returns a new cold process of the fleet.
func (f *fleet) process() *vending.Core {
	return vending.New(vending.Config{
		Store: f.store, Secrets: f.secrets, Parser: connection.Parser{References: f.secrets}, Minter: f.server, Revoker: f.server, Sealer: f.sealer,
		Now: f.now, Wait: f.wait, Rand: f.random,
	})
}

// inRealTime uses the clock of a synctest bubble instead, and
// gives the provider a latency.
func (f *fleet) inRealTime(latency time.Duration) {
	f.now, f.wait, f.server.now = time.Now, nil, time.Now
	f.server.during = func() { time.Sleep(latency) }
}

func (f *fleet) declare(name, text string) { f.secrets.put(name, text) }

// vend asks core and fails the test on an error.
func (f *fleet) vend(core *vending.Core, r vending.Request) vending.Vended {
	f.t.Helper()
	v, err := core.Vend(f.t.Context(), r)
	if err != nil {
		f.t.Fatalf("vend %s: %v", r.Connection, err)
	}
	return v
}

// item is what the table holds of the connection's own token.
func (f *fleet) item(name string) tokenstore.Item {
	f.t.Helper()
	item, err := f.store.Get(f.t.Context(), tokenstore.Key{Connection: name}, true)
	if err != nil {
		f.t.Fatalf("read item %s: %v", name, err)
	}
	return item
}

func crm() vending.Request { return vending.Request{Connection: "crm", Caller: principal} }

// clock is wall time that moves only when the test advances it, or code waits on it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Wait advances the clock and returns at once.
func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.advance(d)
	return ctx.Err()
}

// authorizationServer numbers its tokens, so that reuse and refresh are visible.
type authorizationServer struct {
	now      func() time.Time
	lifetime time.Duration

	mu       sync.Mutex
	requests []oauth.Request
	revoked  []string
	// refuse, when set, decides about each request before a token is issued.
	refuse func(oauth.Request) *oauth.Error
	// during, when set, runs while a request is in progress.
	during func()
	// grants, when set, is the scope of every response.
	grants string
	// endless: tokens have no end.
	endless bool
	// departures are those of every response.
	departures []string
}

func (s *authorizationServer) Token(_ context.Context, r oauth.Request) (oauth.Token, error) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	n, refuse, during, scope := len(s.requests), s.refuse, s.during, cmp.Or(s.grants, r.Scope)
	s.mu.Unlock()
	at := s.now().Round(0)
	if during != nil {
		during()
	}
	if refuse != nil {
		if err := refuse(r); err != nil {
			return oauth.Token{}, err
		}
	}
	t := oauth.Token{
		AccessToken: redact.New(fmt.Sprintf("token_%d", n)), TokenType: "Bearer", Scope: scope,
		Departures: s.departures, RequestedAt: at, ExpiresAt: at.Add(s.lifetime), Trace: oauth.Trace{Calls: 1, Status: 200},
	}
	if s.endless {
		t.ExpiresAt = time.Time{}
	}
	return t, nil
}

func (s *authorizationServer) Revoke(_ context.Context, r oauth.Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, r.Token.Reveal())
	return nil
}

func (s *authorizationServer) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// failing makes every request fail in the same way; nil makes them succeed again.
func (s *authorizationServer) failing(err *oauth.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = nil
	if err != nil {
		s.refuse = func(oauth.Request) *oauth.Error { return err }
	}
}

var unavailable = &oauth.Error{Kind: oauth.Unavailable, Reason: "status", Trace: oauth.Trace{Calls: 1, Status: 503}}

// secretSource keeps every version of a secret, as a source does.
type secretSource struct {
	mu       sync.Mutex
	versions map[string][]clientsecret.Secret
	fail     error
	failing  map[string]error // by name
	loads    int
	// stale, when set, is returned to readers that accept a cached copy.
	stale map[string]clientsecret.Secret
}

func (s *secretSource) put(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.versions[name]) + 1
	s.versions[name] = append(s.versions[name], clientsecret.Secret{
		Name: name, ARN: "arn:test:" + name, VersionID: fmt.Sprintf("v%d", n), CreatedAt: time.Unix(int64(n), 0), Text: redact.New(text), Origin: "secret " + name,
	})
}

func (s *secretSource) Load(_ context.Context, name string, scheduler clientsecret.Stage, fresh bool) (clientsecret.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if cached, ok := s.stale[name]; ok && !fresh && scheduler == clientsecret.Current {
		return cached, nil
	}
	if s.fail != nil {
		return clientsecret.Secret{}, s.fail
	}
	back := 1
	if scheduler == clientsecret.Previous {
		back = 2
	}
	if err := s.failing[name]; err != nil {
		return clientsecret.Secret{}, err
	}
	versions := s.versions[name]
	if len(versions) < back {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	return versions[len(versions)-back], nil
}

// flakyStore is the memory store with faults on demand.
type flakyStore struct {
	*memory.Store
	mu      sync.Mutex
	down    bool
	hangs   bool
	refused map[string]bool
	before  func(operation string)
	counts  map[string]int
}

func (s *flakyStore) reach(operation string) error {
	s.mu.Lock()
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	s.counts[operation]++
	down, before := s.down || s.refused[operation], s.before
	s.mu.Unlock()
	if before != nil {
		before(operation)
	}
	if down {
		return tokenstore.ErrUnavailable
	}
	return nil
}

func (s *flakyStore) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// refuse makes one operation fail.
func (s *flakyStore) refuse(operation string, refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = map[string]bool{}
	}
	s.refused[operation] = refused
}

// hanging makes reads block until the reader's context ends.
func (s *flakyStore) hanging(hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = hangs
}

func (s *flakyStore) count(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[operation]
}

func (s *flakyStore) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	operation := "get"
	if consistent {
		operation = "get consistent"
	}
	if err := s.reach(operation); err != nil {
		return tokenstore.Item{}, err
	}
	if s.hangs {
		<-ctx.Done()
		return tokenstore.Item{}, tokenstore.ErrUnavailable
	}
	return s.Store.Get(ctx, key, consistent)
}

func (s *flakyStore) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	item, err := s.Get(ctx, key, consistent)
	if err != nil {
		return item, tokenstore.DeclarationRecord{}, err
	}
	return s.Store.GetWithDeclaration(ctx, key, consistent)
}

func (s *flakyStore) ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error) {
	if err := s.reach("read declarations"); err != nil {
		return nil, err
	}
	return s.Store.ReadDeclarations(ctx, connections, consistent)
}

func (s *flakyStore) WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	if err := s.reach("write declaration"); err != nil {
		return d, err
	}
	return s.Store.WriteDeclaration(ctx, d)
}

func (s *flakyStore) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	if err := s.reach("acquire"); err != nil {
		return tokenstore.Item{}, err
	}
	return s.Store.Acquire(ctx, a)
}

func (s *flakyStore) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	if err := s.reach("commit"); err != nil {
		return tokenstore.Item{}, err
	}
	return s.Store.Commit(ctx, c)
}

func (s *flakyStore) Fail(ctx context.Context, f tokenstore.Fail) error {
	if err := s.reach("fail"); err != nil {
		return err
	}
	return s.Store.Fail(ctx, f)
}

// audited returns a context whose audit entry the test can read.
func audited(t *testing.T) (context.Context, *audit.Entry) {
	e := new(audit.Entry)
	return audit.With(t.Context(), e), e
}

func connectionName(t *testing.T, text string) connection.Name {
	t.Helper()
	name, err := connection.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func contains(text, part string) bool { return strings.Contains(text, part) }

// valid is the declaration of a client_credentials connection.
const valid = `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token"}`
