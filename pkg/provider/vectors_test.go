package provider_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// exchange is one documented request and its response. The client's id and secret
// are those of the documented examples; they are in the form unless the request
// uses another authentication method.
type exchange struct {
	Name       string              `json:"name"`
	ClientAuth provider.ClientAuth `json:"client_auth"` // empty: the catalogue's
	Client     struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	} `json:"client"`
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Form    url.Values        `json:"form"`
	} `json:"request"`
	Response struct {
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	} `json:"response"`
	Token   *token   `json:"token"`
	Refusal *refusal `json:"refusal"`
}

type token struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
}

type refusal struct {
	Kind        oauth.Kind `json:"kind"`
	Code        string     `json:"code"`
	Description string     `json:"description"`
}

func TestDocumentedExchanges(t *testing.T) {
	for _, name := range provider.Names() {
		for _, x := range readVector(t, name) {
			t.Run(name+" "+x.Name, func(t *testing.T) { replay(t, name, x) })
		}
	}
}

// TestDocumentedAuthorizationURL (OC-02): the address in Creative Force's
// documentation.
func TestDocumentedAuthorizationURL(t *testing.T) {
	p, _ := provider.Lookup("creative-force")
	got, err := oauth.AuthorizationURL(oauth.AuthorizationRequest{
		AuthorizationURL: p.AuthorizationURL,
		ClientID:         "717ed07d-xxxxxxxxxx",
		RedirectURI:      "https://vend.example.com/v1/callback/creative-force-user",
		Scope:            p.Scope["authorization_code"],
		State:            "7",
	})
	const want = "https://accounts.creativeforce.io/connect/authorize?client_id=717ed07d-xxxxxxxxxx" +
		"&redirect_uri=https%3A%2F%2Fvend.example.com%2Fv1%2Fcallback%2Fcreative-force-user" +
		"&response_type=code&scope=cfgateway%20offline_access&state=7"
	if err != nil || got != want {
		t.Errorf("AuthorizationURL = %s, %v; want %s", got, err, want)
	}
}

// replay sends the catalogue's request to a loopback server with the documented
// response, and compares the request with the documented one.
func replay(t *testing.T, name string, x exchange) {
	p, _ := provider.Lookup(name)
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		x.checkRequest(t, r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(x.Response.Status)
		_, _ = w.Write(x.Response.Body)
	}))
	defer server.Close()
	client := oauth.New(oauth.Config{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})

	got, err := client.Token(t.Context(), x.request(t, p, server.URL))
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests arrived, want 1", n)
	}
	if x.Refusal != nil {
		x.checkRefusal(t, err)
		return
	}
	if err != nil {
		t.Fatalf("the documented answer is refused: %v", err)
	}
	x.checkToken(t, got)
}

// own are the parameters that the client sets itself.
var own = []string{
	"grant_type", "scope", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "refresh_token",
}

// request is what the service sends: all of it is from the catalogue except the
// client, the code and the refresh token.
func (x exchange) request(t *testing.T, p provider.Provider, base string) oauth.Request {
	t.Helper()
	r := oauth.Request{
		TokenURL:         base + x.path(t, p),
		GrantType:        x.Request.Form.Get("grant_type"),
		Scope:            x.scope(t, p),
		Code:             redact.New(x.Request.Form.Get("code")),
		RedirectURI:      x.Request.Form.Get("redirect_uri"),
		CodeVerifier:     redact.New(x.Request.Form.Get("code_verifier")),
		RefreshToken:     redact.New(x.Request.Form.Get("refresh_token")),
		Params:           url.Values{},
		Response:         p.Response,
		DefaultExpiresIn: p.DefaultExpiresIn,
	}
	r.Method = p.ClientAuth
	if x.ClientAuth != "" {
		r.Method = x.ClientAuth
	}
	id, secret := x.Client.ID, x.Client.Secret
	if id == "" {
		id, secret = x.Request.Form.Get("client_id"), x.Request.Form.Get("client_secret")
	}
	r.ClientID, r.ClientSecret = id, redact.New(secret)
	for param, values := range x.Request.Form {
		if !slices.Contains(own, param) {
			r.Params[param] = values
		}
	}
	return r
}

func (x exchange) path(t *testing.T, p provider.Provider) string {
	t.Helper()
	switch {
	case p.TokenPath != "":
		return p.TokenPath
	case p.TokenURL == "":
		return x.Request.Path // declared by the operator
	}
	u, err := url.Parse(p.TokenURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.EscapedPath()
}

// scope is the catalogue's scope for the grant; without one the operator declares it.
// It is repeated in later requests if the catalogue says so.
func (x exchange) scope(t *testing.T, p provider.Provider) string {
	t.Helper()
	grant := x.Request.Form.Get("grant_type")
	if grant == "authorization_code" || grant == "refresh_token" {
		if !p.Request.RepeatScope {
			return ""
		}
		grant = "authorization_code"
	}
	if scope, ok := p.Scope[grant]; ok {
		return scope
	}
	return x.Request.Form.Get("scope")
}

func (x exchange) checkRequest(t *testing.T, r *http.Request) {
	if r.Method != x.Request.Method || r.URL.EscapedPath() != x.Request.Path || r.URL.RawQuery != "" {
		t.Errorf("request %s %s?%s; want %s %s", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, x.Request.Method, x.Request.Path)
	}
	want := map[string]string{"Accept": "application/json", "Authorization": ""}
	for name, value := range x.Request.Headers {
		want[name] = value
	}
	for name, value := range want {
		if got := r.Header.Get(name); got != value {
			t.Errorf("header %s: %q, want %q", name, got, value)
		}
	}
	if err := r.ParseForm(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(x.Request.Form, r.PostForm); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
}

func (x exchange) checkToken(t *testing.T, got oauth.Token) {
	t.Helper()
	shown := token{
		AccessToken:  got.AccessToken.Reveal(),
		ExpiresIn:    int64(got.ExpiresAt.Sub(got.RequestedAt) / time.Second),
		Scope:        got.Scope,
		RefreshToken: got.RefreshToken.Reveal(),
	}
	if x.Token == nil {
		t.Fatal("the vector says neither which token nor which refusal comes of it")
	}
	if diff := cmp.Diff(*x.Token, shown); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if got.TokenType != "Bearer" || got.ExpiresInAssumed || len(got.Departures) > 0 {
		t.Errorf("type %q, lifetime assumed %v, departures %v; want Bearer as documented", got.TokenType, got.ExpiresInAssumed, got.Departures)
	}
}

func (x exchange) checkRefusal(t *testing.T, err error) {
	t.Helper()
	var e *oauth.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want an *oauth.Error", err)
	}
	got := refusal{Kind: e.Kind, Code: e.Code, Description: e.Description}
	if diff := cmp.Diff(*x.Refusal, got); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}

func readVector(t *testing.T, name string) []exchange {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var vector struct {
		Exchanges []exchange `json:"exchanges"`
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&vector); err != nil {
		t.Fatalf("vectors/%s.json: %v", name, err)
	}
	if len(vector.Exchanges) == 0 {
		t.Fatalf("vectors/%s.json has no exchange", name)
	}
	return vector.Exchanges
}
