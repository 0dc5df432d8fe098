package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

var now = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// newVerifier accepts the keys of a user and of a session.
func newVerifier(clock func() time.Time) *sigv4.Verifier {
	return sigv4.New(sigv4.Config{
		Keys: []sigv4.Key{
			{ID: "user", Secret: redact.New("user-secret")},
			{ID: "session", Secret: redact.New("session-secret"), SessionToken: redact.New("session-token")},
		},
		Region: "us-east-1", Service: "execute-api", Now: clock,
	})
}

var (
	user    = aws.Credentials{AccessKeyID: "user", SecretAccessKey: "user-secret"}
	session = aws.Credentials{AccessKeyID: "session", SecretAccessKey: "session-secret", SessionToken: "session-token"}
)

// signing is a request that a client signs.
type signing struct {
	method, target, body string
	header               http.Header
	as                   aws.Credentials
	region, service      string
	at                   time.Time
}

// sign returns the request as a server receives it.
func (s signing) sign(t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequest(s.method, "http://127.0.0.1:8080"+s.target, strings.NewReader(s.body))
	for name, values := range s.header {
		r.Header[name] = values
	}
	hash := sha256.Sum256([]byte(s.body))
	err := v4.NewSigner().SignHTTP(t.Context(), s.as, r, hex.EncodeToString(hash[:]), s.service, s.region, s.at)
	if err != nil {
		t.Fatal(err)
	}
	target(s.target)(r) // the signer leaves the canonical form behind
	arrived := make(http.Header)
	for name, values := range r.Header {
		arrived[http.CanonicalHeaderKey(name)] = values
	}
	r.Header = arrived
	return r
}

func get(target string) signing {
	return signing{method: "GET", target: target, as: user, region: "us-east-1", service: "execute-api", at: now}
}

func post(target, body string) signing {
	s := get(target)
	s.method, s.body = "POST", body
	s.header = http.Header{"Content-Type": {"application/json"}}
	return s
}

func verify(r *http.Request) (sigv4.Verified, error) {
	return newVerifier(func() time.Time { return now }).Verify(r)
}

