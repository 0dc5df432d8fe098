package leak_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// The secrets of clients at the plain server: two hold characters that encodings
// escape.
const (
	basicSecret = `b4ZqT:7+e/9c=Rr%1e&t é"<\>-9xK2`
	rawSecret   = `W8+sVc/3Ut=p0w3r&%-7YqLm2G`
	postSecret  = `f6Om+Gb5e/u8R=3%&-m5ZdQw1E`
)

// clients authenticate in every way that the sandbox's documents do not.
func clients() []sandbox.Client {
	return []sandbox.Client{
		{Connection: "basic", ClientSecret: redact.New(basicSecret), Scopes: []string{"read", "write"}},
		{Connection: "raw", ClientSecret: redact.New(rawSecret), ClientAuth: provider.ClientSecretBasicRaw},
		{Connection: "post", ClientSecret: redact.New(postSecret), ClientAuth: provider.ClientSecretPost},
		{Connection: "jwt", ClientAuth: provider.PrivateKeyJWT, KeyID: "key-1"},
		{Connection: "public", ClientAuth: provider.NoClientAuth},
		{Connection: "app", Delegated: true, RequirePKCE: true, Issuer: sandbox.IssuerTrue, IDToken: true,
			Refresh: sandbox.RefreshPolicy{Rotation: sandbox.RotateAndDetect}},
		{Connection: "phone", Delegated: true, RequirePKCE: true, ClientAuth: provider.NoClientAuth,
			Refresh: sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways}},
	}
}

var connections = []string{"creative-force", "agile-now", "cliquify", "basic", "raw", "post", "jwt", "public"}

// users are the connections for users who consent.
var users = []string{"app", "creative-force-user", "phone"}

