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

// inspector is a client that only asks the server about tokens.
const inspector = "inspector"

// methods are the ways to authenticate that the server and we both know.
var methods = map[string]string{"basic": "client_secret_basic", "post": "client_secret_post", "jwt": "private_key_jwt"}

// world is the service and the foreign server.
type world struct {
	*server
	run    *localproc.Run
	folder string
	// secrets are what the service's log may not hold.
	secrets []string
}

// newWorld starts both. The service has to be first, because the server's
// clients name its callback; its connections name the server, and come last.
func newWorld(t *testing.T) *world {
	if os.Getenv(nodeVariable) == "" {
		t.Skipf("NOT RUN: no foreign server. npm --prefix scripts/tools/foreign ci --ignore-scripts gets one; set %s to the path of Node.js 20 or later", nodeVariable)
	}
	program, err := localproc.Build(t.Context(), "../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{folder: t.TempDir()}
	if w.run, err = localproc.Start(context.WithoutCancel(t.Context()), program, w.folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.run.Stop(); err != nil {
			t.Error(err)
		}
		w.judgeLog(t)
	})
	clients := []client{newClient(t, inspector, "client_secret_basic", false), newClient(t, "mixed-up", "client_secret_basic", true)}
	for name, method := range methods {
		clients = append(clients, newClient(t, "machine-"+name, method, false), newClient(t, "user-"+name, method, true))
	}
	w.server = startServer(t, w.run.URL+"/callback/", clients...)
	for name, c := range w.clients {
		w.declare(t, name, c.connection(t, w.server))
		w.keep(c.secret)
	}
	return w
}

func (w *world) keep(secret string) {
	if secret != "" {
		w.secrets = append(w.secrets, secret)
	}
}

func (w *world) judgeLog(t *testing.T) {
	t.Helper()
	log := w.run.Log()
	if !strings.Contains(log, `"action":"complete"`) || len(w.secrets) < 10 {
		t.Errorf("a log of %d bytes and %d secrets tell nothing", len(log), len(w.secrets))
	}
	for _, secret := range w.secrets {
		if strings.Contains(log, secret) {
			t.Error("the log holds a secret, a token, a code or a state")
		}
	}
}

func (w *world) declare(t *testing.T, name string, connection map[string]any) {
	t.Helper()
	writeJSON(t, filepath.Join(w.folder, name+".json"), connection)
}

func (w *world) ask(t *testing.T, want int, method, path string, body any) localproc.Answer {
	t.Helper()
	got, err := w.run.Caller("local").Ask(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != want {
		t.Fatalf("%s %s: %v, want %d", method, path, got, want)
	}
	return got
}

// vend returns an access token that must come, and live.
func (w *world) vend(t *testing.T, connection string) string {
	t.Helper()
	token := w.ask(t, 200, "GET", "/connections/"+connection+"/token", nil).Text("access_token")
	w.keep(token)
	if !w.lives(t, token) {
		t.Error("the server does not know the token")
	}
	return token
}

// forget has the next vend ask the server or, where the grant has changed
// meanwhile, the table: for ten seconds a function's memory does.
func (w *world) forget(t *testing.T, connection string) {
	t.Helper()
	w.ask(t, 204, "DELETE", "/connections/"+connection+"/token", nil)
}

func (w *world) start(t *testing.T, connection string) localproc.Answer {
	t.Helper()
	s := w.ask(t, 201, "POST", "/connections/"+connection+"/authorization", nil)
	w.keep(s.Text("session_id"))
	return s
}

// consent is the whole way from a start to a grant.
func (w *world) consent(t *testing.T, connection string) {
	t.Helper()
	s, v := w.start(t, connection), newVisitor(t, "")
	v.open(s.Text("consent_url"))
	v.press(url.Values{})
	v.decides("allow")
	w.keep(v.code())
	w.keep(v.at.Query().Get("code"))
	w.keep(v.at.Query().Get("state"))
	got := w.ask(t, 200, "POST", "/connections/"+connection+"/authorization/complete",
		map[string]string{"session_id": s.Text("session_id"), "confirmation_code": v.code()})
	if got.Text("state") != "ready" {
		t.Errorf("after the consent the state is %s", got.Text("state"))
	}
}

func TestForeign(t *testing.T) {
	w := newWorld(t)
	for name, method := range methods {
		t.Run("OC-05 client credentials by "+method, func(t *testing.T) {
			w.vend(t, "machine-"+name)
			if n := len(w.requests(t, "machine-"+name)); n != 1 {
				t.Errorf("%d token requests, want 1", n)
			}
		})
		t.Run("OC-06 consent, refresh and revocation by "+method, func(t *testing.T) { lifetime(t, w, "user-"+name) })
	}
	t.Run("FI-24 replay of a refresh token", func(t *testing.T) { replay(t, w) })
	t.Run("OC-09 consent by hand", func(t *testing.T) { byHand(t, w) })
	t.Run("AZ-28 denial", func(t *testing.T) { denial(t, w) })
	t.Run("OC-08 another issuer", func(t *testing.T) { mixUp(t, w) })
}

// lifetime is that of a grant: consented to, refreshed with a new refresh token
// each time, revoked.
func lifetime(t *testing.T, w *world, connection string) {
	w.consent(t, connection)
	tokens := map[string]bool{w.vend(t, connection): true}
	for range 4 {
		w.forget(t, connection)
		tokens[w.vend(t, connection)] = true
	}
	if len(tokens) != 5 {
		t.Errorf("OC-03 %d tokens of 4 refreshes, want 5", len(tokens))
	}
	last := w.vend(t, connection)
	w.ask(t, 204, "DELETE", "/connections/"+connection+"/authorization", nil)
	if w.lives(t, last) {
		t.Error("OC-14 the grant lives on at the server")
	}
	w.forget(t, connection)
	w.ask(t, 409, "GET", "/connections/"+connection+"/token", nil)
	if n := len(w.requests(t, connection)); n != 5 {
		t.Errorf("%d token requests, want one for the code and 4 for refreshes", n)
	}
}

// replay is what follows when somebody else presents a refresh token that the
// service has spent: the server ends the grant, and the service must notice,
// say so, and ask no more.
func replay(t *testing.T, w *world) {
	const connection = "user-basic"
	path := "/connections/" + connection
	stolen := w.grantByHand(t, connection)
	w.ask(t, 200, "PUT", path+"/authorization", map[string]string{"refresh_token": stolen})
	w.forget(t, connection)
	token := w.vend(t, connection)
	status, body := w.server.ask(t, connection, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {stolen}})
	if status != 400 || body["error"] != "invalid_grant" {
		t.Fatalf("the spent refresh token: %d %v", status, body["error"])
	}
	if w.lives(t, token) {
		t.Error("the server lets the grant live")
	}
	w.forget(t, connection)
	before := len(w.requests(t, connection))
	for range 5 {
		if got := w.ask(t, 409, "GET", path+"/token", nil); got.Text("error") != "authorization_required" {
			t.Errorf("the vend says %v", got)
		}
	}
	if after := len(w.requests(t, connection)); after != before+1 {
		t.Errorf("%d token requests for a grant that is dead, want the one that found out", after-before)
	}
	w.ask(t, 409, "PUT", path+"/authorization", map[string]string{"refresh_token": stolen})
	w.consent(t, connection)
	w.vend(t, connection)
	w.ask(t, 204, "DELETE", path+"/authorization", nil)
}

