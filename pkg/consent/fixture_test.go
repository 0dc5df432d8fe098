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

// tables keeps sessions and notes as a store does: conditional on the version,
// and taking a text that stands already for its own lost write.
type tables struct {
	mu       sync.Mutex
	sessions map[string]tokenstore.Session
	notes    map[string]tokenstore.Document
	// down fails everything, sessionsDown what is done to sessions; before runs once, ahead of the next write of a session.
	down, sessionsDown error
	before             func()
}

func (t *tables) Session(_ context.Context, id string) (tokenstore.Session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sessions[id]
	if !ok {
		s = tokenstore.Session{ID: id}
	}
	return s, errors.Join(t.down, t.sessionsDown)
}

func (t *tables) WriteSession(_ context.Context, s tokenstore.Session) (tokenstore.Session, error) {
	if before := t.before; before != nil {
		t.before = nil
		before()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := errors.Join(t.down, t.sessionsDown); err != nil {
		return tokenstore.Session{}, err
	}
	stands := t.sessions[s.ID]
	if stands.Version == s.Version+1 && string(stands.Text) == string(s.Text) {
		return stands, nil
	}
	if stands.Version != s.Version {
		return stands, tokenstore.ErrSuperseded
	}
	s.Version++
	t.sessions[s.ID] = s
	return s, nil
}

func (t *tables) ReadDocument(_ context.Context, name string) (tokenstore.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.notes[name]
	n.Name = name
	return n, t.down
}

func (t *tables) WriteDocument(_ context.Context, n tokenstore.Document) (tokenstore.Document, error) {
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
func (t *tables) text() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(t.sessions)) {
		b.WriteString(id + " " + string(t.sessions[id].Text) + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(t.notes)) {
		b.WriteString(name + " " + string(t.notes[name].Text) + "\n")
	}
	return b.String()
}

// core stands in for the core: it knows declarations, and records adoptions.
type core struct {
	mu          sync.Mutex
	connections map[connection.Name]connection.Connection
	adopted     []vending.Authorization
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
		return connection.Connection{}, problem.New(problem.InvalidRequest, "acts for itself")
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
	c.adopted = append(c.adopted, a)
	return c.refuses
}

// world is both sides of one deployment.
type world struct {
	now    time.Time
	tables *tables
	core   *core
	flow   *consent.BackChannel
	door   *consent.FrontChannel
	ctx    context.Context
	entry  *audit.Entry
}

func newWorld() *world {
	w := &world{now: noon, entry: new(audit.Entry),
		tables: &tables{sessions: map[string]tokenstore.Session{}, notes: map[string]tokenstore.Document{}},
		core:   &core{connections: map[connection.Name]connection.Connection{}}}
	w.ctx = audit.With(context.Background(), w.entry)
	for _, name := range []connection.Name{crm, "erp"} {
		w.core.connections[name] = declared(name)
	}
	random := rand.NewChaCha8([32]byte{1})
	now := func() time.Time { return w.now }
	w.flow = consent.NewBackChannel(consent.BackChannelConfig{Sessions: w.tables, Pending: w.tables, Grants: w.core, Sealer: sealer("main"), Now: now, Rand: random})
	w.door = consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: w.tables, Sealer: sealer("door"), Now: now, Rand: random})
	return w
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
func (w *world) change(alter func(*connection.Connection)) {
	conn := w.core.connections[crm]
	alter(&conn)
	w.core.connections[crm] = conn
}

func (w *world) start(t testing.TB) consent.Started {
	t.Helper()
	s, err := w.flow.Start(w.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: base})
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

func (w *world) leave(t testing.TB, sessionID string) browser {
	t.Helper()
	page, err := w.door.Show(w.ctx, sessionID)
	if err != nil {
		t.Fatalf("show: %v", err)
	}
	d, err := w.door.Continue(w.ctx, consent.ContinueRequest{SessionID: sessionID, CSRF: page.CSRF})
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
func (w *world) arrive(b browser, query url.Values) (consent.CallbackResult, error) {
	return w.door.Receive(w.ctx, consent.CallbackRequest{Connection: crm, RawQuery: query.Encode(), Cookies: b.cookies})
}

func answer(state string) url.Values { return url.Values{"code": {theCode}, "state": {state}} }

// received is a session whose browser came back, and its confirmation code.
func (w *world) received(t testing.TB) (consent.Started, string) {
	t.Helper()
	s := w.start(t)
	b := w.leave(t, s.SessionID)
	receipt, err := w.arrive(b, answer(b.state))
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return s, receipt.ConfirmationCode.Reveal()
}

func (w *world) complete(sessionID, code string) error {
	return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: owner,
		SessionID: redact.New(sessionID), ConfirmationCode: redact.New(code)})
}

func (w *world) byHand(address string) error {
	return w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, RedirectURL: redact.New(address)})
}

// line is the audit line as it stands.
func (w *world) line() string {
	var out bytes.Buffer
	audit.NewWriter(audit.Config{Output: &out, Now: func() time.Time { return w.now }}).Write(w.entry)
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

// expect fails the test unless err has the code and its detail the words.
func expect(t testing.TB, err error, code problem.Code, words string) {
	t.Helper()
	if codeOf(err) != code || (code != "" && !strings.Contains(err.Error(), words)) {
		t.Errorf("error %v, want %q with %q", err, code, words)
	}
}
