package leak_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
	"github.com/tokenvend/tokenvend/scripts/internal/engine/enginetest"
)

// sealingKey is the text of the keyset's only key.
const sealingKey = "5hT8kW2nY7cR4vL9zX3qB6mD1jF0gSpK8tH4uE2w"

// consentKey is that of the public pages' keyset.
const consentKey = "9rN3pJ7mC5xH2bV8wL4kT6gF1dS0qZyA3nM7vB5e"

// env is the service as the functions compose it, over a table in an engine and
// the sandbox's providers. Everything that leaves it is recorded.
type env struct {
	t       *testing.T
	sinks   *sinks
	sandbox *sandbox.Sandbox
	// provider is the sandbox's address; attacker is one that nothing may reach.
	provider, attacker string
	attacked           atomic.Int64
	folder             string
	table              *dynamodb.Client
	tableName          string
	now                atomic.Int64

	vend, connections, public *gateway.Handler
	renew                     *renewal.Handler
}

// hooks replace parts of an env; a nil hook keeps the part.
type hooks struct {
	// budget of one token request; zero is the client's own.
	budget   time.Duration
	provider func(*env, assembly.Provider) assembly.Provider
	store    func(*env, assembly.Store) assembly.Store
	tokens   func(*env, gateway.Tokens) gateway.Tokens
	front    func(*env, gateway.FrontChannel) gateway.FrontChannel
	// sessions are those of the back channel.
	sessions func(*env, consent.Sessions) consent.Sessions
}

// beginning is when every run begins.
var beginning = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newEnv(t *testing.T, with hooks) *env {
	e := &env{t: t, sinks: newSinks(), folder: t.TempDir()}
	e.now.Store(beginning.UnixNano())
	e.sinks.guard("sealing key", sealingKey)
	e.sinks.guard("sealing key", consentKey)
	e.openProviders()
	e.openTable()
	e.compose(with)
	return e
}

func (e *env) clock() time.Time { return time.Unix(0, e.now.Load()).UTC() }

func (e *env) pass(d time.Duration) { e.now.Add(int64(d)) }

// seeded is randomness that is the same in every run.
func seeded(name string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

func (e *env) openProviders() {
	e.sandbox = sandbox.New(sandbox.Config{Now: e.clock, Rand: seeded("sandbox")})
	provider := httptest.NewServer(tap{e.sinks, e.sandbox})
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { e.attacked.Add(1) }))
	e.t.Cleanup(provider.Close)
	e.t.Cleanup(attacker.Close)
	e.provider, e.attacker = provider.URL, attacker.URL
	e.sandbox.SetBaseURL(e.provider)
	for _, client := range clients() {
		if err := e.sandbox.Register(client); err != nil {
			e.t.Fatal(err)
		}
	}
	for _, name := range users {
		if err := e.sandbox.SetRedirectURIs(name, publicBase+"/callback/"+name); err != nil {
			e.t.Fatal(err)
		}
	}
	for name := range e.sandbox.Connections() {
		e.declare(name, nil)
	}
}

// openTable makes the table in an engine. Requests to it are a sink: they hold
// the raw items.
func (e *env) openTable() {
	endpoint := enginetest.Endpoint(e.t)
	e.tableName = enginetest.Table(e.t, endpoint)
	engine, err := awsfake.Proxy(endpoint)
	if err != nil {
		e.t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(e.sinks.into("DynamoDB"), "%s\n%s\n", r.Header.Get("X-Amz-Target"), body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		engine.ServeHTTP(w, r)
	}))
	e.t.Cleanup(server.Close)
	settings, err := awsconfig.Load(func(name string) (string, bool) {
		value, set := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
			"AWS_ENDPOINT_URL": server.URL}[name]
		return value, set
	})
	if err != nil {
		e.t.Fatal(err)
	}
	e.table = settings.DynamoDB()
}