// grantByHand obtains a grant without the service, as another program does that
// knows the client, and returns its refresh token.
func (w *world) grantByHand(t *testing.T, connection string) string {
	t.Helper()
	callback, verifier := w.run.URL+"/callback/"+connection, strings.Repeat(rand.Text(), 2)
	challenge := sha256.Sum256([]byte(verifier))
	v := newVisitor(t, callback)
	v.open(w.url + "/auth?" + url.Values{"response_type": {"code"}, "client_id": {connection}, "redirect_uri": {callback},
		"scope": {"openid offline_access orders"}, "prompt": {"consent"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}}.Encode())
	v.decides("allow")
	status, body := w.server.ask(t, connection, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {v.at.Query().Get("code")},
		"redirect_uri": {callback}, "code_verifier": {verifier}})
	token, _ := body["refresh_token"].(string)
	if status != 200 || token == "" {
		t.Fatalf("a grant by hand: %d %v", status, body["error"])
	}
	w.keep(token)
	return token
}

func byHand(t *testing.T, w *world) {
	const connection = "user-post"
	s, v := w.start(t, connection), newVisitor(t, w.run.URL+"/callback/")
	v.open(s.Text("authorization_url"))
	v.decides("allow")
	if v.at.Query().Get("iss") != w.url {
		t.Error("OC-08 the server names no issuer")
	}
	path := "/connections/" + connection + "/authorization"
	w.ask(t, 200, "POST", path+"/complete", map[string]string{"redirect_url": v.at.String()})
	w.forget(t, connection)
	w.vend(t, connection)
	w.ask(t, 410, "POST", path+"/complete", map[string]string{"redirect_url": v.at.String()})
	w.ask(t, 204, "DELETE", path, nil)
}

func denial(t *testing.T, w *world) {
	const connection = "user-jwt"
	s, v := w.start(t, connection), newVisitor(t, "")
	v.open(s.Text("consent_url"))
	v.press(url.Values{})
	v.decides("deny")
	if !strings.Contains(v.page, "You did not allow access") {
		t.Errorf("the page says %s", v.page)
	}
	got := w.ask(t, 502, "POST", "/connections/"+connection+"/authorization/complete",
		map[string]string{"session_id": s.Text("session_id"), "confirmation_code": "AAAA-AAAA"})
	if provider, _ := got.Body["provider"].(map[string]any); provider["error"] != "access_denied" {
		t.Errorf("provider %v", provider)
	}
}

// mixUp is a declaration that expects another server to answer (RFC 9207).
func mixUp(t *testing.T, w *world) {
	const connection = "mixed-up"
	declared := w.clients[connection].connection(t, w.server)
	declared["issuer"] = w.url + "/"
	w.declare(t, connection, declared)
	s, v := w.start(t, connection), newVisitor(t, "")
	v.open(s.Text("consent_url"))
	v.press(url.Values{})
	v.decides("allow")
	if !strings.Contains(v.page, "400 Bad Request") {
		t.Errorf("the page says %s", v.page)
	}
	w.ask(t, 409, "POST", "/connections/"+connection+"/authorization/complete",
		map[string]string{"session_id": s.Text("session_id"), "confirmation_code": "AAAA-AAAA"})
	if n := len(w.requests(t, connection)); n != 0 {
		t.Errorf("%d token requests", n)
	}
}
