package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// noon is when every event arrives. In this minute the slot of creative-force's
// token is due.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// fixture is a deployment with connections of every kind, some of them already
// used.
type fixture struct {
	t      *testing.T
	now    time.Time
	folder string
	server *numbering
	store  *memory.Store
	source *folder.Source
	parser connection.Parser
	sealer *seal.Sealer
	// log has the audit lines of the event.
	log bytes.Buffer

	// The known values of each consent session, by its name.
	started                map[string]consent.Started
	states, cookies, codes map[string]string
}

// newFixture always has the same history: creative-force and former were vended
// 1285 s ago, crm ten minutes ago, erp and shop.us ten seconds ago; down failed half a minute
// ago with a Retry-After of two minutes; the renewer last ran a minute ago; then
// the secret of erp was replaced and that of former deleted.
func newFixture(t *testing.T) *fixture {
	w := &fixture{t: t, folder: t.TempDir(), store: memory.New(), server: &numbering{last: map[string]int{}},
		started: map[string]consent.Started{}, states: map[string]string{}, cookies: map[string]string{}, codes: map[string]string{}}
	provider := httptest.NewServer(w.server)
	t.Cleanup(provider.Close)
	w.source = folder.New(folder.Config{Path: w.folder})
	w.parser = connection.Parser{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	w.sealer = seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`), nil
	}})
	for name, declaration := range declarations(provider.URL) {
		w.write(name, declaration)
	}
	for name, declaration := range delegatedDeclarations(provider.URL) {
		w.write(name, declaration)
	}
	w.vend(1285*time.Second, "creative-force")
	w.vend(1285*time.Second, "former")
	w.vend(10*time.Minute, "crm")
	w.tick(time.Minute)
	w.vend(30*time.Second, "down")
	w.vend(10*time.Second, "erp")
	w.vend(10*time.Second, "shop.us")
	w.sessions()
	w.now = noon
	w.write("erp", fmt.Sprintf(`{"provider":"oauth2","client_id":"erp","client_secret":"replaced","token_url":"%s/erp/token"}`, provider.URL))
	if err := os.Remove(filepath.Join(w.folder, "former.json")); err != nil {
		t.Fatal(err)
	}
	w.log.Reset()
	return w
}

// declarations are the client_credentials connections, by file name.
func declarations(provider string) map[string]string {
	plain := func(name, more string) string {
		return fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":"hush","token_url":"%s/%[1]s/token"%[3]s}`, name, provider, more)
	}
	return map[string]string{
		"creative-force": fmt.Sprintf(`{"provider":"creative-force","client_id":"x","client_secret":"hush","token_url":"%s/creative-force/token"}`, provider),
		"agile-now":      fmt.Sprintf(`{"provider":"agile-now","client_id":"x","client_secret":"hush","base_url":"%s/agile-now"}`, provider),
		"cliquify":       fmt.Sprintf(`{"provider":"cliquify","client_id":"x","client_secret":"hush","token_url":"%s/cliquify/token"}`, provider),
		"crm": plain("crm", fmt.Sprintf(`,"scope":"contacts.read","allowed_scopes":["contacts.read","contacts.write"],
			"revocation_url":"%s/crm/revoke","callers":[{"principal":"arn:aws:iam::111122223333:role/app"}]`, provider)),
		"erp": plain("erp", ""), "former": plain("former", ""), "down": plain("down", ""),
		"refused": plain("refused", ""), "garbled": plain("garbled", ""),
		"shop":   `{"connections":{"eu":` + plain("shop-eu", "") + `,"us":` + plain("shop-us", "") + `}}`,
		"broken": `{"provider":"oauth2","clientid":"x","client_secret":"hush","token_url":"https://idp.example.com/token"}`,
	}
}

func (w *fixture) write(name, declaration string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.folder, name+".json"), []byte(declaration), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// vend asks for a token before noon. It may fail.
func (w *fixture) vend(before time.Duration, name connection.Name) {
	w.now = noon.Add(-before)
	_, _ = w.core().Vend(w.t.Context(), vending.Request{Connection: name, Caller: "arn:aws:iam::111122223333:role/app"})
}

// forget deletes the connection's token.
func (w *fixture) forget(name connection.Name) {
	w.t.Helper()
	if err := w.core().Forget(w.t.Context(), vending.Request{Connection: name, Caller: "arn:aws:iam::111122223333:role/app"}, false); err != nil {
		w.t.Fatal(err)
	}
}

func (w *fixture) tick(before time.Duration) {
	w.now = noon.Add(-before)
	w.renewer().Tick(w.t.Context())
}

func (w *fixture) clock() time.Time { return w.now }

// core is a core with an empty cache.
func (w *fixture) core() *vending.Core {
	noWait := func(context.Context, time.Duration) error { return nil }
	client := oauth.New(oauth.Config{Egress: w.parser.Egress, Now: w.clock, Rand: zeros{}, Wait: noWait})
	return vending.New(vending.Config{Store: w.store, Secrets: w.source, Parser: w.parser, Sealer: w.sealer,
		Minter: client, Revoker: client, Now: w.clock, Rand: zeros{}, Wait: noWait})
}

func (w *fixture) audit() *audit.Writer {
	return audit.NewWriter(audit.Config{Output: &w.log, Now: w.clock})
}

func (w *fixture) renewer() *renewal.Renewer {
	return renewal.New(renewal.Config{Core: w.core(), Index: w.store, Documents: w.store, Versions: w.source, Audit: w.audit(), Now: w.clock})
}

// function composes a function as its main does.
func (w *fixture) function(name string) interface {
	Invoke(context.Context, []byte) ([]byte, error)
} {
	switch name {
	case "vend":
		return gateway.Vend(gateway.VendConfig{Tokens: w.core(), Audit: w.audit(), Now: w.clock})
	case "connections":
		return gateway.Connections(gateway.ConnectionsConfig{Audit: w.audit(), Now: w.clock, Grants: w.core(), BackChannel: w.backChannel("flow"),
			Directory: directory.New(directory.Config{
				Store: w.store, Sealer: w.sealer, Secrets: w.source, Lister: w.source, Parser: w.parser, Now: w.clock})})
	case "consent":
		return w.consentFunction()
	case "renew":
		return &renewal.Handler{SecretPrefix: "tokenvend/", Refused: func(string) {}, Renewer: w.renewer()}
	}
	w.t.Fatalf("no function %q", name)
	return nil
}

// zeros is a constant source of randomness, for jitter and lease owners.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// numbering is an authorization server that numbers the tokens of each connection,
// so that every token request is visible.
type numbering struct {
	mu   sync.Mutex
	last map[string]int
}

func (n *numbering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, endpoint, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case endpoint == "revoke":
	case name == "refused":
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"no such client"}`)
	case name == "garbled":
		_, _ = io.WriteString(w, `<html>maintenance</html>`)
	case name == "lapsed":
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
	case name == "down":
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
	case name == "studio" || name == "gallery" || name == "abroad":
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"%s","refresh_token":"synthetic-refresh-token"}`, n.next(name))
	case name == "cliquify":
		fmt.Fprintf(w, `{"success":true,"token":{"token_type":"Bearer","expires_in":2592000,"access_token":"%s"}}`, n.next(name))
	case name == "agile-now":
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"access_token":"%s","refresh_token":"synthetic-refresh-token"}`, n.next(name))
	default:
		fmt.Fprintf(w, `{"token_type":"bearer","expires_in":3600,"access_token":"%s"}`, n.next(name))
	}
}

func (n *numbering) next(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last[name]++
	return fmt.Sprintf("synthetic-token-%s-%d", name, n.last[name])
}
