package directory_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// env is a table and secrets, with a directory over both.
type env struct {
	*directory.Directory
	t       *testing.T
	store   *memory.Store
	secrets *secretSource
}

func newEnv(t *testing.T) env {
	t.Helper()
	e := env{t: t, store: memory.New(), secrets: &secretSource{texts: map[string][]string{}}}
	e.Directory = directory.New(directory.Config{Store: e.store, Secrets: e.secrets, Lister: e.secrets,
		Now: func() time.Time { return now.Add(e.secrets.spent) }})
	e.declare("crm", valid)
	return e
}

func (e env) declare(name, text string) { e.secrets.put(name, text) }

func (e env) connection(name string) connection.Connection {
	e.t.Helper()
	conn, err := declaration.Loader{Secrets: e.secrets}.Load(e.t.Context(), connection.Name(name), true)
	if err != nil {
		e.t.Fatal(err)
	}
	return conn
}

// fail stores a failure of the connection as it is declared now.
func (e env) fail(name string, code problem.Code) tokenstore.Failure {
	e.t.Helper()
	key := tokenstore.Key{Connection: name}
	if _, err := e.store.Acquire(e.t.Context(), tokenstore.Acquire{Key: key, Owner: "owner", Now: now, TTL: time.Minute}); err != nil {
		e.t.Fatal(err)
	}
	f := tokenstore.Failure{Count: 1, Code: string(code), Detail: "expires_in is a list",
		FailedAt: now, NextAttemptAt: now.Add(time.Minute),
		Cause: declaration.FailureCause(tokenstore.Item{}, e.connection(name))}
	if err := e.store.Fail(e.t.Context(), tokenstore.Fail{Key: key, Owner: "owner", Failure: f, Now: now}); err != nil {
		e.t.Fatal(err)
	}
	return f
}

// consent stores the grant of a subject; an empty one is the default.
func (e env) consent(name, subject string) {
	e.t.Helper()
	conn := e.connection(name)
	_, err := e.store.StoreGrant(e.t.Context(), tokenstore.StoreGrant{
		Key: tokenstore.Key{Connection: name, Subject: subject}, SecretIncarnation: conn.SecretIncarnation, Now: now,
		Token: tokenstore.SealedToken{ID: "0123456789abcdef", Sealed: []byte("sealed"), MintedAt: now, ExpiresAt: now.Add(time.Hour), ConfigHash: conn.ConfigHash},
		Grant: tokenstore.SealedGrant{Fingerprint: "0123456789abcdef", Sealed: []byte("sealed"), SecretIncarnation: conn.SecretIncarnation,
			Client: declaration.ClientID(conn), ConsentedBy: "user-7", ConsentedAt: now, RefreshedAt: now},
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// tokenOnly stores the consent of a subject without a refresh token, whose access
// token of a day ends after a time.
func (e env) tokenOnly(name, subject string, left time.Duration) {
	e.t.Helper()
	conn := e.connection(name)
	_, err := e.store.StoreGrant(e.t.Context(), tokenstore.StoreGrant{
		Key: tokenstore.Key{Connection: name, Subject: subject}, SecretIncarnation: conn.SecretIncarnation, Now: now,
		Token: tokenstore.SealedToken{ID: "0123456789abcdef", Sealed: []byte("sealed"), MintedAt: now.Add(left - 24*time.Hour), ExpiresAt: now.Add(left), ConfigHash: conn.ConfigHash},
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// secretSource keeps every version of a secret.
type secretSource struct {
	mu    sync.Mutex
	texts map[string][]string
	// read counts the secrets that were listed, and most is the largest page. Each
	// page takes the time takes; spent is the sum.
	read, most   int
	takes, spent time.Duration
}

func (s *secretSource) put(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[name] = append(s.texts[name], text)
}

func (s *secretSource) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.texts, name)
}

func (s *secretSource) current(name string) clientsecret.Secret {
	versions := s.texts[name]
	return clientsecret.Secret{Name: name, ARN: "arn:test:" + name, VersionID: fmt.Sprintf("v%d", len(versions)),
		Text: redact.New(versions[len(versions)-1]), Origin: "secret " + name}
}

func (s *secretSource) Load(_ context.Context, name string, _ clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.texts[name]) == 0 {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	return s.current(name), nil
}

// List lists the secrets in the order of their names; the cursor is the last name.
func (s *secretSource) List(_ context.Context, limit int, next string) ([]clientsecret.Entry, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.texts {
		if name > next {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var page []clientsecret.Entry
	for _, name := range names[:min(limit, len(names))] {
		page = append(page, clientsecret.Entry{Secret: s.current(name)})
	}
	s.read, s.most, s.spent = s.read+len(page), max(s.most, len(page)), s.spent+s.takes
	if len(page) == len(names) {
		return page, "", nil
	}
	return page, page[len(page)-1].Name, nil
}

func wantCode(t *testing.T, err error, code problem.Code) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Errorf("got %v, want %s", err, code)
	}
}
