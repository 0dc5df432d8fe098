package renewal_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// fixture is the service without its HTTP interface, in a synctest bubble: a test
// lets time pass by sleeping.
type fixture struct {
	t       *testing.T
	store   *memory.Store
	secrets *secretSource
	server  *server
	sealer  *seal.Sealer
	core    *vending.Core
	renewer *renewal.Renewer
	audit   *audit.Writer
	log     *bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, store: memory.New(), secrets: &secretSource{texts: map[string]text{}}, log: new(bytes.Buffer),
		server: &server{lifetime: time.Hour, calls: map[string]int{}}}
	f.sealer = seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`), nil
	}})
	f.core = vending.New(vending.Config{Store: f.store, Secrets: f.secrets, Minter: f.server, Revoker: f.server, Sealer: f.sealer})
	f.audit = audit.NewWriter(audit.Config{Output: f.log})
	f.renewer = f.process()
	return f
}

// process returns a renewer without cached state, as a new process has.
func (f *fixture) process() *renewal.Renewer {
	return renewal.New(renewal.Config{Core: f.core, Index: f.store, Documents: f.store, Versions: f.secrets,
		Audit: f.audit})
}

func (f *fixture) vend(name string) vending.Vended {
	f.t.Helper()
	v, err := f.core.Vend(f.t.Context(), vending.Request{Connection: connection.Name(name), Caller: "arn:aws:iam::111122223333:user/x"})
	if err != nil {
		f.t.Fatalf("vend %s: %v", name, err)
	}
	return v
}

// ticks runs the renewer once a minute, as the schedule does.
func (f *fixture) ticks(minutes int) (sum audit.Run) {
	for range minutes {
		time.Sleep(time.Minute)
		run := f.renewer.Tick(f.t.Context())
		sum.Due, sum.Renewed, sum.Skipped, sum.LeftOver = sum.Due+run.Due, sum.Renewed+run.Renewed, sum.Skipped+run.Skipped, sum.LeftOver+run.LeftOver
		sum.Reissued, sum.Recorded = sum.Reissued+run.Reissued, sum.Recorded+run.Recorded
	}
	return sum
}

func declaration(client string) string {
	return fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":"hush","token_url":"https://idp.example.com/token"}`, client)
}

// server is a provider. Its tokens contain the client id and a count.
type server struct {
	mu       sync.Mutex
	lifetime time.Duration
	calls    map[string]int
	refuse   func(oauth.Request) error
	latency  time.Duration
	// hangs matches token URLs that do not respond for ten seconds.
	hangs   string
	busy    map[string]int
	busiest map[string]int
}

func (s *server) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	at := time.Now().Round(0)
	s.mu.Lock()
	s.calls[r.ClientID]++
	n, refuse, latency := s.calls[r.ClientID], s.refuse, s.latency
	if s.busy != nil {
		for _, key := range []string{"", r.TokenURL} {
			s.busy[key]++
			s.busiest[key] = max(s.busiest[key], s.busy[key])
		}
	}
	hangs := s.hangs != "" && strings.Contains(r.TokenURL, s.hangs)
	if hangs {
		latency = 10 * time.Second
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(latency):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy != nil {
		s.busy[""]--
		s.busy[r.TokenURL]--
	}
	if hangs {
		return oauth.Token{}, &oauth.Error{Kind: oauth.Timeout, Trace: oauth.Trace{Calls: 1}}
	}
	if refuse != nil {
		if err := refuse(r); err != nil {
			return oauth.Token{}, err
		}
	}
	return oauth.Token{AccessToken: redact.New(fmt.Sprintf("%s_%d", r.ClientID, n)), TokenType: "Bearer",
		RequestedAt: at, ExpiresAt: at.Add(s.lifetime), Trace: oauth.Trace{Calls: 1, Status: 200}}, nil
}

func (s *server) Revoke(context.Context, oauth.Revocation) error { return nil }

func (s *server) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, calls := range s.calls {
		n += calls
	}
	return n
}

type text struct {
	version int
	text    string
	// scheduled for deletion, binary, or denied to readers.
	scheduled, binary, denied bool
}

// versionID is the current version as it is listed.
func (x text) versionID() string {
	if x.scheduled {
		return ""
	}
	return fmt.Sprint("v", x.version)
}

// secretSource stores the secrets of a test.
type secretSource struct {
	mu    sync.Mutex
	texts map[string]text
	loads int
}

func (s *secretSource) put(name, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[name] = text{version: s.texts[name].version + 1, text: body}
}

// edit changes a secret in place.
func (s *secretSource) edit(name string, change func(*text)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.texts[name]
	change(&x)
	s.texts[name] = x
}

func (s *secretSource) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.texts, name)
}

func (s *secretSource) Load(_ context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	found, ok := s.texts[name]
	if !ok || stage != clientsecret.Current {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	bare := clientsecret.Secret{Name: name, ARN: "arn:" + name, VersionID: found.versionID(), Origin: "secret " + name}
	switch {
	case found.denied:
		return clientsecret.Secret{}, clientsecret.ErrUnreadable
	case found.scheduled:
		return clientsecret.Secret{}, clientsecret.ErrNoText
	case found.binary:
		return bare, clientsecret.ErrNoText
	}
	bare.Text = redact.New(found.text)
	return bare, nil
}

func (s *secretSource) Versions(_ context.Context, limit int, next string) ([]clientsecret.Version, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []clientsecret.Version
	for name, found := range s.texts {
		if name > next {
			all = append(all, clientsecret.Version{Name: name, ARN: "arn:" + name, VersionID: found.versionID()})
		}
	}
	slices.SortFunc(all, func(a, b clientsecret.Version) int { return strings.Compare(a.Name, b.Name) })
	if len(all) <= limit {
		return all, "", nil
	}
	return all[:limit], all[limit-1].Name, nil
}