func TestVerifyAccepts(t *testing.T) {
	asSession := get("/v1/connections")
	asSession.as = session
	early, late := get("/"), get("/")
	early.at, late.at = now.Add(5*time.Minute), now.Add(-5*time.Minute)
	spaced := get("/")
	spaced.header = http.Header{"X-Note": {"  two   words ", "and more"}}
	agent := get("/")
	agent.header = http.Header{"user-agent": {"in lower case, so that the SDK signs it"}}
	for name, s := range map[string]signing{
		"plain":                         get("/v1/connections"),
		"root":                          get("/"),
		"query out of order":            get("/v1/connections?next=b&limit=1"),
		"query with a space":            get("/v1/connections/crm/token?scope=a%20b"),
		"query with a plus for a space": get("/v1/connections/crm/token?scope=a+b"),
		"query with lower-case escapes": get("/v1/connections/crm/token?scope=a%2fb%c3%a9"),
		"query name without value":      get("/v1/connections?limit"),
		"query name twice":              get("/v1/connections?limit=2&limit=1"),
		"escaped path":                  get("/v1/connections/a%20b%2Fc/token"),
		"double slashes":                get("/v1//connections"),
		"path that Go would re-encode":  get("/v1/connections/a%62c/token"),
		"body":                          post("/v1/connections/crm/token", `{"min_ttl":60}`),
		"session token":                 asSession,
		"five minutes ahead":            early,
		"five minutes behind":           late,
		"header with spaces":            spaced,
		"header the SDK does not sign":  agent,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verify(s.sign(t))
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			_, query, _ := strings.Cut(s.target, "?")
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			want := sigv4.Verified{KeyID: s.as.AccessKeyID, Body: []byte(s.body), Query: values}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verified (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	missing    = "MissingAuthenticationTokenException"
	incomplete = "IncompleteSignatureException"
	invalid    = "InvalidSignatureException"
	unknownKey = "UnrecognizedClientException"
)

// refusals are changes of a signed request, with the refusal that each causes.
var refusals = []struct {
	name    string
	request signing
	tamper  func(*http.Request)
	kind    string
	message string
}{
	{"unsigned", get("/"), drop("Authorization"), missing, "Missing Authentication Token"},
	{"presigned is unsigned", get("/?X-Amz-Signature=00"), drop("Authorization"), missing, "Missing Authentication Token"},
	{"bearer token", get("/"), set("Authorization", "Bearer abc"), incomplete, "requires the algorithm"},
	{"two authorizations", get("/"), add("Authorization", "Bearer abc"), incomplete, "must be given once"},
	{"no parameters", get("/"), set("Authorization", "AWS4-HMAC-SHA256 "), incomplete, "requires 'Credential' parameter. Authorization header requires 'Signature'"},
	{"signature missing", get("/"), edit("Signature=", "Nothing="), incomplete, "requires 'Signature' parameter."},
	{"signature twice", get("/"), edit("Signature=", "Signature=00, Signature="), incomplete, "each parameter once"},
	{"short credential", get("/"), edit("/aws4_request", ""), incomplete, "5 slash-delimited"},
	{"host not signed", get("/"), edit("SignedHeaders=host;", "SignedHeaders="), invalid, "'Host' must be a 'SignedHeader'"},
	{"date missing", get("/"), drop("X-Amz-Date"), incomplete, "'X-Amz-Date'"},
	{"date twice", get("/"), add("X-Amz-Date", "20260102T150405Z"), incomplete, "'X-Amz-Date'"},
	{"date unreadable", get("/"), set("X-Amz-Date", "yesterday"), incomplete, "ISO-8601"},
	{"date moved within tolerance", get("/"), set("X-Amz-Date", "20260102T150406Z"), invalid, "does not match"},
	{"scope of another day", get("/"), edit("/20260102/", "/20260101/"), invalid, "Date in Credential scope"},
	{"terminator", get("/"), edit("/aws4_request", "/aws5_request"), invalid, "terminator"},
	{"unknown key", get("/"), edit("Credential=user/", "Credential=unknown/"), unknownKey, "security token included in the request is invalid"},
	{"another's key", get("/"), edit("Credential=user/", "Credential=session/"), unknownKey, "security token"},
	{"session token for a user's key", get("/"), add("X-Amz-Security-Token", "session-token"), unknownKey, "security token"},
	{"tampered method", get("/"), func(r *http.Request) { r.Method = "DELETE" }, invalid, "does not match"},
	{"tampered path", get("/v1/connections/a"), target("/v1/connections/b"), invalid, "does not match"},
	{"path encoded otherwise", get("/v1/connections/a"), target("/v1/connections/%61"), invalid, "does not match"},
	{"tampered query", get("/?limit=1"), target("/?limit=2"), invalid, "does not match"},
	{"query added", get("/?limit=1"), target("/?limit=1&next=x"), invalid, "does not match"},
	{"tampered body", post("/", `{"min_ttl":1}`), body(`{"min_ttl":2}`), invalid, "does not match"},
	{"body added", get("/"), body(`{}`), invalid, "does not match"},
	{"tampered header", post("/", "{}"), set("Content-Type", "text/plain"), invalid, "does not match"},
	{"signed header dropped", post("/", "{}"), drop("Content-Type"), invalid, "does not match"},
	{"tampered host", get("/"), func(r *http.Request) { r.Host = "other:8080" }, invalid, "does not match"},
	{"tampered signature", get("/"), edit("Signature=", "Signature=0"), invalid, "does not match"},
}

func TestVerifyRefuses(t *testing.T) {
	for _, c := range refusals {
		t.Run("BI-01 "+c.name, func(t *testing.T) {
			r := c.request.sign(t)
			c.tamper(r)
			refused(t, r, http.StatusForbidden, c.kind, c.message)
		})
	}
}

// refused checks that r is refused exactly so.
func refused(t *testing.T, r *http.Request, status int, kind, message string) {
	t.Helper()
	_, err := verify(r)
	var refusal *sigv4.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want a refusal", err)
	}
	if refusal.Status != status || refusal.Type != kind || !strings.Contains(refusal.Error(), message) {
		t.Errorf("refused with %d %s %q, want %d %s …%s…", refusal.Status, refusal.Type, refusal.Message, status, kind, message)
	}
	if strings.Contains(refusal.Message, "secret") || strings.Contains(refusal.Message, "session-token") {
		t.Errorf("refusal repeats a secret: %q", refusal.Message)
	}
}

func TestVerifyRefusesSigner(t *testing.T) {
	change := func(f func(*signing)) signing {
		s := get("/")
		f(&s)
		return s
	}
	for _, c := range []struct {
		name    string
		request signing
		kind    string
		message string
	}{
		{"wrong secret", change(func(s *signing) { s.as.SecretAccessKey = "guess" }), invalid, "does not match"},
		{"session token missing", change(func(s *signing) { s.as = session; s.as.SessionToken = "" }), unknownKey, "security token"},
		{"session token wrong", change(func(s *signing) { s.as = session; s.as.SessionToken = "guess" }), unknownKey, "security token"},
		{"region", change(func(s *signing) { s.region = "eu-west-1" }), invalid, "valid region: 'us-east-1'"},
		{"service", change(func(s *signing) { s.service = "s3" }), invalid, "correct service: 'execute-api'"},
		{"expired", change(func(s *signing) { s.at = now.Add(-5*time.Minute - time.Second) }), invalid,
			"Signature expired: 20260102T145904Z is now earlier than 20260102T145905Z (20260102T150405Z - 5 min.)"},
		{"from the future", change(func(s *signing) { s.at = now.Add(5*time.Minute + time.Second) }), invalid,
			"Signature not yet current: 20260102T150906Z is still later than 20260102T150905Z (20260102T150405Z + 5 min.)"},
	} {
		t.Run("BI-01 "+c.name, func(t *testing.T) {
			refused(t, c.request.sign(t), http.StatusForbidden, c.kind, c.message)
		})
	}
}

func TestVerifyBadRequest(t *testing.T) {
	for name, added := range map[string]string{
		"pair that parsing would drop": "/?limit=1;next=2",
		"broken escape":                "/?limit=%zz",
	} {
		t.Run(name, func(t *testing.T) {
			r := get("/").sign(t)
			target(added)(r)
			refused(t, r, http.StatusBadRequest, "BadRequestException", "Bad Request")
		})
	}
	t.Run("absolute form", func(t *testing.T) {
		r := get("/v1").sign(t)
		r.RequestURI = "http://127.0.0.1:8080/v1"
		refused(t, r, http.StatusBadRequest, "BadRequestException", "Bad Request")
	})
	t.Run("body breaks off", func(t *testing.T) {
		r := post("/", "{}").sign(t)
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), brokenReader{}))
		refused(t, r, http.StatusBadRequest, "BadRequestException", "Bad Request")
	})
	t.Run("body beyond the gateway's limit", func(t *testing.T) {
		r := post("/", "{}").sign(t)
		r.Body = io.NopCloser(bytes.NewReader(make([]byte, sigv4.MaxBody+1)))
		refused(t, r, http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Request Too Long")
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func drop(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}
func add(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// edit changes the Authorization header.
func edit(old, replacement string) func(*http.Request) {
	return func(r *http.Request) {
		before := r.Header.Get("Authorization")
		if !strings.Contains(before, old) {
			panic("nothing to edit: " + old)
		}
		r.Header.Set("Authorization", strings.Replace(before, old, replacement, 1))
	}
}

func target(uri string) func(*http.Request) {
	return func(r *http.Request) {
		parsed, err := url.ParseRequestURI(uri)
		if err != nil {
			panic(err)
		}
		r.RequestURI, r.URL = uri, parsed
	}
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(text)) }
}

func refusalOf(t *testing.T, err error) *sigv4.Refusal {
	t.Helper()
	var refusal *sigv4.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("error %v, want a refusal", err)
		return &sigv4.Refusal{}
	}
	return refusal
}
