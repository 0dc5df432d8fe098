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

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
	"github.com/tokenvend/tokenvend/scripts/internal/engine/enginetest"
)

// sealingKey is the text of the keyset's only key.
const sealingKey = "5hT8kW2nY7cR4vL9zX3qB6mD1jF0gSpK8tH4uE2w"

// consentKey is that of the public side's keyset.
const consentKey = "9rN3pJ7mC5xH2bV8wL4kT6gF1dS0qZyA3nM7vB5e"

// house is the whole service as the functions compose it, over a table of the
// real store's and the sandbox's providers, with every way out recorded.
type house struct {
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

// hooks replace parts of a house; a nil hook keeps the part.
type hooks struct {
	// budget of one token request; zero is the client's own.
	budget time.Duration
	minter func(*house, vending.Minter) vending.Minter
	store  func(*house, vending.Store) vending.Store
	tokens func(*house, gateway.Tokens) gateway.Tokens
	door   func(*house, gateway.FrontChannel) gateway.FrontChannel
	// sessions are those of the signed side.
	sessions func(*house, consent.Sessions) consent.Sessions
}

// beginning is when every run begins.
var beginning = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newHouse(t *testing.T, with hooks) *house {
	h := &house{t: t, sinks: newSinks(), folder: t.TempDir()}
	h.now.Store(beginning.UnixNano())
	h.sinks.guard("sealing key", sealingKey)
	h.sinks.guard("sealing key", consentKey)
	h.openProviders()
	h.openTable()
	h.compose(with)
	return h
}

func (h *house) clock() time.Time { return time.Unix(0, h.now.Load()).UTC() }

func (h *house) pass(d time.Duration) { h.now.Add(int64(d)) }

// seeded is randomness that is the same in every run.
func seeded(name string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

func (h *house) openProviders() {
	h.sandbox = sandbox.New(sandbox.Config{Now: h.clock, Rand: seeded("sandbox")})
	provider := httptest.NewServer(tap{h.sinks, h.sandbox})
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { h.attacked.Add(1) }))
	h.t.Cleanup(provider.Close)
	h.t.Cleanup(attacker.Close)
	h.provider, h.attacker = provider.URL, attacker.URL
	h.sandbox.SetBaseURL(h.provider)
	for _, client := range clients() {
		if err := h.sandbox.Register(client); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, name := range users {
		if err := h.sandbox.SetRedirectURIs(name, publicBase+"/callback/"+name); err != nil {
			h.t.Fatal(err)
		}
	}
	for name := range h.sandbox.Connections() {
		h.declare(name, nil)
	}
}

// openTable makes the table in an engine. Requests to it are a sink: they are the
// raw items.
func (h *house) openTable() {
	endpoint := enginetest.Endpoint(h.t)
	h.tableName = enginetest.Table(h.t, endpoint)
	engine, err := awsfake.Proxy(endpoint)
	if err != nil {
		h.t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(h.sinks.into("DynamoDB"), "%s\n%s\n", r.Header.Get("X-Amz-Target"), body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		engine.ServeHTTP(w, r)
	}))
	h.t.Cleanup(server.Close)
	settings, err := awsconfig.Load(func(name string) (string, bool) {
		value, set := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
			"AWS_ENDPOINT_URL": server.URL}[name]
		return value, set
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.table = settings.DynamoDB()
}

// compose builds the functions as their mains do.
func (h *house) compose(with hooks) {
	records := awsdynamodb.Config{Client: h.table, Table: h.tableName}
	table := awsdynamodb.New(records)
	secrets := folder.New(folder.Config{Path: h.folder})
	parser := connection.Parser{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	hurry := func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	provider := oauth.New(oauth.Config{Egress: parser.Egress, Now: h.clock, Wait: hurry, Budget: with.budget})
	writer := audit.NewWriter(audit.Config{Output: h.sinks.into("log"), Now: h.clock})
	log := slog.New(slog.NewJSONHandler(h.sinks.into("log"), &slog.HandlerOptions{Level: slog.LevelDebug}))
	sealer := h.sealer(sealingKey)

	minter, store := vending.Minter(provider), vending.Store(table)
	if with.minter != nil {
		minter = with.minter(h, minter)
	}
	if with.store != nil {
		store = with.store(h, store)
	}
	core := vending.New(vending.Config{Store: store, Secrets: secrets, Parser: parser, Minter: minter, Revoker: provider,
		Now: h.clock, Wait: hurry, Sealer: sealer})
	tokens := gateway.Tokens(core)
	if with.tokens != nil {
		tokens = with.tokens(h, core)
	}
	h.vend = gateway.Vend(gateway.VendConfig{Tokens: tokens, Audit: writer, Now: h.clock})
	sessions := awsdynamodb.New(records)
	signed := consent.Sessions(sessions)
	if with.sessions != nil {
		signed = with.sessions(h, sessions)
	}
	h.connections = gateway.Connections(gateway.ConnectionsConfig{Audit: writer, PublicBaseURL: publicBase, Now: h.clock,
		Directory:   directory.New(directory.Config{Store: store, Secrets: secrets, Lister: secrets, Parser: parser, Now: h.clock}),
		Grants:      core,
		BackChannel: consent.NewBackChannel(consent.BackChannelConfig{Sessions: signed, Pending: table, Grants: core, Sealer: sealer, Now: h.clock})})
	door := gateway.FrontChannel(consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: sessions, Sealer: h.sealer(consentKey), Now: h.clock}))
	if with.door != nil {
		door = with.door(h, door)
	}
	h.public = gateway.Consent(gateway.ConsentConfig{FrontChannel: door, Pages: pages.New(), Audit: writer})
	h.renew = &renewal.Handler{SecretPrefix: "tokenvend/",
		Refused: func(reason string) { log.Warn("event refused", "reason", reason) },
		Renewer: renewal.New(renewal.Config{Core: core, Index: table, Documents: table, Versions: secrets, Audit: writer, Now: h.clock})}
}

