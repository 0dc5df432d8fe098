package provider_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// vector is what a vendor documents of its token endpoint. It is written from the
// vendor's pages, never from the catalogue's entry.
type vector struct {
	// Source is the page that it was written from.
	Source string `json:"source"`
	// Unverified: that page was not read; the facts are second-hand.
	Unverified bool       `json:"unverified"`
	Exchanges  []exchange `json:"exchanges"`
}

// exchange is one documented request and its response.
type exchange struct {
	Name string `json:"name"`
	// Grant is the grant; empty is the one that the request names in grant_type.
	Grant string `json:"grant"`
	// Connection are the members that an operator declares beside the provider, the
	// grant type and the client.
	Connection map[string]any `json:"connection"`
	// Client are the id and the secret if they are in the Authorization header.
	Client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	} `json:"client"`
	Request struct {
		Method  string            `json:"method"` // empty: POST
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		// One of the three: a form, a JSON object, or a query.
		Form  params `json:"form"`
		JSON  params `json:"json"`
		Query params `json:"query"`
	} `json:"request"`
	Response struct {
		Status int             `json:"status"`
		Date   string          `json:"date"` // RFC 3339; empty: now
		Body   json.RawMessage `json:"body"`
	} `json:"response"`
	Token   *token   `json:"token"`
	Refusal *refusal `json:"refusal"`
	// Claims are claims and header parameters of the assertion in the request.
	Claims map[string]any `json:"claims"`
	// Departures are members of the response that depart from RFC 6749.
	Departures []string `json:"departures"`
}

// params are parameters: a string, or an array of strings for several values.
type params url.Values

// UnmarshalJSON reads a string as a list of one.
func (p *params) UnmarshalJSON(text []byte) error {
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	*p = params{}
	for name, value := range members {
		switch v := value.(type) {
		case string:
			(*p)[name] = []string{v}
		case []any:
			for _, one := range v {
				s, ok := one.(string)
				if !ok {
					return errors.New(name + " has a value that is not a string")
				}
				(*p)[name] = append((*p)[name], s)
			}
		default:
			return errors.New(name + " is neither a string nor an array")
		}
	}
	return nil
}

type token struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
	// Assumed: the response states no lifetime.
	Assumed bool           `json:"assumed"`
	Extra   map[string]any `json:"extra"`
	User    string         `json:"user"`
}

type refusal struct {
	Kind        oauth.Kind `json:"kind"`
	Code        string     `json:"code"`
	Description string     `json:"description"`
}

func TestDocumentedExchanges(t *testing.T) {
	for _, name := range provider.Names() {
		v := readVector(t, name)
		for _, x := range v.Exchanges {
			t.Run(name+" "+x.Name, func(t *testing.T) { replay(t, name, x) })
		}
	}
}

