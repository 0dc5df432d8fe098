package cli_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/internal/connectionfile"
)

func TestProviders_list(t *testing.T) {
	f := newFixture(t)
	golden(t, "providers-ls.txt", f.must(t, "", "providers", "ls", "SHOP"))
	golden(t, "providers-ls.json", f.must(t, "", "providers", "ls", "-o", "json", "shopw"))
	if all := strings.Count(f.must(t, "", "providers", "ls"), "\n"); all < 100 {
		t.Errorf("the list has %d lines", all)
	}
}

func TestProviders_get(t *testing.T) {
	f := newFixture(t)
	golden(t, "providers-get.txt", f.must(t, "", "providers", "get", "docusign"))
	golden(t, "providers-get.json", f.must(t, "", "providers", "get", "docusign", "-o", "json"))
	if out := f.must(t, "", "providers", "get", "klarna"); !strings.Contains(out, "offers no grant") {
		t.Errorf("a provider without a grant:\n%s", out)
	}
	f.fails(t, 1, `did you mean "shopify"`, "", "providers", "get", "shopifi")
	f.fails(t, 1, "providers new", "", "providers", "get", "none-is-near")
}

// clientOfTest is the client of the servers that the dialogues are about.
const clientOfTest = "client-of-the-test"

// serve runs a server of a provider that the catalogue does not have.
func serve(t *testing.T, pages map[string]http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, page := range pages {
		mux.HandleFunc(pattern, page)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// answer writes a JSON answer, with SERVER replaced by the server's own address.
func answer(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(text, "SERVER", "http://"+r.Host))
	}
}

// unless refuses a request that lacks what the server wants.
func unless(wanted func(r *http.Request) bool, refusal, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !wanted(r) {
			refusal(w, r)
			return
		}
		then(w, r)
	}
}

func hasBasic(r *http.Request) bool {
	id, secret, _ := r.BasicAuth()
	return id == clientOfTest && secret == canary
}

func hasForm(name, value string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.FormValue(name) == value }
}

func isJSON(r *http.Request) bool { return r.Header.Get("Content-Type") == "application/json" }

// servers are the providers of the dialogues, by the name of the dialogue.
var servers = map[string]map[string]http.HandlerFunc{
	"described": {
		"GET /.well-known/oauth-authorization-server": answer(200, `{"issuer":"SERVER","token_endpoint":"SERVER/as/token","revocation_endpoint":"SERVER/as/revoke",
			"grant_types_supported":["client_credentials","refresh_token"],"token_endpoint_auth_methods_supported":["none","client_secret_basic"],
			"scopes_supported":["freight.read","freight.write"]}`),
		"POST /as/token": unless(hasBasic, answer(401, `{"error":"invalid_client"}`), answer(200, `{"access_token":"t-1","token_type":"Bearer","expires_in":600,"scope":"freight.read"}`)),
	},
	"json": {
		"POST /auth/token": unless(isJSON, answer(415, ``), answer(200, `{"result":{"token":"t-1","lifetime":1200}}`)),
	},
	"corrected": {
		"POST /oauth/token": unless(hasForm("client_secret", canary), answer(401, `{"error":"invalid_client","error_description":"no such client"}`),
			unless(hasForm("scope", "orders,stock"), answer(400, `{"error":"invalid_scope"}`), answer(200, `{"access_token":"t-1"}`))),
	},
	"users": {
		"GET /elsewhere/.well-known/openid-configuration": answer(200, `{"issuer":"https://login.example.com","token_endpoint":"https://login.example.com/token"}`),
		"GET /tenant/.well-known/openid-configuration": answer(200, `{"issuer":"SERVER/tenant/","token_endpoint":"SERVER/tenant/token",
			"authorization_endpoint":"SERVER/tenant/authorize","token_endpoint_auth_methods_supported":["client_secret_post"]}`),
		"POST /tenant/token": unless(hasForm("refresh_token", "refresh-1"), answer(400, `{"error":"invalid_grant"}`),
			answer(200, `{"authed_user":{"access_token":"t-1","expires_in":3600,"refresh_token":"refresh-2"}}`)),
	},
	"assertion": {
		"POST /oauth2/token": unless(hasForm("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), answer(400, `{"error":"unsupported_grant_type"}`),
			answer(200, `{"access_token":"t-1"}`)),
	},
}

// allowLoopback lets the command reach the servers of this machine.
func allowLoopback(t *testing.T) { t.Setenv("PROVIDER_ALLOW_CIDRS", "127.0.0.0/8") }

// recorded is a dialogue in testdata: the answers, the object that is printed, and
// what is on standard error.
type recorded struct{ path, answers, object, transcript string }

func readDialogue(t *testing.T, name string) recorded {
	t.Helper()
	path := filepath.Join("testdata", "providers", name+".txt")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "-- answers --\n")
	answers, rest, _ := strings.Cut(rest, "-- object --\n")
	object, transcript, _ := strings.Cut(rest, "-- transcript --\n")
	return recorded{path, answers, object, transcript}
}