// canary is a unique text that is the same in every run.
func canary(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// TestFlows runs the service through every flow and fault, and then searches
// everything that it wrote for every secret that it handled.
func TestFlows(t *testing.T) {
	e := newEnv(t, hooks{})
	printed := e.sinks.capture(t)
	for _, name := range connections {
		e.normalUse(name)
	}
	e.renewals()
	e.rotations()
	e.revocations()
	e.misconfigurations()
	for _, name := range []string{"creative-force", "agile-now", "basic"} {
		for i, fault := range faults(e, name) {
			e.coldUnder(name, fault)
			if name == "basic" || i%8 == 0 {
				e.warmUnder(name, fault)
			}
		}
	}
	e.items()
	printed()
	report(t, e)

	t.Run("AZ-54 every kind of secret was handled", func(t *testing.T) {
		guarded := e.sinks.guarded()
		for _, name := range []string{"client secret", "access token", "refresh token", "private key", "client assertion", "Basic header", "sealing key"} {
			if guarded[name] == 0 {
				t.Errorf("no %s was handled: the search proves nothing about it", name)
			}
		}
	})
	t.Run("AZ-54 every output was searched", func(t *testing.T) {
		for _, name := range []string{"log", "responses", "requests to providers", "DynamoDB", "items"} {
			if e.sinks.text(name) == "" {
				t.Errorf("nothing came out of %q", name)
			}
		}
	})
	t.Run("AZ-54 every outcome occurred", func(t *testing.T) {
		text := e.sinks.text("log")
		for _, outcome := range []string{"ok", "provider_rejected", "provider_malformed", "provider_unavailable", "rate_limited",
			"connection_misconfigured", "invalid_request"} {
			if !strings.Contains(text, `"outcome":"`+outcome+`"`) {
				t.Errorf("no %s: a flow did not go as intended", outcome)
			}
		}
	})
	t.Run("OC-20 nothing followed a redirect", func(t *testing.T) {
		if n := e.attacked.Load(); n > 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func report(t *testing.T, e *env) {
	t.Helper()
	for _, found := range e.sinks.search(t) {
		t.Errorf("INV-5 %s", found)
	}
}

// normalUse is what callers do with a connection that works.
func (e *env) normalUse(name string) {
	e.t.Helper()
	first := e.token("GET", name, "", "")
	if first.status != http.StatusOK {
		e.t.Fatalf("%s: %d %v", name, first.status, first.body["error"])
	}
	e.token("GET", name, "min_ttl=60", "")
	e.token("POST", name, "", fmt.Sprintf(`{"rejected_token_id":%q}`, first.body["token_id"])) // too new
	e.pass(31 * time.Second)
	second := e.token("POST", name, "", fmt.Sprintf(`{"min_ttl":60,"rejected_token_id":%q}`, first.body["token_id"]))
	if second.status != http.StatusOK || second.body["token_id"] == first.body["token_id"] {
		e.t.Errorf("%s: the rejected token was not replaced: %d", name, second.status)
	}
	token, _ := second.body["access_token"].(string)
	e.token("POST", name, "", fmt.Sprintf(`{"rejected_token_id":%q}`, token)) // a token where its id belongs
	e.token("POST", name, "", fmt.Sprintf(`{%q:1}`, token))
	e.token("GET", name, "scope=read", "")
	e.status(name)
	e.list()
	e.token("DELETE", name, "", "")
	e.token("GET", name, "", "")
}

// renewals runs ticks until tokens of five minutes are due, while a provider works
// and while it does not.
func (e *env) renewals() {
	for _, name := range []string{"agile-now", "basic"} {
		if err := e.sandbox.SetLifetime(name, 5*time.Minute); err != nil {
			e.t.Fatal(err)
		}
		e.token("DELETE", name, "", "")
		e.token("GET", name, "", "")
		for range 3 {
			e.pass(time.Minute)
			e.tick()
		}
		e.token("GET", name, "", "")
		e.script(name, sandbox.Fault{Status: 400, Body: canary("answer to the renewer")})
		for range 3 {
			e.pass(time.Minute)
			e.tick()
		}
		e.script(name)
		if err := e.sandbox.SetLifetime(name, 0); err != nil {
			e.t.Fatal(err)
		}
	}
	e.sinks.guard("access token", canary("answer to the renewer"))
	for _, action := range []string{`"action":"tick"`, `"action":"renew","outcome":"ok"`, `"action":"renew","outcome":"provider_rejected"`} {
		if !strings.Contains(e.sinks.text("log"), action) {
			e.t.Errorf("no %s: the renewer did not do what was intended", action)
		}
	}
}

// faults are a provider's answers that repeat the secret of the request.
func faults(e *env, name string) []sandbox.Fault {
	token := canary("token of " + name)
	e.sinks.guard("access token", token)
	secret, quoted := echoPlain, `"the secret `+echoJSON+` is wrong; the token was `+token+`"`
	header := canary("header of " + name)
	e.sinks.guard("client secret", header)

	var all []sandbox.Fault
	literal := func(status int, body string) { all = append(all, sandbox.Fault{Status: status, Body: body}) }
	for _, status := range []int{400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504} {
		literal(status, `{"error":"invalid_client","error_description":`+quoted+`}`)
		literal(status, secret+" "+token)
	}
	for _, code := range []string{"invalid_grant", "invalid_scope", "unauthorized_client", "temporarily_unavailable", "slow_down", "who_knows"} {
		literal(400, `{"error":"`+code+`","error_description":`+quoted+`,"error_uri":`+quoted+`}`)
	}
	literal(400, `{"error":`+quoted+`}`)
	literal(400, `{"error_description":`+quoted+`,"messages":[`+quoted+`]}`)
	literal(200, `{"error":"invalid_client","error_description":`+quoted+`}`)
	literal(200, `{"success":false,"message":`+quoted+`}`)
	for _, member := range []string{"access_token", "token_type", "expires_in", "scope"} {
		answer := map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600}
		answer[member] = []any{secret, token}
		text, _ := json.Marshal(answer)
		literal(200, string(text))
	}
	literal(200, `{"access_token":"`+token+`","token_type":`+quoted+`}`)
	literal(200, `{"access_token":"`+token+`","token_type":"Bearer","expires_in":`+quoted+`}`)
	literal(200, `{"access_token":"`+token+`\r\nX-Token: 1","token_type":"Bearer"}`)
	literal(200, `{"access_token":"`+token+`","access_token":"`+token+`x"}`)
	literal(200, `{"access_token":"`+token)
	literal(200, `{"`+token+`":1,"`+token+`":2}`)
	literal(200, `{"access_token":"`+token+`","token_type":"Bearer","refresh_token":"`+token+`-refresh","id_token":"`+token+`-id"}`)
	literal(200, "<html>"+secret+"</html>")
	literal(200, strings.Repeat(token+" ", 40<<10)) // beyond what is read
	all = append(all,
		sandbox.Fault{ContentType: "text/" + header, Body: secret},
		sandbox.Fault{Status: 503, RetryAfter: header, Body: secret},
		sandbox.Fault{Status: 429, RetryAfter: "120", ContentType: header, Body: "<" + secret + ">"},
		sandbox.Fault{Reset: true}, sandbox.Fault{Truncate: true}, sandbox.Fault{Processed: true, Reset: true},
	)
	for _, status := range []int{301, 302, 303, 307, 308} {
		all = append(all, sandbox.Fault{Status: status, Redirect: e.attacker + "/?token=" + token})
	}
	return all
}

// coldUnder is what callers do while a provider misbehaves and no token is stored.
func (e *env) coldUnder(name string, fault sandbox.Fault) {
	e.t.Helper()
	e.token("DELETE", name, "", "")
	e.script(name, fault)
	e.token("GET", name, "", "")
	e.token("GET", name, "", "") // from the memory of the failure
	e.status(name)
	e.script(name)
}

// warmUnder is what callers and the renewer do while a provider misbehaves and a
// token is stored.
func (e *env) warmUnder(name string, fault sandbox.Fault) {
	e.t.Helper()
	e.token("DELETE", name, "", "")
	good := e.token("GET", name, "", "")
	if good.status != http.StatusOK {
		e.t.Errorf("%s did not recover: %d %v", name, good.status, good.body["error"])
	}
	e.script(name, fault)
	e.pass(11 * time.Minute) // the window of forced refreshes
	e.token("POST", name, "", fmt.Sprintf(`{"rejected_token_id":%q}`, good.body["token_id"]))
	e.token("GET", name, "min_ttl=900", "")
	e.declare(name, map[string]any{"default_expires_in": 300 + e.now.Load()%3000})
	e.changed(name) // the renewer tries to reissue
	e.script(name)
}

func (e *env) script(name string, script ...sandbox.Fault) {
	e.t.Helper()
	if err := e.sandbox.Fault(name, script...); err != nil {
		e.t.Fatal(err)
	}
}

// revocations revokes tokens at servers that accept, refuse and fail; their
// answers repeat the request.
func (e *env) revocations() {
	for _, name := range []string{"basic", "raw", "post", "jwt"} {
		for _, answer := range []string{"ok", "refused", "down"} {
			e.declare(name, map[string]any{"revocation_url": e.provider + "/revoke/" + answer})
			e.token("GET", name, "", "")
			if got, want := e.token("DELETE", name, "revoke=true", ""), map[string]int{"ok": 204, "refused": 502, "down": 503}[answer]; got.status != want {
				e.t.Errorf("revocation that is %s: %d, want %d", answer, got.status, want)
			}
			e.token("DELETE", name, "", "")
		}
		e.declare(name, nil)
	}
}

// rotations replaces secrets after the provider did, and by a wrong one.
func (e *env) rotations() {
	for _, name := range []string{"creative-force", "agile-now", "basic"} {
		for _, grace := range []time.Duration{0, time.Hour} {
			e.token("GET", name, "", "")
			if err := e.sandbox.Rotate(name, sandbox.Rotation{Grace: grace}); err != nil {
				e.t.Fatal(err)
			}
			e.token("DELETE", name, "", "")
			e.token("GET", name, "", "") // with the old one
			e.declare(name, nil)
			e.changed(name)
			if got := e.token("GET", name, "", ""); got.status != http.StatusOK {
				e.t.Errorf("%s after a rotation: %d %v", name, got.status, got.body["error"])
			}
			wrong := canary(fmt.Sprint("wrong secret of ", name, grace))
			e.sinks.guard("client secret", wrong)
			e.declare(name, map[string]any{"client_secret": wrong})
			e.changed(name)
			e.token("DELETE", name, "", "")
			e.token("GET", name, "", "") // the previous one still works
			e.declare(name, nil)
			e.changed(name)
		}
	}
}

// misconfigurations puts a secret into every member where none belongs.
func (e *env) misconfigurations() {
	const secret = `Jx5Rb "v8Nq2" t4K+9/w=Zr7`
	e.sinks.guard("client secret", secret)
	members := []string{"provider", "grant_type", "client_id", "client_secret", "private_key", "key_id", "client_auth", "scope", "allowed_scopes",
		"base_url", "token_url", "authorization_url", "revocation_url", "issuer", "redirect_uri", "pkce", "token_params",
		"authorization_params", "response", "default_expires_in", "refresh_token_expires_in", "early_refresh", "callers", "connections"}
	shapes := []any{secret, " " + secret, strings.Replace(e.provider, "//", "//"+secret+"@", 1), []any{secret},
		[]any{map[string]any{"principal": secret}}, map[string]any{"client_secret": secret}, map[string]any{"access_token": secret},
		map[string]any{"grant_type": secret}}
	for _, member := range members {
		for _, shape := range shapes {
			e.declare("post", map[string]any{member: shape})
			e.look("post")
		}
	}
	quoted, _ := json.Marshal(secret)
	for _, text := range []string{
		secret, string(quoted), `[` + string(quoted) + `]`, `{"client_secret":` + string(quoted), `{"client_secret":` + string(quoted) + `}x`,
		`{"client_secret":` + string(quoted) + `,"client_secret":` + string(quoted) + `}`, `{"client_secret":` + secret + `}`,
		`{"connections":{"a":` + string(quoted) + `}}`, `{"connections":` + string(quoted) + `}`, "\xff\xfe" + secret, strings.Repeat(secret, 3000),
	} {
		e.write("post", text)
		e.look("post")
		e.look("post.a")
	}
	e.declare("post", nil)
	e.changed("post")
}

// look requests everything that reports what is wrong with a connection.
func (e *env) look(name string) {
	e.token("GET", name, "", "")
	e.status(name)
}
