package foreign_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/localproc"
)

// inspector is a client that only introspects tokens.
const inspector = "inspector"

// methods are the client authentications that server and service share.
var methods = map[string]string{"basic": "client_secret_basic", "post": "client_secret_post", "jwt": "private_key_jwt"}

// env is the service and the foreign server.
type env struct {
	*server
	run    *localproc.Run
	folder string
	// secrets must not occur in the service's log.
	secrets []string
}

// newEnv starts both: the service first, because the server's clients name its
// callback, and its connections last, because they name the server.
func newEnv(t *testing.T) *env {
	if os.Getenv(nodeVariable) == "" {
		t.Skipf("NOT RUN: no foreign server: npm --prefix scripts/tools/foreign ci --ignore-scripts gets one; set %s to the path of Node.js 20 or later", nodeVariable)
	}
	program, err := localproc.Build(t.Context(), "../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := &env{folder: t.TempDir()}
	if e.run, err = localproc.Start(context.WithoutCancel(t.Context()), program, e.folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.run.Stop(); err != nil {
			t.Error(err)
		}
		e.judgeLog(t)
	})
	clients := []client{newClient(t, inspector, "client_secret_basic", false), newClient(t, "mixed-up", "client_secret_basic", true)}
	for name, method := range methods {
		clients = append(clients, newClient(t, "machine-"+name, method, false), newClient(t, "user-"+name, method, true))
	}
	e.server = startServer(t, e.run.URL+"/callback/", clients...)
	for name, c := range e.clients {
		e.declare(t, name, c.connection(t, e.server))
		e.keep(c.secret)
	}
	return e
}

func (e *env) keep(secret string) {
	if secret != "" {
		e.secrets = append(e.secrets, secret)
	}
}

func (e *env) judgeLog(t *testing.T) {
	t.Helper()
	log := e.run.Log()
	if !strings.Contains(log, `"action":"complete"`) || len(e.secrets) < 10 {
		t.Errorf("a log of %d bytes and %d secrets prove nothing", len(log), len(e.secrets))
	}
	for _, secret := range e.secrets {
		if strings.Contains(log, secret) {
			t.Error("the log holds a secret, a token, a code or a state")
		}
	}
}

func (e *env) declare(t *testing.T, name string, connection map[string]any) {
	t.Helper()
	writeJSON(t, filepath.Join(e.folder, name+".json"), connection)
}

func (e *env) ask(t *testing.T, want int, method, path string, body any) localproc.Answer {
	t.Helper()
	got, err := e.run.Caller("local").Ask(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != want {
		t.Fatalf("%s %s: %v, want %d", method, path, got, want)
	}
	return got
}

// vend returns an access token, which the server must know.
func (e *env) vend(t *testing.T, connection string) string {
	t.Helper()
	token := e.ask(t, 200, "GET", "/connections/"+connection+"/token", nil).Text("access_token")
	e.keep(token)
	if !e.lives(t, token) {
		t.Error("the server does not know the token")
	}
	return token
}

// forget makes the next vend go past the memory, which serves a token for ten seconds.
func (e *env) forget(t *testing.T, connection string) {
	t.Helper()
	e.ask(t, 204, "DELETE", "/connections/"+connection+"/token", nil)
}

func (e *env) start(t *testing.T, connection string) localproc.Answer {
	t.Helper()
	s := e.ask(t, 201, "POST", "/connections/"+connection+"/authorization", nil)
	e.keep(s.Text("session_id"))
	return s
}

// consent runs a consent from its start to the grant.
func (e *env) consent(t *testing.T, connection string) {
	t.Helper()
	s, v := e.start(t, connection), newBrowserClient(t, "")
	v.open(s.Text("consent_url"))
	v.press(url.Values{})
	v.decides("allow")
	e.keep(v.code())
	e.keep(v.at.Query().Get("code"))
	e.keep(v.at.Query().Get("state"))
	got := e.ask(t, 200, "POST", "/connections/"+connection+"/authorization/complete",
		map[string]string{"session_id": s.Text("session_id"), "confirmation_code": v.code()})
	if got.Text("state") != "ready" {
		t.Errorf("after the consent the state is %s", got.Text("state"))
	}
}

func TestForeign(t *testing.T) {
	e := newEnv(t)
	for name, method := range methods {
		t.Run("OC-05 client credentials by "+method, func(t *testing.T) {
			e.vend(t, "machine-"+name)
			if n := len(e.requests(t, "machine-"+name)); n != 1 {
				t.Errorf("%d token requests, want 1", n)
			}
		})
		t.Run("OC-06 consent, refresh and revocation by "+method, func(t *testing.T) { lifetime(t, e, "user-"+name) })
	}
	t.Run("FI-24 replay of a refresh token", func(t *testing.T) { replay(t, e) })
	t.Run("OC-09 manual consent", func(t *testing.T) { manual(t, e) })
	t.Run("AZ-28 denial", func(t *testing.T) { denial(t, e) })
	t.Run("OC-08 another issuer", func(t *testing.T) { mixUp(t, e) })
}

// lifetime follows a grant: consent, refreshes with a new refresh token each, and
// revocation.
func lifetime(t *testing.T, e *env, connection string) {
	e.consent(t, connection)
	tokens := map[string]bool{e.vend(t, connection): true}
	for range 4 {
		e.forget(t, connection)
		tokens[e.vend(t, connection)] = true
	}
	if len(tokens) != 5 {
		t.Errorf("OC-03 %d tokens of 4 refreshes, want 5", len(tokens))
	}
	last := e.vend(t, connection)
	e.ask(t, 204, "DELETE", "/connections/"+connection+"/authorization", nil)
	if e.lives(t, last) {
		t.Error("OC-14 the grant is still valid at the server")
	}
	e.forget(t, connection)
	e.ask(t, 409, "GET", "/connections/"+connection+"/token", nil)
	if n := len(e.requests(t, connection)); n != 5 {
		t.Errorf("%d token requests, want one for the code and 4 for refreshes", n)
	}
}

// replay presents a refresh token that the service has used: the server ends the
// grant. The service must notice, report it, and send no more requests.
func replay(t *testing.T, e *env) {
	const connection = "user-basic"
	path := "/connections/" + connection
	stolen := e.grantElsewhere(t, connection)
	e.ask(t, 200, "PUT", path+"/authorization", map[string]string{"refresh_token": stolen})
	e.forget(t, connection)
	token := e.vend(t, connection)
	status, body := e.server.ask(t, connection, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {stolen}})
	if status != 400 || body["error"] != "invalid_grant" {
		t.Fatalf("the spent refresh token: %d %v", status, body["error"])
	}
	if e.lives(t, token) {
		t.Error("the server does not end the grant")
	}
	e.forget(t, connection)
	before := len(e.requests(t, connection))
	for range 5 {
		if got := e.ask(t, 409, "GET", path+"/token", nil); got.Text("error") != "authorization_required" {
			t.Errorf("the vend answers %v", got)
		}
	}
	if after := len(e.requests(t, connection)); after != before+1 {
		t.Errorf("%d token requests for a grant that has ended, want one", after-before)
	}
	e.ask(t, 409, "PUT", path+"/authorization", map[string]string{"refresh_token": stolen})
	e.consent(t, connection)
	e.vend(t, connection)
	e.ask(t, 204, "DELETE", path+"/authorization", nil)
}

