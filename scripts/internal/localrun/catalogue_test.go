package localrun_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

// undriven are the entries that cannot be driven, with the reason.
var undriven = map[string]string{}

// catalogue is a run whose connections are clients of the provider catalogue's entries,
// at a sandbox that plays them.
type catalogue struct {
	*running
	server foreign
}

func startCatalogue(t *testing.T, variants []sandbox.EntryClient) catalogue {
	t.Helper()
	clock, folder := new(clock), t.TempDir()
	c := catalogue{server: newForeignAt(t, clock.now)}
	for _, name := range provider.Names() {
		if p, _ := provider.Lookup(name); p.GrantTypes != nil && len(p.GrantTypes) == 0 || undriven[name] != "" {
			continue
		}
		if err := c.server.Play(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, variant := range variants {
		if err := c.server.RegisterEntry(variant); err != nil {
			t.Error(err)
		}
	}
	if err := c.server.WriteConnections(folder); err != nil {
		t.Fatal(err)
	}
	c.running = startAt(t, localrun.Settings{Connections: folder}, clock, clock.wait)
	for _, name := range c.server.Delegated() {
		if err := c.server.SetRedirectURIs(name, c.url+"/callback/"+name); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// variants are further clients of some entries.
func variants(t *testing.T) []sandbox.EntryClient {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const scope = "https://www.googleapis.com/auth/drive.readonly"
	assertion := func(members map[string]any) map[string]any {
		return map[string]any{"key_id": "key-1", "assertion": members}
	}
	return []sandbox.EntryClient{
		{
			Entry: "microsoft-entra", Connection: "microsoft-entra-certificate", ClientAuth: provider.PrivateKeyJWT, Key: key,
			Certificate: certificateOf(t, key), Members: map[string]any{"scope": "https://graph.microsoft.com/.default"},
		},
		{
			Entry: "netsuite", Connection: "netsuite-machine", ClientAuth: provider.PrivateKeyJWT, Key: key, Members: map[string]any{
				"key_id": "key-1", "signing_algorithm": "PS256", "assertion": map[string]any{"claims": map[string]any{"scope": []string{"rest_webservices"}}},
			},
		},
		{Entry: "zoho", Connection: "zoho-eu-user", GrantType: "authorization_code", Variables: map[string]string{"dc": "eu"}},
		{Entry: "ebay", Connection: "ebay-runame-user", GrantType: "authorization_code", RedirectName: "Acme_Ltd-Acme-Orders-abcde"},
		{Entry: "google-service-account", Connection: "google-delegated", Key: key, Members: assertion(map[string]any{
			"subject": "{subject}@example.com", "lifetime": 3600, "claims": map[string]any{"scope": scope},
		})},
		{Entry: "docusign", Connection: "docusign-impersonation", GrantType: "jwt_bearer", Key: key, Members: assertion(map[string]any{
			"audience": "account.docusign.com", "subject": "user-1", "claims": map[string]any{"scope": "signature impersonation"},
		})},
		{Entry: "box", Connection: "box-enterprise", GrantType: "jwt_bearer", ClientAuth: provider.ClientSecretPost, Key: key, Members: assertion(map[string]any{
			"subject": "1", "claims": map[string]any{"box_sub_type": "enterprise"},
		})},
	}
}

// certificateOf is a self-signed certificate of a key.
func certificateOf(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// wanted are connections that must be among those that are driven.
var wanted = []string{
	"salesforce", "salesforce-user", "salesforce-assertion", "microsoft-entra-user", "microsoft-entra-certificate", "quickbooks-user",
	"zoho-user", "zoho-eu-user", "ebay", "ebay-user", "ebay-runame-user", "slack-user", "github-user", "notion-user", "mailchimp-user",
	"shopify", "shopify-user", "amazon-selling-partner-user", "tiktok-shop-user", "hubspot-user", "xero-user", "atlassian-user",
	"zendesk-user", "exact-online-user", "twitch", "zoom-server", "walmart", "marketo", "square-user", "figma-user", "akeneo",
	"netsuite-machine", "google-service-account", "google-delegated", "docusign-impersonation", "box-enterprise",
}

// TestCatalogue_OC73 drives every entry of the catalogue, with each grant that it
// offers, from a token or a consent to a request that the resource accepts.
func TestCatalogue_OC73(t *testing.T) {
	c := startCatalogue(t, variants(t))
	delegated, driven := c.server.Delegated(), map[string]bool{}
	files := c.server.Connections()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(name, func(t *testing.T) {
			here := *c.running
			here.t = t
			one := entry{running: &here, server: c.server, name: name, path: "/connections/" + name}
			if err := json.Unmarshal(files[name], &one.file); err != nil {
				t.Fatal(err)
			}
			if assertion, _ := one.file["assertion"].(map[string]any); assertion["subject"] == "{subject}@example.com" {
				one.path += "/subjects/jane-doe"
			}
			one.provider, _ = provider.Lookup(declaredProvider(t, files[name]))
			driven[one.provider.Name] = true
			if slices.Contains(delegated, name) {
				one.driveConsent()
			} else {
				one.driveToken()
			}
		})
	}
	for _, name := range wanted {
		if files[name] == nil {
			t.Errorf("%s is not driven", name)
		}
	}
	for _, name := range provider.Names() {
		p, _ := provider.Lookup(name)
		if offers := p.GrantTypes == nil || len(p.GrantTypes) > 0; offers && !driven[name] && undriven[name] == "" {
			t.Errorf("%s is not driven", name)
		}
	}
}

// entry is one connection of a catalogue.
type entry struct {
	*running
	server     foreign
	name, path string
	provider   provider.Provider
	// file is the connection.
	file map[string]any
}

// driveToken gets a token, and another one after the first has ended. The second
// answer is lost once.
func (e entry) driveToken() {
	first := e.usable()
	if !e.outlive(first) {
		if again := e.usable(); again.text("token_id") != first.text("token_id") {
			e.t.Error("a token without end was replaced")
		}
		return
	}
	e.lose("")
	if again := e.usable(); again.text("token_id") == first.text("token_id") {
		e.t.Error("the token that has ended is served")
	}
}

// driveConsent consents, uses and refreshes the grant, loses the answer of a refresh,
// and disconnects.
func (e entry) driveConsent() {
	e.consents()
	first := e.usable()
	e.checkExtra(first)
	if e.outlive(first) {
		second := e.usable()
		e.checkExtra(second)
		if n := e.counters().Refresh.Granted; n != 1 {
			e.t.Errorf("OC-03 %d refreshes, want 1", n)
		}
		e.outlive(second)
		e.surviveLoss()
		e.endAtProvider()
	} else if again := e.usable(); again.text("access_token") != first.text("access_token") {
		e.t.Error("a token without end was replaced")
	}
	e.disconnects(e.usable())
}

// surviveLoss loses the answer of a refresh. A refresh token that its server may have
// used up leads to a new consent, and to nothing worse.
func (e entry) surviveLoss() {
	e.lose("refresh_token")
	for range 5 {
		got := e.ask("local", "GET", e.path+"/token", "")
		if got.status == http.StatusOK {
			return
		}
		if got.status == http.StatusConflict || got.status == http.StatusBadGateway && e.cannotEnd() {
			if kind := e.provider.RefreshToken.Rotation; kind != "" && kind != provider.RotationStrict {
				e.t.Errorf("FI-18 rotation %s: the refresh token is still accepted, but %v", kind, got.body)
			}
			e.consents()
			return
		}
		e.clock.advance(oldEnough)
	}
	e.t.Error("FI-18 no token after a lost answer")
}

// endAtProvider has the user withdraw the consent, and gives it again.
func (e entry) endAtProvider() {
	e.t.Helper()
	e.outlive(e.usable())
	if _, err := e.server.EndGrants(e.name, ""); err != nil {
		e.t.Fatal(err)
	}
	got := e.ask("local", "GET", e.path+"/token", "")
	if want := e.cannotEnd(); got.status != http.StatusConflict && !want || want && got.status != http.StatusBadGateway {
		e.t.Errorf("OC-45 after the user withdrew the consent: %d %v", got.status, got.body)
	}
	e.consents()
}

// cannotEnd reports whether the entry names no error that means the end of a grant, so
// that the service cannot tell it from another refusal.
func (e entry) cannotEnd() bool {
	return e.provider.Response.Success != "" && e.provider.Response.Error != "" && len(e.provider.Response.Ended) == 0
}

// lose makes the sandbox process a request and reset the connection.
func (e entry) lose(grantType string) {
	fault := sandbox.Fault{On: grantType, Count: 1, Reset: true, Processed: true}
	if err := e.server.Fault(e.name, fault); err != nil {
		e.t.Fatal(err)
	}
}

func (e entry) counters() sandbox.Counters {
	counters, err := e.server.Counters(e.name)
	if err != nil {
		e.t.Fatal(err)
	}
	return counters
}

// outlive lets time pass until a token has ended. It reports false for one that does
// not end, after a year.
func (e entry) outlive(token answer) bool {
	e.t.Helper()
	text := token.text("expires_at")
	if text == "" {
		e.clock.advance(365 * 24 * time.Hour)
		return false
	}
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		e.t.Fatal(err)
	}
	e.clock.advance(end.Sub(e.clock.now()) + time.Second)
	return true
}

// usable is a token that the resource accepts as the answer says.
func (e entry) usable() answer {
	e.t.Helper()
	token := e.ask("local", "GET", e.path+"/token", "")
	if token.status != http.StatusOK {
		e.t.Fatalf("token: %d %v", token.status, token.body)
	}
	if status := e.use(token); status != http.StatusOK {
		e.t.Fatalf("the resource answers %d to the token", status)
	}
	return token
}

// use requests the resource as a caller does who follows the answer.
func (e entry) use(token answer) int {
	e.t.Helper()
	header, prefix := "Authorization", "Bearer "
	if present, ok := token.body["present"].(map[string]any); ok {
		header, prefix = fmt.Sprint(present["header"]), fmt.Sprint(present["prefix"])
	}
	at, err := e.server.Resource(e.name)
	if err != nil {
		e.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	request.Header.Set(header, prefix+token.text("access_token"))
	got, err := send(request)
	if err != nil {
		e.t.Fatal(err)
	}
	return got.status
}

// consents gives a consent in a browser, and completes it with the code of the last page.
func (e entry) consents() {
	e.t.Helper()
	got := e.ask("local", "POST", e.path+"/authorization", "")
	if got.status != http.StatusCreated {
		e.t.Fatalf("start: %d %v", got.status, got.body)
	}
	s := session{e.path + "/authorization", got.text("session_id"), got.text("consent_url"), got.text("authorization_url")}
	done := e.complete("local", s, e.received(s, ""))
	if done.status != http.StatusOK || done.text("state") != "ready" {
		e.t.Fatalf("complete: %d %v", done.status, done.body)
	}
}

// checkExtra requires every value that the entry names.
func (e entry) checkExtra(token answer) {
	e.t.Helper()
	values, _ := token.body["extra"].(map[string]any)
	for _, names := range []map[string]string{e.provider.Response.Extra, e.provider.Callback.Extra} {
		for name := range names {
			if values[name] == nil {
				e.t.Errorf("OC-72 extra %s is missing: %v", name, values)
			}
		}
	}
}

// disconnects ends the grant. The token then works no longer if the entry has a
// revocation endpoint.
func (e entry) disconnects(token answer) {
	e.t.Helper()
	if got := e.ask("local", "DELETE", e.path+"/authorization", ""); got.status != http.StatusNoContent {
		e.t.Fatalf("OC-14 disconnect: %d %v", got.status, got.body)
	}
	revokes := e.file["revocation_url"] != nil
	if n := e.counters().Revocations; (n > 0) != revokes {
		e.t.Errorf("OC-14 %d revocations", n)
	}
	if status := e.use(token); (status == http.StatusOK) == revokes {
		e.t.Errorf("OC-14 the resource answers %d to the token", status)
	}
	e.clock.advance(oldEnough)
	if got := e.ask("local", "GET", e.path+"/token", ""); got.status != http.StatusConflict || got.text("error") != "authorization_required" {
		e.t.Errorf("after it: %d %v", got.status, got.body)
	}
}

// TestSandboxProviders_OC73 names entries for a run of its own.
func TestSandboxProviders_OC73(t *testing.T) {
	r := startWith(t, localrun.Settings{SandboxProviders: []string{"shopify", "salesforce", "cliquify"}})
	for _, want := range []string{"salesforce ", "salesforce-assertion ", "salesforce-user ", "shopify ", "shopify-user "} {
		if !strings.Contains(r.greeting, "\n"+want) {
			t.Errorf("the greeting does not list %s", want)
		}
	}
	token := r.vend("shopify")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.sandbox+"/entry/shopify/resource", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Shopify-Access-Token", token.text("access_token"))
	if got, err := send(request); err != nil || got.status != http.StatusOK {
		t.Errorf("the resource answers %d, %v", got.status, err)
	}
	if got := r.ask("local", "POST", "/connections/salesforce-user/authorization", ""); got.status != http.StatusCreated {
		t.Errorf("start: %d %v", got.status, got.body)
	}
}