var (
	asked  = regexp.MustCompile(`(?m)^([a-z_/]+)(?: \[[^\n]*?\])?: `)
	random = regexp.MustCompile(`state=\w+`)
)

// TestProvidersNew_OC10_dialogues replays each dialogue, and uses the object that is
// printed.
func TestProvidersNew_OC10_dialogues(t *testing.T) {
	f := newConnections(t)
	allowLoopback(t)
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, newKey(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, pages := range servers {
		t.Run(name, func(t *testing.T) {
			server, d := serve(t, pages), readDialogue(t, name)
			places := strings.NewReplacer("SERVER", server, "CANARY", canary, "KEY", key)
			var members, lines []string
			for _, line := range strings.Split(strings.TrimSpace(d.answers), "\n") {
				member, text, _ := strings.Cut(line, ":")
				members, lines = append(members, member), append(lines, places.Replace(strings.TrimSpace(text)))
			}
			code, out, transcript := f.run(t, strings.Join(lines, "\n")+"\n", "providers", "new")
			if code != 0 {
				t.Fatalf("exit code %d:\n%s", code, transcript)
			}
			var questions []string
			for _, found := range asked.FindAllStringSubmatch(transcript, -1) {
				if found[1] != "error_description" { // the provider's own words
					questions = append(questions, found[1])
				}
			}
			if diff := cmp.Diff(members, questions); diff != "" {
				t.Errorf("what is asked (-recorded +now):\n%s", diff)
			}
			d.compare(t, strings.ReplaceAll(out, server, "SERVER"), random.ReplaceAllString(strings.ReplaceAll(transcript, server, "SERVER"), "state=STATE"))
			vend(t, out, key)
		})
	}
}

// compare compares the recording with what is printed now.
func (d recorded) compare(t *testing.T, object, transcript string) {
	t.Helper()
	if *update {
		text := "-- answers --\n" + d.answers + "-- object --\n" + object + "-- transcript --\n" + transcript
		if err := os.WriteFile(d.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(d.object, object); diff != "" {
		t.Errorf("the object (-recorded +now):\n%s", diff)
	}
	if diff := cmp.Diff(d.transcript, transcript); diff != "" {
		t.Errorf("the transcript (-recorded +now):\n%s", diff)
	}
}

func newKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// vend declares a connection with the object, as the schema describes it, and gets a
// token of the provider.
func vend(t *testing.T, object, key string) {
	t.Helper()
	var provider map[string]any
	if err := json.Unmarshal([]byte(object), &provider); err != nil {
		t.Fatalf("the object is not JSON: %v", err)
	}
	grant := fmt.Sprint(provider["grant_types"].([]any)[0])
	members := map[string]any{"provider": provider, "grant_type": grant, "client_id": clientOfTest, "client_secret": canary}
	if grant == "jwt_bearer" {
		private, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		delete(members, "client_secret")
		members["private_key"] = string(private)
	}
	schema, err := jsonschema.NewCompiler().Compile("../../../pkg/connection/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(members); err != nil {
		t.Errorf("AZ-44 the schema refuses the object: %v", err)
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	parser := connection.Parser{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	minter := oauth.New(oauth.Config{Egress: parser.Egress})
	draft := connectionfile.Draft{Name: "new", Text: redact.New(string(text)), Origin: "the test"}
	if grant == "authorization_code" {
		refresh(t, parser, minter, draft)
		return
	}
	if _, err := draft.Attempt(t.Context(), parser, minter); err != nil {
		t.Errorf("no token: %v", err)
	}
}

// refresh imports a refresh token, as users' consents are not given here, and gets the
// token that it yields.
func refresh(t *testing.T, parser connection.Parser, minter *oauth.Client, draft connectionfile.Draft) {
	t.Helper()
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, string(draft.Name)+".json"), []byte(draft.Text.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	keyset := redact.New(`{"primary":"k1","k1":"` + rand.Text() + rand.Text() + `"}`)
	core := vending.New(vending.Config{
		Store: memory.New(), Secrets: folder.New(folder.Config{Path: source}), Parser: parser, Minter: minter, Revoker: minter,
		Sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return keyset, nil }}),
	})
	request := vending.Request{Connection: draft.Name, Subject: connection.DefaultSubject, Caller: "arn:aws:iam::111122223333:role/app"}
	if err := core.Import(t.Context(), vending.Import{Request: request, RefreshToken: redact.New("refresh-1")}); err != nil {
		t.Fatalf("import: %v", err)
	}
	if vended, err := core.Vend(t.Context(), request); err != nil || vended.ID != oauth.TokenID(redact.New("t-1")) {
		t.Errorf("no token: %v", err)
	}
}

// TestProvidersNew_AZ53_secretIsNotPrinted: the secret is neither in the object nor in
// what was asked, whatever the provider echoes. The fixture looks for it.
func TestProvidersNew_AZ53_secretIsNotPrinted(t *testing.T) {
	f := newConnections(t)
	allowLoopback(t)
	server := serve(t, map[string]http.HandlerFunc{"POST /token": answer(400, `{"error":"odd","error_description":"the secret `+canary+` is wrong"}`)})
	answers := "\n" + server + "/token\n" + strings.Repeat("\n", 14) + clientOfTest + "\n" + canary + "\n"
	f.fails(t, 1, "the answer to request/body is missing: standard input has ended", answers, "providers", "new")
}

func TestProvidersNew_refuses(t *testing.T) {
	f := newConnections(t)
	silent := serve(t, nil)
	for _, c := range []struct{ name, networks, answers, want string }{
		{"OC-10 metadata on loopback", "", silent, "PROVIDER_ALLOW_CIDRS"},
		{"AZ-41 a provider on loopback", "", "\n" + silent + "/token", "token_url contains an IP address"},
		{"OC-10 no metadata", "127.0.0.0/8", silent, "the server answered 404"},
		{"OC-10 metadata with a query", "127.0.0.0/8", silent + "?tenant=a", "remove it"},
		{"no answer", "", "", "the answer to metadata is missing: standard input has ended"},
		{"a variable that is no network", "local", "", "PROVIDER_ALLOW_CIDRS: "},
		{"a password grant", "", "\nhttps://login.example.com/token\n\n\npassword", "grant_types may be offered by an entry of the catalogue only"},
		{"a method that is not offered", "", "\nhttps://login.example.com/token\n\n\n\n\n\ntls_client_auth", "client_auth must be another: client certificates"},
		{"parameters without a form", "", "\nhttps://login.example.com/token" + strings.Repeat("\n", 10) + "%", "token_params is not like name=value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PROVIDER_ALLOW_CIDRS", c.networks)
			f.fails(t, 1, c.want, c.answers, "providers", "new")
		})
	}
}