// grantElsewhere obtains a grant as another program with the same client does, and
// returns its refresh token.
func (e *env) grantElsewhere(t *testing.T, connection string) string {
	t.Helper()
	callback, verifier := e.run.URL+"/callback/"+connection, strings.Repeat(rand.Text(), 2)
	challenge := sha256.Sum256([]byte(verifier))
	v := newBrowserClient(t, callback)
	v.open(e.url + "/auth?" + url.Values{"response_type": {"code"}, "client_id": {connection}, "redirect_uri": {callback},
		"scope": {"openid offline_access orders"}, "prompt": {"consent"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}}.Encode())
	v.decides("allow")
	status, body := e.server.ask(t, connection, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {v.at.Query().Get("code")},
		"redirect_uri": {callback}, "code_verifier": {verifier}})
	token, _ := body["refresh_token"].(string)
	if status != 200 || token == "" {
		t.Fatalf("a grant obtained elsewhere: %d %v", status, body["error"])
	}
	e.keep(token)
	return token
}

func manual(t *testing.T, e *env) {
	const connection = "user-post"
	s, v := e.start(t, connection), newBrowserClient(t, e.run.URL+"/callback/")
	v.open(s.Text("authorization_url"))
	v.decides("allow")
	if v.at.Query().Get("iss") != e.url {
		t.Error("OC-08 the server sends no iss")
	}
	path := "/connections/" + connection + "/authorization"
	e.ask(t, 200, "POST", path+"/complete", map[string]string{"redirect_url": v.at.String()})
	e.forget(t, connection)
	e.vend(t, connection)
	e.ask(t, 410, "POST", path+"/complete", map[string]string{"redirect_url": v.at.String()})
	e.ask(t, 204, "DELETE", path, nil)
}

func denial(t *testing.T, e *env) {
	const connection = "user-jwt"
	s, v := e.start(t, connection), newBrowserClient(t, "")
	v.open(s.Text("consent_url"))
	v.press(url.Values{})
	v.decides("deny")
	if !strings.Contains(v.page, "You did not allow access") {
		t.Errorf("the page is %s", v.page)
	}
	got := e.ask(t, 502, "POST", "/connections/"+connection+"/authorization/complete",
		map[string]string{"session_id": s.Text("session_id"), "confirmation_code": "AAAA-AAAA"})
	if provider, _ := got.Body["provider"].(map[string]any); provider["error"] != "access_denied" {
		t.Errorf("provider %v", provider)
	}
}

// mixUp declares another issuer than the one that answers (RFC 9207).
func mixUp(t *testing.T, e *env) {
	const connection = "mixed-up"
	declared := e.clients[connection].connection(t, e.server)
	declared["issuer"] = e.url + "/"
	e.declare(t, connection, declared)
	s, v := e.start(t, connection), newBrowserClient(t, "")
	v.open(s.Text("consent_url"))
	v.press(url.Values{})
	v.decides("allow")
	if !strings.Contains(v.page, "400 Bad Request") {
		t.Errorf("the page is %s", v.page)
	}
	e.ask(t, 409, "POST", "/connections/"+connection+"/authorization/complete",
		map[string]string{"session_id": s.Text("session_id"), "confirmation_code": "AAAA-AAAA"})
	if n := len(e.requests(t, connection)); n != 0 {
		t.Errorf("%d token requests", n)
	}
}