// TestVerifiedEntriesHaveReadSources: what is verified was read.
func TestVerifiedEntriesHaveReadSources(t *testing.T) {
	for _, name := range provider.Names() {
		p, _ := provider.Lookup(name)
		v := readVector(t, name)
		if _, err := url.ParseRequestURI(v.Source); err != nil {
			t.Errorf("vectors/%s.json has no source: %v", name, err)
		}
		if p.Verified != "" && v.Unverified {
			t.Errorf("%s is verified, but its vector is not", name)
		}
		if noGrants := p.GrantTypes != nil && len(p.GrantTypes) == 0; noGrants != (len(v.Exchanges) == 0) {
			t.Errorf("%s has %d exchanges for the grants %v", name, len(v.Exchanges), p.GrantTypes)
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

// replay declares a connection, sends its request to a loopback server with the
// documented response, and compares the request with the documented one.
func replay(t *testing.T, name string, x exchange) {
	c := x.declare(t, name)
	var requests atomic.Int32
	now := x.now(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		x.checkRequest(t, r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", now.Format(http.TimeFormat))
		w.WriteHeader(x.Response.Status)
		_, _ = w.Write(x.Response.Body)
	}))
	defer server.Close()
	client := oauth.New(oauth.Config{
		Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Now:    func() time.Time { return now },
	})

	got, err := client.Token(t.Context(), x.request(t, c, server.URL))
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

// grant is the request's grant. The other grants are those of a consent.
func (x exchange) grant() string { return cmp.Or(x.Grant, x.sent("grant_type", nil)) }

// sent is the value of a parameter in the documented request.
func (x exchange) sent(param string, names map[string]string) string {
	name := cmp.Or(names[param], param)
	for _, all := range []params{x.Request.Form, x.Request.JSON, x.Request.Query} {
		if value := url.Values(all).Get(name); value != "" {
			return value
		}
	}
	return ""
}

func (x exchange) now(t *testing.T) time.Time {
	t.Helper()
	now, err := time.Parse(time.RFC3339, cmp.Or(x.Response.Date, "2026-11-30T12:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// declare is the connection that an operator declares for the documented request.
func (x exchange) declare(t *testing.T, name string) connection.Connection {
	t.Helper()
	p, _ := provider.Lookup(name)
	grant := x.grant()
	if grant == "refresh_token" {
		grant = "authorization_code"
	}
	members := map[string]any{
		"provider": name, "grant_type": grant,
		"client_id": cmp.Or(x.Client.ID, x.sent("client_id", p.Request.Names)),
	}
	if secret := cmp.Or(x.Client.Secret, x.sent("client_secret", p.Request.Names)); secret != "" {
		members["client_secret"] = secret
	}
	maps.Copy(members, x.Connection)
	if members["private_key"] == anyKey {
		members["private_key"] = privateKey()
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	c, err := connection.Parser{}.Parse("vector", clientsecret.Secret{Name: "vector", Origin: "the vector", Text: redact.New(string(text))})
	if err != nil {
		t.Fatalf("the declaration %s is refused: %v", slices.Sorted(maps.Keys(members)), err)
	}
	return c
}

// anyKey stands for a key that the test makes.
const anyKey = "any"

var privateKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

// request is what the service sends: all of it is from the connection except the
// code and the refresh token.
func (x exchange) request(t *testing.T, c connection.Connection, base string) oauth.Request {
	t.Helper()
	names := c.Request.Names
	r := oauth.Request{
		TokenURL: c.TokenURL, GrantType: x.grant(), Scope: c.Scope, ScopeSeparator: c.ScopeSeparator, ScopeAliases: c.ScopeAliases,
		Authentication: oauth.Authentication{
			Method: c.ClientAuth, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Headers: c.Headers,
			PrivateKey: c.PrivateKey, KeyID: c.KeyID, Algorithm: c.SigningAlgorithm, Assertion: assertion(c),
		},
		Code: redact.New(x.sent("code", names)), RedirectURI: x.sent("redirect_uri", names),
		CodeVerifier: redact.New(x.sent("code_verifier", names)), RefreshToken: redact.New(x.sent("refresh_token", names)),
		Username: c.Username, Password: c.Password, Grant: assertion(c),
		Params: c.TokenParams, Shape: c.Request, Response: c.Response, DefaultExpiresIn: c.DefaultExpiresIn, NeverExpires: c.NeverExpires,
	}
	if c.Delegated() && !c.Request.RepeatScope {
		r.Scope = ""
	}
	if r.GrantType == "refresh_token" {
		r.TokenURL, r.Params = cmp.Or(c.RefreshURL, c.TokenURL), c.RefreshParams
	}
	if r.TokenURL != x.Request.URL {
		t.Errorf("the token endpoint is %s, want %s", r.TokenURL, x.Request.URL)
	}
	u, err := url.Parse(r.TokenURL)
	if err != nil {
		t.Fatal(err)
	}
	r.TokenURL = strings.Replace(r.TokenURL, u.Scheme+"://"+u.Host, base, 1)
	return r
}

// assertion is what the connection's assertions say. Their audience is the token
// endpoint's URL by default, and the documented one is not that of the loopback server.
func assertion(c connection.Connection) oauth.Assertion {
	a := c.Assertion
	audience := a.Audience
	if len(audience) == 0 {
		audience = []string{cmp.Or(c.Issuer, c.TokenURL)}
	}
	return oauth.Assertion{
		Issuer: a.Issuer, Subject: a.Subject, Audience: audience, AudienceArray: a.AudienceArray, Claims: a.Claims, Lifetime: a.Lifetime,
	}
}

func (x exchange) checkRequest(t *testing.T, r *http.Request) {
	u, err := url.Parse(x.Request.URL)
	if err != nil {
		t.Error(err)
		return
	}
	if want := cmp.Or(x.Request.Method, http.MethodPost); r.Method != want || r.URL.EscapedPath() != u.EscapedPath() {
		t.Errorf("request %s %s; want %s %s", r.Method, r.URL.EscapedPath(), want, u.EscapedPath())
	}
	want := map[string]string{"Accept": "application/json", "Authorization": ""}
	maps.Copy(want, x.Request.Headers)
	for name, value := range want {
		if got := r.Header.Get(name); got != value && (value != "{uuid}" || len(got) != 36) {
			t.Errorf("header %s: %q, want %q", name, got, value)
		}
	}
	x.checkParams(t, r)
}

func (x exchange) checkParams(t *testing.T, r *http.Request) {
	t.Helper()
	if diff := gocmp.Diff(merged(x.Request.Query), r.URL.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		t.Error(err)
	}
	want, got, contentType := merged(x.Request.Form), params{}, "application/x-www-form-urlencoded"
	var err error
	switch {
	case x.Request.JSON != nil:
		want, contentType = merged(x.Request.JSON), "application/json"
		err = json.Unmarshal(body.Bytes(), &got)
	case x.Request.Query != nil:
		contentType = ""
	default:
		var form url.Values
		form, err = url.ParseQuery(body.String())
		got = params(form)
	}
	if err != nil {
		t.Errorf("the body cannot be read: %v", err)
	}
	x.checkAssertion(t, url.Values(got))
	if diff := gocmp.Diff(want, url.Values(got)); diff != "" || r.Header.Get("Content-Type") != contentType {
		t.Errorf("body of type %s, want %s (-want +got):\n%s", r.Header.Get("Content-Type"), contentType, diff)
	}
}

// anyJWT stands for an assertion in a documented request.
const anyJWT = "any"

// checkAssertion compares the documented claims with those of the assertion, which it
// replaces by anyJWT.
func (x exchange) checkAssertion(t *testing.T, sent url.Values) {
	t.Helper()
	got := map[string]any{}
	for _, name := range []string{"assertion", "client_assertion"} {
		if jwt := strings.Split(sent.Get(name), "."); len(jwt) == 3 {
			for _, part := range jwt[:2] {
				text, _ := base64.RawURLEncoding.DecodeString(part)
				if err := json.Unmarshal(text, &got); err != nil {
					t.Error(err)
				}
			}
			sent.Set(name, anyJWT)
		}
	}
	for name, want := range x.Claims {
		if diff := gocmp.Diff(want, got[name]); diff != "" {
			t.Errorf("the assertion's %s (-want +got):\n%s", name, diff)
		}
	}
}

// merged is never nil.
func merged(p params) url.Values {
	all := url.Values{}
	maps.Copy(all, p)
	return all
}

func (x exchange) checkToken(t *testing.T, got oauth.Token) {
	t.Helper()
	shown := token{
		AccessToken: got.AccessToken.Reveal(), Scope: got.Scope, RefreshToken: got.RefreshToken.Reveal(),
		Assumed: got.ExpiresInAssumed, Extra: plain(t, got.Extra), User: got.Subject,
	}
	if !got.ExpiresAt.IsZero() { // else it does not end
		shown.ExpiresIn = int64(got.ExpiresAt.Sub(got.RequestedAt) / time.Second)
	}
	if x.Token == nil {
		t.Fatal("the vector says neither which token nor which refusal comes of it")
	}
	if diff := gocmp.Diff(*x.Token, shown, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if !slices.Equal(got.Departures, x.Departures) {
		t.Errorf("departures %v, want %v", got.Departures, x.Departures)
	}
}

// plain are values as encoding/json decodes them.
func plain(t *testing.T, values extra.Values) (members map[string]any) {
	t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func (x exchange) checkRefusal(t *testing.T, err error) {
	t.Helper()
	var e *oauth.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want an *oauth.Error", err)
	}
	got := refusal{Kind: e.Kind, Code: e.Code, Description: e.Description}
	if diff := gocmp.Diff(*x.Refusal, got); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}

func readVector(t *testing.T, name string) vector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("vectors/%s.json: %v", name, err)
	}
	return v
}
