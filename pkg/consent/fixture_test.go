package consent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

var (
	noon  = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	owner = consent.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/app/one", UniqueID: "AROAOWNER:one"}
	other = consent.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/spy/one", UniqueID: "AROASPY:one"}
)

const (
	base      = "https://api.example.com/v1"
	crm       = connection.Name("crm")
	ownCookie = "__Host-tokenvend-consent"
	theCode   = "c4n4ry-code-SplxlOBeZQQYbYS6WxSbIA"
)

// store implements conditional writes of sessions and documents. As in a real
// store, a write whose text is already at the next version succeeds.
type store struct {
	mu       sync.Mutex
	sessions map[string]tokenstore.Session
	notes    map[string]tokenstore.Document
	// down fails everything, sessionsDown what is done to sessions; before runs once, ahead of the next write of a session.
	down, sessionsDown error
	before             func()
}

func (t *store) Session(_ context.Context, id string) (tokenstore.Session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sessions[id]
	if !ok {
		s = tokenstore.Session{ID: id}
	}
	return s, errors.Join(t.down, t.sessionsDown)
}

func (t *store) WriteSession(_ context.Context, s tokenstore.Session) (tokenstore.Session, error) {
	if before := t.before; before != nil {
		t.before = nil
		before()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := errors.Join(t.down, t.sessionsDown); err != nil {
		return tokenstore.Session{}, err
	}
	stored := t.sessions[s.ID]
	if stored.Version == s.Version+1 && string(stored.Text) == string(s.Text) {
		return stored, nil
	}
	if stored.Version != s.Version {
		return stored, tokenstore.ErrSuperseded
	}
	s.Version++
	t.sessions[s.ID] = s
	return s, nil
}

func (t *store) ReadDocument(_ context.Context, name string) (tokenstore.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.notes[name]
	n.Name = name
	return n, t.down
}

func (t *store) WriteDocument(_ context.Context, n tokenstore.Document) (tokenstore.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.down != nil {
		return tokenstore.Document{}, t.down
	}
	if t.notes[n.Name].Version != n.Version {
		return t.notes[n.Name], tokenstore.ErrSuperseded
	}
	n.Version++
	t.notes[n.Name] = n
	return n, nil
}

// text is all that is stored, as it is stored.
func (t *store) text() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(t.sessions)) {
		b.WriteString(id + " " + string(t.sessions[id].Text) + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(t.notes)) {
		b.WriteString(name + " " + string(t.notes[name].Text) + "\n")
	}
	return b.String()
}

// core is a fake core: it has declarations, and records authorizations.
type core struct {
	mu          sync.Mutex
	connections map[connection.Name]connection.Connection
	authorized  []vending.Authorization
	// busy fails before the session is consumed, refuses after.
	busy, refuses error
}

func (c *core) Delegated(_ context.Context, r vending.Request) (connection.Connection, error) {
	conn, ok := c.connections[r.Connection]
	switch {
	case !ok:
		return connection.Connection{}, problem.New(problem.ConnectionNotFound, "no such connection")
	case conn.Callers.Allows(r.Caller, conn.Scope, string(r.Subject)) != nil:
		return connection.Connection{}, problem.New(problem.AccessDenied, "not for this caller")
	case conn.GrantType != connection.AuthorizationCode:
		return connection.Connection{}, problem.New(problem.InvalidRequest, "uses client_credentials")
	}
	return conn, nil
}

func (c *core) Authorize(ctx context.Context, a vending.Authorization) error {
	if c.busy != nil {
		return c.busy
	}
	if err := a.Consume(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.Consume = nil
	c.authorized = append(c.authorized, a)
	return c.refuses
}

// fixture is both sides of one deployment.
type fixture struct {
	now   time.Time
	store *store
	core  *core
	back  *consent.BackChannel
	front *consent.FrontChannel
	ctx   context.Context
	entry *audit.Entry
}

func newFixture() *fixture {
	f := &fixture{now: noon, entry: new(audit.Entry),
		store: &store{sessions: map[string]tokenstore.Session{}, notes: map[string]tokenstore.Document{}},
		core:  &core{connections: map[connection.Name]connection.Connection{}}}
	f.ctx = audit.With(context.Background(), f.entry)
	for _, name := range []connection.Name{crm, "erp"} {
		f.core.connections[name] = declared(name)
	}
	random := rand.NewChaCha8([32]byte{1})
	now := func() time.Time { return f.now }
	f.back = consent.NewBackChannel(consent.BackChannelConfig{Sessions: f.store, Pending: f.store, Grants: f.core, Sealer: sealer("main"), Now: now, Rand: random})
	f.front = consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: f.store, Sealer: sealer("page"), Now: now, Rand: random})
	return f
}