// TestProvidersNew_OC10_redirect: a document elsewhere is not read.
func TestProvidersNew_OC10_redirect(t *testing.T) {
	f := newConnections(t)
	allowLoopback(t)
	reached := false
	elsewhere := serve(t, map[string]http.HandlerFunc{"/": func(http.ResponseWriter, *http.Request) { reached = true }})
	server := serve(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) }})
	f.fails(t, 1, "the server answered 302", server, "providers", "new")
	if reached {
		t.Error("the redirect was followed")
	}
}

// TestProvidersNew_givesUp: after a failure that points at no answer, an empty line
// ends the command. Without a try the object is printed.
func TestProvidersNew_givesUp(t *testing.T) {
	f := newConnections(t)
	allowLoopback(t)
	server := serve(t, map[string]http.HandlerFunc{"POST /token": answer(403, `{}`)})
	answers := "\n" + server + "/token\n" + strings.Repeat("\n", 14)
	code, out, _ := f.run(t, answers+clientOfTest+"\n"+canary+"\n\n", "providers", "new")
	if code != 1 || out != "" {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	f.fails(t, 1, "--no-try prints the object without a try", answers+clientOfTest+"\n"+canary+"\n\n", "providers", "new")
	code, out, _ = f.run(t, answers, "providers", "new", "--no-try")
	if want := "{\n  \"token_url\": \"" + server + "/token\",\n  \"grant_types\": [\"client_credentials\"],\n  \"client_auth\": \"client_secret_basic\"\n}\n"; code != 0 || out != want {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