// compose builds the functions as their mains do, with the hooked parts.
func (e *env) compose(with hooks) {
	table := awsdynamodb.New(awsdynamodb.Config{Client: e.table, Table: e.tableName})
	parser := connection.Parser{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	noWait := func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	client := oauth.New(oauth.Config{Egress: parser.Egress, Now: e.clock, Wait: noWait, Budget: with.budget})
	log := slog.New(slog.NewJSONHandler(e.sinks.into("log"), &slog.HandlerOptions{Level: slog.LevelDebug}))
	parts := assembly.Service{
		Store: table, Sessions: table, Secrets: folder.New(folder.Config{Path: e.folder}), Parser: parser, Provider: client,
		Sealer: e.sealer(sealingKey), FrontSealer: e.sealer(consentKey), PublicBaseURL: publicBase,
		Audit: audit.NewWriter(audit.Config{Output: e.sinks.into("log"), Now: e.clock}), Now: e.clock, Wait: noWait,
	}
	front := gateway.FrontChannel(parts.FrontChannel())
	if with.front != nil {
		front = with.front(e, front)
	}
	e.public = parts.Consent(front, pages.New())
	if with.provider != nil {
		parts.Provider = with.provider(e, client)
	}
	if with.store != nil {
		parts.Store = with.store(e, table)
	}
	if with.sessions != nil {
		parts.Sessions = with.sessions(e, table)
	}
	core := parts.Core()
	tokens := gateway.Tokens(core)
	if with.tokens != nil {
		tokens = with.tokens(e, core)
	}
	e.vend, e.connections = parts.Vend(tokens), parts.Connections(core)
	e.renew = &renewal.Handler{SecretPrefix: "tokenvend/", Renewer: parts.Renewer(core),
		Refused: func(reason string) { log.Warn("event refused", "reason", reason) }}
}

// sealer has a keyset of one key.
func (e *env) sealer(key string) *seal.Sealer {
	return seal.New(seal.Config{Now: e.clock, Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k1","k1":"` + key + `"}`), nil
	}})
}

// declare writes the sandbox's file of a connection with members changed, and
// guards what is secret in it.
func (e *env) declare(name string, changes map[string]any) {
	e.t.Helper()
	file := e.sandbox.Connections()[name]
	e.sinks.guardMembers(file, map[string]string{"client_secret": "client secret"})
	var members map[string]any
	if err := json.Unmarshal(file, &members); err != nil {
		e.t.Fatal(err)
	}
	if key, ok := members["private_key"].(string); ok {
		lines := strings.Split(key, "\n")
		e.sinks.guard("private key", strings.Join(lines[1:len(lines)-2], ""))
	}
	maps.Copy(members, changes)
	text, err := json.Marshal(members)
	if err != nil {
		e.t.Fatal(err)
	}
	e.write(name, string(text))
}

func (e *env) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.folder, name+".json"), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// reply is a function's answer.
type reply struct {
	status int
	header map[string]string
	// text is the body, and body has the members of one in JSON.
	text string
	body map[string]any
}

func (e *env) token(method, name, query, body string) reply {
	e.t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		e.t.Fatal(err)
	}
	r := request{method: method, resource: "/connections/{connection}/token", connection: name, query: values,
		contentType: "application/json", body: body}
	if method == http.MethodDelete {
		return e.deliver(e.vend, r)
	}
	return e.deliver(e.vend, r, tokenInBody)
}

func (e *env) status(name string) reply {
	e.t.Helper()
	return e.deliver(e.connections, request{method: "GET", resource: "/connections/{connection}", connection: name})
}

func (e *env) list() reply {
	e.t.Helper()
	return e.deliver(e.connections, request{method: "GET", resource: "/connections"})
}

// event sends the renewer an event.
func (e *env) event(text string) {
	e.t.Helper()
	answer, err := e.renew.Invoke(e.t.Context(), []byte(text))
	fmt.Fprintf(e.sinks.into("responses"), "%s %v\n", answer, err)
	if err != nil {
		e.t.Error(err)
	}
}

func (e *env) tick() { e.event(`{"source":"aws.events","detail-type":"Scheduled Event"}`) }

func (e *env) changed(name string) {
	e.event(`{"source":"aws.secretsmanager","detail-type":"Secret Label Updated","detail":{"name":"tokenvend/` + name + `","labelUpdated":"AWSCURRENT"}}`)
}