// sealer has a keyset of one key.
func (h *house) sealer(key string) *seal.Sealer {
	return seal.New(seal.Config{Now: h.clock, Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k1","k1":"` + key + `"}`), nil
	}})
}

// declare writes the sandbox's file of a connection with members changed, and
// guards what is secret in it.
func (h *house) declare(name string, changes map[string]any) {
	h.t.Helper()
	file := h.sandbox.Connections()[name]
	h.sinks.guardMembers(file, map[string]string{"client_secret": "client secret"})
	var members map[string]any
	if err := json.Unmarshal(file, &members); err != nil {
		h.t.Fatal(err)
	}
	if key, ok := members["private_key"].(string); ok {
		lines := strings.Split(key, "\n")
		h.sinks.guard("private key", strings.Join(lines[1:len(lines)-2], ""))
	}
	maps.Copy(members, changes)
	text, err := json.Marshal(members)
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(name, string(text))
}

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.folder, name+".json"), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// reply is a function's answer.
type reply struct {
	status int
	header map[string]string
	// text is the body as it is, body the members of one in JSON.
	text string
	body map[string]any
}

// invoke sends an event and records the answer, all of it but the one place
// where a token belongs.
func (h *house) invoke(f *gateway.Handler, method, resource, path string, query url.Values, body string) reply {
	h.t.Helper()
	name := strings.Split(path+"/", "/")[2]
	event, err := json.Marshal(map[string]any{
		"resource": resource, "path": path, "httpMethod": method, "pathParameters": map[string]string{"connection": name},
		"headers": map[string]string{"Content-Type": "application/json"}, "multiValueQueryStringParameters": query, "body": body,
		"requestContext": map[string]any{"requestId": "request", "stage": "v1", "identity": map[string]string{
			"userArn": "arn:aws:iam::111122223333:role/app", "caller": "AROAEXAMPLE:session", "accountId": "111122223333", "sourceIp": "192.0.2.1"}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := f.Invoke(h.t.Context(), event)
	if err != nil {
		h.t.Fatal(err)
	}
	var got struct {
		StatusCode int
		Body       string
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		h.t.Fatal(err)
	}
	r := reply{status: got.StatusCode}
	_ = json.Unmarshal([]byte(got.Body), &r.body) // 204 has none
	if token, ok := r.body["access_token"].(string); ok {
		member := fmt.Sprintf(`\"access_token\":\"%s\"`, token)
		if !bytes.Contains(answer, []byte(member)) {
			h.t.Errorf("the token is not written plainly in its member")
		}
		answer = bytes.Replace(answer, []byte(member), nil, 1)
	}
	fmt.Fprintf(h.sinks.into("responses"), "%s\n", answer)
	return r
}

func (h *house) token(method, name, query, body string) reply {
	h.t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.invoke(h.vend, method, "/connections/{connection}/token", "/connections/"+name+"/token", values, body)
}

func (h *house) status(name string) reply {
	h.t.Helper()
	return h.invoke(h.connections, "GET", "/connections/{connection}", "/connections/"+name, nil, "")
}

func (h *house) list() reply {
	h.t.Helper()
	return h.invoke(h.connections, "GET", "/connections", "/connections", nil, "")
}

// event sends the renewer an event.
func (h *house) event(text string) {
	h.t.Helper()
	answer, err := h.renew.Invoke(h.t.Context(), []byte(text))
	fmt.Fprintf(h.sinks.into("responses"), "%s %v\n", answer, err)
	if err != nil {
		h.t.Error(err)
	}
}

func (h *house) tick() { h.event(`{"source":"aws.events","detail-type":"Scheduled Event"}`) }

func (h *house) changed(name string) {
	h.event(`{"source":"aws.secretsmanager","detail-type":"Secret Label Updated","detail":{"name":"tokenvend/` + name + `","labelUpdated":"AWSCURRENT"}}`)
}

// items puts every item of the table into its sink.
func (h *house) items() {
	h.t.Helper()
	var start map[string]types.AttributeValue
	for first := true; first || start != nil; first = false {
		page, err := h.table.Scan(h.t.Context(), &dynamodb.ScanInput{TableName: &h.tableName, ExclusiveStartKey: start})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, item := range page.Items {
			h.item(item)
		}
		start = page.LastEvaluatedKey
	}
}

func (h *house) item(item map[string]types.AttributeValue) {
	for name, value := range item {
		switch v := value.(type) {
		case *types.AttributeValueMemberB:
			fmt.Fprintf(h.sinks.into("items"), "%s %s\n", name, v.Value)
		case *types.AttributeValueMemberS:
			fmt.Fprintf(h.sinks.into("items"), "%s %s\n", name, v.Value)
		default:
			fmt.Fprintf(h.sinks.into("items"), "%s %v\n", name, v)
		}
	}
}

// tap stands before the providers: what their requests show outside the places
// where credentials belong is a sink, and what they issue is guarded.
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

// basicSecretOf is the part of a Basic header that the secret alone makes: the
// client's id stands in many places.
func basicSecretOf(r *http.Request) string {
	_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	id, _, ok := r.BasicAuth()
	if !ok {
		return credentials
	}
	return credentials[(8*(len(id)+1)+5)/6:]
}

// formSecrets are the members of requests that are secret, and what they are.
var formSecrets = map[string]string{
	"client_assertion": "client assertion", "code": "authorization code", "code_verifier": "code verifier", "refresh_token": "refresh token",
}

// withoutState takes the state out of a provider's address: it belongs there.
func withoutState(address string) string {
	before, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil || !strings.HasSuffix(before, "/authorize") {
		return address
	}
	values.Del("state")
	return before + "?" + values.Encode()
}

// In a fault's body these stand for secrets that the request carried.
const (
	echoPlain = "@secret@"
	echoJSON  = "@secret, quoted@"
	echoForm  = "@code or refresh token, and verifier@"
)

// echo writes a request's own secrets where an answer repeats them.
func echo(r *http.Request, body []byte) *strings.Replacer {
	form, _ := url.ParseQuery(string(body)) // one that cannot be read has no secret
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

// harvest guards the tokens in what a provider answers.
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
