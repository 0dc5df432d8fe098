// Package foreign_test runs the service against an authorization server of another
// project: npm's oidc-provider, which the OpenID Foundation has certified, with its
// strictest settings. It finds errors that a server of this project would share.
package foreign_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nodeVariable names Node.js. Without it these tests are skipped.
const nodeVariable = "TOKENVEND_TEST_NODE"

// client is a client of the foreign server, and the connection that uses it.
type client struct {
	name, method string
	delegated    bool
	secret       string
	key          *ecdsa.PrivateKey
}

func newClient(t *testing.T, name, method string, delegated bool) client {
	t.Helper()
	c := client{name: name, method: method, delegated: delegated}
	if method != "private_key_jwt" {
		// Characters that RFC 6749 §2.3.1 encodes.
		c.secret = "p+%:/ " + rand.Text() + "~&="
		return c
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.key = key
	return c
}

// metadata returns the client as the server registers it (RFC 7591 §2).
func (c client) metadata(t *testing.T, callback string) map[string]any {
	t.Helper()
	m := map[string]any{"client_id": c.name, "token_endpoint_auth_method": c.method, "scope": "openid offline_access orders",
		"grant_types": []string{"client_credentials"}, "response_types": []string{}, "redirect_uris": []string{}}
	if c.delegated {
		m["grant_types"], m["response_types"] = []string{"authorization_code", "refresh_token"}, []string{"code"}
		m["redirect_uris"] = []string{callback + c.name}
	}
	if c.key == nil {
		m["client_secret"] = c.secret
		return m
	}
	point, err := c.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	coordinate := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	m["token_endpoint_auth_signing_alg"] = "ES256"
	m["jwks"] = map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256",
		"x": coordinate(point[1:33]), "y": coordinate(point[33:65])}}}
	return m
}

// connection returns the client as the service declares it.
func (c client) connection(t *testing.T, s *server) map[string]any {
	t.Helper()
	m := map[string]any{"provider": "oauth2", "client_id": c.name, "client_auth": c.method, "scope": "orders",
		"token_url": s.url + "/token", "revocation_url": s.url + "/token/revocation", "issuer": s.url}
	if c.delegated {
		m["grant_type"], m["scope"] = "authorization_code", "openid offline_access orders"
		m["authorization_url"] = s.url + "/auth"
		m["authorization_params"] = map[string]any{"prompt": "consent"} // OpenID Connect Core §11 requires it for offline_access
	}
	if c.key == nil {
		m["client_secret"] = c.secret
		return m
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	m["private_key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	m["key_id"] = "k"
	return m
}

// server is the running foreign server.
type server struct {
	url     string
	clients map[string]client
}

// startServer starts the server with these clients; callback is the service's
// callback URL without the connection's name.
func startServer(t *testing.T, callback string, clients ...client) *server {
	t.Helper()
	s := &server{clients: map[string]client{}}
	var all []map[string]any
	for _, c := range clients {
		s.clients[c.name] = c
		all = append(all, c.metadata(t, callback))
	}
	file := filepath.Join(t.TempDir(), "clients.json")
	writeJSON(t, file, all)
	command := exec.CommandContext(context.WithoutCancel(t.Context()), os.Getenv(nodeVariable), "server.mjs", file)
	printed := new(strings.Builder)
	command.Stderr = printed
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the server printed: %s", printed)
		}
	})
	for lines := bufio.NewScanner(out); s.url == "" && lines.Scan(); {
		s.url, _ = strings.CutPrefix(lines.Text(), "listening on ")
	}
	if s.url == "" {
		t.Fatalf("the server did not start; npm --prefix scripts/tools/foreign ci --ignore-scripts gets it")
	}
	return s
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tokenRequest is a token request as the server recorded it.
type tokenRequest struct {
	GrantType string `json:"grant_type"`
	ClientID  string `json:"client_id"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
}

// requests returns the token requests of one client so far.
func (s *server) requests(t *testing.T, client string) (all []tokenRequest) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/seen", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var seen []tokenRequest
	if err := json.NewDecoder(response.Body).Decode(&seen); err != nil {
		t.Fatal(err)
	}
	for _, r := range seen {
		if r.ClientID == client {
			all = append(all, r)
		}
	}
	return all
}

// ask sends a form to an endpoint as a client with a secret, and returns status and
// members of the response.
func (s *server) ask(t *testing.T, client, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(s.clients[client].secret))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatalf("%s: %d %v", path, response.StatusCode, err)
	}
	return response.StatusCode, body
}

// lives reports whether a token is active at the server (RFC 7662).
func (s *server) lives(t *testing.T, token string) bool {
	t.Helper()
	status, body := s.ask(t, inspector, "/token/introspection", url.Values{"token": {token}})
	active, stated := body["active"].(bool)
	if status != http.StatusOK || !stated {
		t.Fatalf("introspection: %d %v", status, body["error"])
	}
	return active
}