// items copies every item of the table into its sink.
func (e *env) items() {
	e.t.Helper()
	var start map[string]types.AttributeValue
	for first := true; first || start != nil; first = false {
		page, err := e.table.Scan(e.t.Context(), &dynamodb.ScanInput{TableName: &e.tableName, ExclusiveStartKey: start})
		if err != nil {
			e.t.Fatal(err)
		}
		for _, item := range page.Items {
			e.item(item)
		}
		start = page.LastEvaluatedKey
	}
}

func (e *env) item(item map[string]types.AttributeValue) {
	for name, value := range item {
		switch v := value.(type) {
		case *types.AttributeValueMemberB:
			fmt.Fprintf(e.sinks.into("items"), "%s %s\n", name, v.Value)
		case *types.AttributeValueMemberS:
			fmt.Fprintf(e.sinks.into("items"), "%s %s\n", name, v.Value)
		default:
			fmt.Fprintf(e.sinks.into("items"), "%s %v\n", name, v)
		}
	}
}

// tap is in front of the providers: what requests show outside the places where
// credentials belong is a sink, and what providers issue is guarded.
type tap struct {
	sinks *sinks
	next  http.Handler
}

func (p tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.sinks.guard("Basic header", basicSecretOf(r))
	body, _ := io.ReadAll(r.Body)
	if form, err := url.ParseQuery(string(body)); err == nil {
		for member, name := range formSecrets {
			p.sinks.guard(name, form.Get(member))
		}
	}
	head := r.Header.Clone()
	head.Del("Authorization")
	fmt.Fprintf(p.sinks.into("requests to providers"), "%s %s %v\n", r.Method, withoutState(r.RequestURI), head)
	if status, isRevocation := strings.CutPrefix(r.URL.Path, "/revoke/"); isRevocation {
		w.WriteHeader(map[string]int{"ok": 200, "refused": 400, "down": 503}[status])
		fmt.Fprintf(w, `{"error":"invalid_request","error_description":%q}`, cmp.Or(string(body), "empty"))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.next.ServeHTTP(&harvest{ResponseWriter: w, sinks: p.sinks, echo: echo(r, body)}, r)
}

// basicSecretOf is the part of a Basic header that only the secret determines: the
// client's id is in many places.
func basicSecretOf(r *http.Request) string {
	_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	id, _, ok := r.BasicAuth()
	if !ok {
		return credentials
	}
	return credentials[(8*(len(id)+1)+5)/6:]
}

// formSecrets names the secret members of requests.
var formSecrets = map[string]string{
	"client_assertion": "client assertion", "code": "authorization code", "code_verifier": "code verifier", "refresh_token": "refresh token",
}

// withoutState removes the state from a provider's address, where it belongs.
func withoutState(address string) string {
	before, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil || !strings.HasSuffix(before, "/authorize") {
		return address
	}
	values.Del("state")
	return before + "?" + values.Encode()
}

// In a fault's body these are replaced by secrets of the request.
const (
	echoPlain = "@secret@"
	echoJSON  = "@secret, quoted@"
	echoForm  = "@code or refresh token, and verifier@"
)

// echo puts the request's own secrets into an answer that repeats them.
func echo(r *http.Request, body []byte) *strings.Replacer {
	form, _ := url.ParseQuery(string(body)) // a malformed one has no secret
	secret := form.Get("client_secret")
	if _, password, ok := r.BasicAuth(); ok {
		secret = password
		if decoded, err := url.QueryUnescape(password); err == nil {
			secret = decoded
		}
	}
	quoted, _ := json.Marshal(secret)
	return strings.NewReplacer(echoPlain, secret, echoJSON, strings.Trim(string(quoted), `"`),
		echoForm, form.Get("code")+form.Get("refresh_token")+form.Get("token")+" "+form.Get("code_verifier"))
}

// harvest guards the tokens in a provider's answers.
type harvest struct {
	http.ResponseWriter
	sinks *sinks
	echo  *strings.Replacer
}

func (w *harvest) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *harvest) Write(p []byte) (int, error) {
	w.sinks.guardMembers(p, map[string]string{
		"access_token": "access token", "refresh_token": "refresh token", "id_token": "id token"})
	_, err := w.echo.WriteString(w.ResponseWriter, string(p))
	return len(p), err
}
