// Package story gives a stack the past that the golden answers of events/ tell
// of, and holds answers against them.
//
// A golden answer was given in a world where it is noon and tokens are
// numbered. Told again with a real clock and real engines, the story comes to
// the same answers but for what the clock and chance decide; [Compare] knows
// which members those are.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
)

// caller is the principal of the events.
const caller = "arn:aws:iam::111122223333:role/app"

// Teller tells the story to one stack, as often as it is asked.
type Teller struct {
	cloud    *cloud.Cloud
	provider *numbering
	url      string

	// What is known of each consent session, by its name.
	started map[string]consent.Started
	states  map[string]string
	cookies map[string]string
}

// New returns a Teller to a bare stack.
func New(ctx context.Context, c *cloud.Cloud) (*Teller, error) {
	t := &Teller{cloud: c, provider: &numbering{}}
	var err error
	t.url, err = c.Serve(ctx, t.provider)
	return t, err
}

// Tell begins with an empty table. creative-force and former are vended 1285 s
// ago, crm ten minutes ago, erp ten seconds ago; down fails half a minute ago
// and asks to be left alone for two; the renewer runs a minute ago; then erp's
// secret is replaced and former deleted.
func (t *Teller) Tell(ctx context.Context) error {
	t.provider.reset()
	t.started, t.states, t.cookies = map[string]consent.Started{}, map[string]string{}, map[string]string{}
	if err := t.cloud.Clear(ctx); err != nil {
		return err
	}
	declared := declarations(t.url)
	for _, name := range slices.Sorted(maps.Keys(declared)) { // moto lists them as they were made
		if err := t.cloud.PutSecret(ctx, name, declared[name]); err != nil {
			return err
		}
	}
	now := time.Now()
	err := errors.Join(
		t.vend(ctx, now.Add(-1285*time.Second), "creative-force"),
		t.vend(ctx, now.Add(-1285*time.Second), "former"),
		t.vend(ctx, now.Add(-10*time.Minute), "crm"),
		t.tick(ctx, now.Add(-time.Minute)),
		t.vend(ctx, now.Add(-10*time.Second), "erp"),
		t.vend(ctx, now.Add(-30*time.Second), "down"),
		t.consents(ctx, now),
		t.cloud.PutSecret(ctx, "erp", plain(t.url, "erp", `,"scope":"replaced"`)),
		t.cloud.DeleteSecret(ctx, "former"),
	)
	if err != nil {
		return fmt.Errorf("tell the story: %w", err)
	}
	return nil
}

// vend has a token asked for at that time; that a provider fails is part of the
// story.
func (t *Teller) vend(ctx context.Context, at time.Time, name connection.Name) error {
	past, err := t.at(at)
	if err != nil {
		return err
	}
	_, err = past.Core.Vend(ctx, vending.Request{Connection: name, Caller: caller})
	if name == "down" {
		return nil
	}
	return err
}

// at are the functions' parts at that time.
func (t *Teller) at(at time.Time) (cloud.Past, error) {
	return t.cloud.Past(func() time.Time { return at })
}

func (t *Teller) tick(ctx context.Context, at time.Time) error {
	past, err := t.at(at)
	if err == nil {
		past.Renewer.Tick(ctx)
	}
	return err
}

func plain(provider, name, more string) string {
	return fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":"hush","token_url":"%s/%[1]s/token"%[3]s}`, name, provider, more)
}

// login is an authorization server whose pages nobody in the story opens.
const login = "https://login.example.com"

func delegated(provider, name, more string) string {
	return fmt.Sprintf(`{"provider":"creative-force","grant_type":"authorization_code","client_id":"x","client_secret":"hush",
		"token_url":"%[1]s/%[2]s/token","authorization_url":"%[3]s/%[2]s/authorize"%[4]s}`, provider, name, login, more)
}

// declarations are the connections of the story, by the names of their secrets.
func declarations(provider string) map[string]string {
	return map[string]string{
		"creative-force": fmt.Sprintf(`{"provider":"creative-force","client_id":"x","client_secret":"hush","token_url":"%s/creative-force/token"}`, provider),
		"agile-now":      fmt.Sprintf(`{"provider":"agile-now","client_id":"x","client_secret":"hush","base_url":"%s/agile-now"}`, provider),
		"cliquify":       fmt.Sprintf(`{"provider":"cliquify","client_id":"x","client_secret":"hush","token_url":"%s/cliquify/token"}`, provider),
		"studio":         delegated(provider, "studio", ""),
		"gallery": delegated(provider, "gallery", fmt.Sprintf(`,"revocation_url":"%s/gallery/revoke",
			"callers":[{"principal":%q,"subjects":["anna","bert","default"]}]`, provider, caller)),
		"lapsed": delegated(provider, "lapsed", `,"issuer":"`+login+`"`),
		"abroad": delegated(provider, "abroad", `,"redirect_uri":"https://desk.example.com/oauth/landing"`),
		"crm": plain(provider, "crm", fmt.Sprintf(`,"scope":"contacts.read","allowed_scopes":["contacts.read","contacts.write"],
			"revocation_url":"%s/crm/revoke","callers":[{"principal":%q}]`, provider, caller)),
		"erp": plain(provider, "erp", ""), "former": plain(provider, "former", ""), "down": plain(provider, "down", ""),
		"refused": plain(provider, "refused", ""), "garbled": plain(provider, "garbled", ""),
		"shop":   `{"connections":{"eu":` + plain(provider, "shop-eu", "") + `,"us":` + plain(provider, "shop-us", "") + `}}`,
		"broken": `{"provider":"oauth2","clientid":"x","client_secret":"hush","token_url":"https://idp.example.com/token"}`,
	}
}

// numbering is an authorization server that names its tokens after the
// connection and counts them: events name tokens by their ids.
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
	case name == "studio" || name == "gallery" || name == "abroad":
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"%s","refresh_token":"synthetic-refresh-token"}`, n.next(name))
	case name == "down":
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
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

func (n *numbering) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = map[string]int{}
}