func declared(name connection.Name) connection.Connection {
	return connection.Connection{
		Name: name, Provider: "oauth2", GrantType: connection.AuthorizationCode, ClientID: "client-of-" + string(name),
		Scope: "read offline_access", TokenURL: "https://as.example.com/token", AuthorizationURL: "https://as.example.com/authorize?tenant=7",
		PKCE: true, AuthorizationParams: url.Values{"prompt": {"consent"}}, SecretIncarnation: "generation-1",
	}
}

// sealer has a keyset of its own for each name.
func sealer(name string) *seal.Sealer {
	return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k1","k1":"` + strings.Repeat(name, 16) + `"}`), nil
	}})
}

// change alters the declaration of crm.
func (f *fixture) change(alter func(*connection.Connection)) {
	conn := f.core.connections[crm]
	alter(&conn)
	f.core.connections[crm] = conn
}

func (f *fixture) start(t testing.TB) consent.Started {
	t.Helper()
	s, err := f.back.Start(f.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: base})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return s
}

// browser is one that was sent to the provider.
type browser struct {
	state   string
	cookies []string
	cookie  consent.Cookie
	address *url.URL
}

func (f *fixture) redirect(t testing.TB, sessionID string) browser {
	t.Helper()
	page, err := f.front.Show(f.ctx, sessionID)
	if err != nil {
		t.Fatalf("show: %v", err)
	}
	d, err := f.front.Continue(f.ctx, consent.ContinueRequest{SessionID: sessionID, CSRF: page.CSRF})
	if err != nil {
		t.Fatalf("continue: %v", err)
	}
	b := browser{state: stateOf(t, d.Location), cookie: d.Cookie, address: parse(t, d.Location)}
	if d.Cookie.Name != "" {
		b.cookies = []string{d.Cookie.Name + "=" + d.Cookie.Value.Reveal()}
	}
	return b
}

// arrive is the browser at the callback of crm.
func (f *fixture) callback(b browser, query url.Values) (consent.CallbackResult, error) {
	return f.front.Receive(f.ctx, consent.CallbackRequest{Connection: crm, RawQuery: query.Encode(), Cookies: b.cookies})
}

func response(state string) url.Values { return url.Values{"code": {theCode}, "state": {state}} }

// received is a session whose browser came back, and its confirmation code.
func (f *fixture) received(t testing.TB) (consent.Started, string) {
	t.Helper()
	s := f.start(t)
	b := f.redirect(t, s.SessionID)
	result, err := f.callback(b, response(b.state))
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return s, result.ConfirmationCode.Reveal()
}

func (f *fixture) complete(sessionID, code string) error {
	return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner,
		SessionID: redact.New(sessionID), ConfirmationCode: redact.New(code)})
}

func (f *fixture) completeManually(address string) error {
	return f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, RedirectURL: redact.New(address)})
}

// line is the current audit line.
func (f *fixture) line() string {
	var out bytes.Buffer
	audit.NewWriter(audit.Config{Output: &out, Now: func() time.Time { return f.now }}).Write(f.entry)
	return out.String()
}

func parse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func stateOf(t testing.TB, address string) string {
	t.Helper()
	return parse(t, address).Query().Get("state")
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func codeOf(err error) problem.Code {
	var p *problem.Error
	if err == nil {
		return ""
	}
	if !errors.As(err, &p) {
		return "no problem.Error"
	}
	return p.Code
}

// expect fails the test unless err has the code and its detail contains words.
func expect(t testing.TB, err error, code problem.Code, words string) {
	t.Helper()
	if codeOf(err) != code || (code != "" && !strings.Contains(err.Error(), words)) {
		t.Errorf("error %v, want %q with %q", err, code, words)
	}
}
