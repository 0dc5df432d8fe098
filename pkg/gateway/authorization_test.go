package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// connectionsFunction is the connections function over fakes that record their
// calls.
type connectionsFunction struct {
	t             *testing.T
	log           bytes.Buffer
	err           error
	publicBaseURL string
	directory     fakeDirectory
	extra         extra.Values
	started       []consent.StartRequest
	completed     []consent.CompleteRequest
	imported      []vending.Import
	disconnected  []vending.Request
}

func (d *connectionsFunction) Start(_ context.Context, r consent.StartRequest) (consent.Started, error) {
	d.started = append(d.started, r)
	return consent.Started{SessionID: "canary-session", ConsentURL: r.BaseURL + "/consent/canary-session",
		AuthorizationURL: "https://login.example.com/?a=b&c=d", ExpiresIn: 10 * time.Minute}, d.err
}

func (d *connectionsFunction) Complete(_ context.Context, r consent.CompleteRequest) error {
	d.completed = append(d.completed, r)
	return d.err
}

func (d *connectionsFunction) Import(_ context.Context, i vending.Import) error {
	d.imported = append(d.imported, i)
	return d.err
}

func (d *connectionsFunction) Extra(context.Context, vending.Request) (extra.Values, error) {
	return d.extra, d.err
}

func (d *connectionsFunction) Disconnect(_ context.Context, r vending.Request) error {
	d.disconnected = append(d.disconnected, r)
	return d.err
}

func (d *connectionsFunction) asked() int {
	return len(d.started) + len(d.completed) + len(d.imported) + len(d.disconnected)
}

func newConnections(t *testing.T) *connectionsFunction {
	d := &connectionsFunction{t: t}
	d.directory.studio = directory.Status{Connection: "studio", Provider: "creative-force", GrantType: connection.AuthorizationCode,
		State: directory.Ready, Subjects: []directory.SubjectStatus{{Subject: "default", State: directory.Ready}}}
	return d
}

func (d *connectionsFunction) invoke(event []byte) reply {
	d.t.Helper()
	clock := func() time.Time { return now }
	h := gateway.Connections(gateway.ConnectionsConfig{Directory: &d.directory, BackChannel: d, Grants: d, PublicBaseURL: d.publicBaseURL,
		Audit: audit.NewWriter(audit.Config{Output: &d.log, Now: clock}), Now: clock})
	out, err := h.Invoke(d.t.Context(), event)
	if err != nil {
		d.t.Fatal(err)
	}
	var r reply
	if err := json.Unmarshal(out, &r); err != nil {
		d.t.Fatalf("answer %s: %v", out, err)
	}
	if strings.Contains(d.log.String(), "canary") {
		d.t.Errorf("INV-5 the audit line contains a value of the body: %s", d.log.String())
	}
	return r
}

// at is a request for a resource of studio; tail is such as authorization/complete.
func at(method, subject, tail string, changes ...func(map[string]any)) []byte {
	path := "/connections/studio/"
	if subject != "" {
		path += "subjects/" + subject + "/"
	}
	return encode(restevent.Request{Method: method, Path: path + tail, Domain: "api.example.com", Identity: signer, ReceivedAt: now}, changes...)
}

// requestedAt sets the requested host and path in the request context.
func requestedAt(domain, path string) func(map[string]any) {
	return func(event map[string]any) {
		c := event["requestContext"].(map[string]any)
		c["domainName"], c["path"] = domain, path
	}
}

func body(text string) func(map[string]any) {
	return func(event map[string]any) {
		event["body"], event["headers"] = text, map[string]any{"Content-Type": "application/json"}
	}
}

func TestStart(t *testing.T) {
	d := newConnections(t)
	got := d.invoke(at("POST", "joe", "authorization"))
	want := map[string]any{"consent_url": "https://api.example.com/v1/consent/canary-session",
		"authorization_url": "https://login.example.com/?a=b&c=d", "session_id": "canary-session", "expires_in": 600.0}
	if diff := cmp.Diff(want, got.object(t)); diff != "" || got.StatusCode != 201 {
		t.Errorf("answer %d (-want +got):\n%s", got.StatusCode, diff)
	}
	if !strings.Contains(got.Body, "?a=b&c=d") {
		t.Errorf("the address is altered: %s", got.Body)
	}
	asked := []consent.StartRequest{{Connection: "studio", Subject: "joe", BaseURL: "https://api.example.com/v1",
		Principal: consent.Principal{ARN: "arn:aws:iam::111122223333:role/app", UniqueID: "AROAEXAMPLE:session"}}}
	if diff := cmp.Diff(asked, d.started); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestBaseOfPublicPages(t *testing.T) {
	const path = "/connections/studio/authorization"
	for _, c := range []struct {
		name, configured, domain, path, want string
	}{
		{"the stage", "", "api.example.com", "/v1" + path, "https://api.example.com/v1"},
		{"of a custom domain", "", "tokens.example.com", path, "https://tokens.example.com"},
		{"of a custom domain's base path", "", "tokens.example.com", "/a/b" + path, "https://tokens.example.com/a/b"},
		{"in lower case", "", "API.example.com", "/v1" + path, "https://api.example.com/v1"},
		{"as configured", "https://id.example.com/x", "api.example.com", "/v1" + path, "https://id.example.com/x"},
		{"AZ-26 not an invalid domain", "", "api.example.com/@evil", "/v1" + path, ""},
		{"AZ-26 not a missing domain", "", "", "/v1" + path, ""},
		{"AZ-26 not another path", "", "api.example.com", "/v1/elsewhere", ""},
		{"AZ-26 not an encoded base path", "", "api.example.com", "/a%2Fb" + path, ""},
		{"AZ-26 not a missing path", "", "api.example.com", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newConnections(t)
			d.publicBaseURL = c.configured
			got := d.invoke(at("POST", "", "authorization", requestedAt(c.domain, c.path)))
			if c.want == "" {
				if got.StatusCode != 500 || d.asked() > 0 || !strings.Contains(d.log.String(), "PUBLIC_BASE_URL") {
					t.Errorf("answer %d, log %s; want 500 and a log that says what to set", got.StatusCode, d.log.String())
				}
				return
			}
			if got.StatusCode != 201 || d.started[0].BaseURL != c.want {
				t.Errorf("answer %d, base %v, want %s", got.StatusCode, d.started, c.want)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	principal := consent.Principal{ARN: "arn:aws:iam::111122223333:role/app", UniqueID: "AROAEXAMPLE:session"}
	base := "https://" + strings.Repeat("a", 2048) + "/?"
	for _, c := range []struct {
		name, body string
		want       consent.CompleteRequest
	}{
		{"with a confirmation code", `{"session_id":"canary-1","confirmation_code":"canary-2"}`,
			consent.CompleteRequest{SessionID: redact.New("canary-1"), ConfirmationCode: redact.New("canary-2")}},
		{"manually with an address", `{"redirect_url":"canary-3"}`, consent.CompleteRequest{RedirectURL: redact.New("canary-3")}},
		{"manually with an address and the session", `{"redirect_url":"canary-3","session_id":"canary-1"}`,
			consent.CompleteRequest{RedirectURL: redact.New("canary-3"), SessionID: redact.New("canary-1")}},
		{"BI-33 manually with the longest address, as JSON with escapes", `{"redirect_url":"` + base + strings.Repeat(`\u0026`, 8<<10/2) + strings.Repeat("%", 8<<10/2) + `"}`,
			consent.CompleteRequest{RedirectURL: redact.New(base + strings.Repeat("&", 8<<10/2) + strings.Repeat("%", 8<<10/2))}},
		{"manually with code and state", `{"code":"canary-4","state":"canary-5"}`,
			consent.CompleteRequest{Code: redact.New("canary-4"), State: redact.New("canary-5")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newConnections(t)
			got := d.invoke(at("POST", "", "authorization/complete", body(c.body)))
			c.want.Connection, c.want.Principal = "studio", principal
			if len(d.completed) != 1 || !reflect.DeepEqual(d.completed[0], c.want) || got.StatusCode != 200 {
				t.Fatalf("answer %d %s", got.StatusCode, got.Body)
			}
			want := map[string]any{"connection": "studio", "provider": "creative-force", "grant_type": "authorization_code", "state": "ready",
				"subjects": []any{map[string]any{"subject": "default", "state": "ready"}}}
			if diff := cmp.Diff(want, got.object(t)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBodiesOfConsent: each row is refused before the core is called, and the
// response repeats nothing of the body.
func TestBodiesOfConsent(t *testing.T) {
	const complete, grant = "authorization/complete", "authorization"
	for _, c := range []struct {
		name, method, tail, body string
		status                   int
	}{
		{"BI-14 start with a member", "POST", grant, `{"session_id":"canary"}`, 400},
		{"BI-14 complete without anything", "POST", complete, `{}`, 400},
		{"BI-14 a session alone", "POST", complete, `{"session_id":"canary"}`, 400},
		{"BI-14 a confirmation code alone", "POST", complete, `{"confirmation_code":"canary"}`, 400},
		{"BI-14 a code without a state", "POST", complete, `{"code":"canary"}`, 400},
		{"BI-14 a state without a code", "POST", complete, `{"state":"canary"}`, 400},
		{"BI-14 both kinds of completion", "POST", complete, `{"session_id":"canary","confirmation_code":"canary","redirect_url":"canary"}`, 400},
		{"BI-14 an empty member", "POST", complete, `{"session_id":"canary","confirmation_code":""}`, 400},
		{"BI-14 a member of another type", "POST", complete, `{"session_id":["canary"],"confirmation_code":"canary"}`, 400},
		{"BI-14 null", "POST", complete, `{"session_id":"canary","confirmation_code":null}`, 400},
		{"BI-14 an unknown member", "POST", complete, `{"session_id":"canary","confirmation_code":"canary","subject":"joe"}`, 400},
		{"BI-14 a member twice", "POST", complete, `{"redirect_url":"canary","redirect_url":"canary"}`, 400},
		{"BI-14 import of nothing", "PUT", grant, ``, 400},
		{"BI-14 import of white space", "PUT", grant, `{"refresh_token":" "}`, 400},
		{"BI-14 import with a line end", "PUT", grant, `{"refresh_token":"canary\n"}`, 400},
		{"BI-14 import beyond ASCII", "PUT", grant, `{"refresh_token":"canary-é"}`, 400},
		{"BI-14 import with an empty scope", "PUT", grant, `{"refresh_token":"canary","scope":""}`, 400},
		{"BI-14 import with an invalid scope", "PUT", grant, `{"refresh_token":"canary","scope":"canary\\"}`, 400},
		{"BI-14 import that expires now", "PUT", grant, `{"refresh_token":"canary","expires_at":"2026-01-01T12:00:00Z"}`, 400},
		{"BI-14 import with a date as expiry", "PUT", grant, `{"refresh_token":"canary","expires_at":"2026-01-31"}`, 400},
		{"OC-72 import with extra that is no object", "PUT", grant, `{"refresh_token":"canary","extra":["canary"]}`, 400},
		{"OC-72 import with an object in extra", "PUT", grant, `{"refresh_token":"canary","extra":{"a":{}}}`, 400},
		{"OC-72 import with too much", "PUT", grant, `{"refresh_token":"canary","extra":{"a":"canary` + strings.Repeat("a", 1<<10) + `"}}`, 400},
		{"BI-14 disconnect with a body", "DELETE", grant, `{}`, 400},
		{"BI-14 a body beyond 48 KiB", "PUT", grant, `{"refresh_token":"canary` + strings.Repeat("a", 48<<10) + `"}`, 413},
		{"BI-14 a completion beyond 48 KiB", "POST", complete, `{"redirect_url":"canary` + strings.Repeat("a", 48<<10) + `"}`, 413},
		{"OC-57 a refresh token beyond 32 KiB", "PUT", grant, `{"refresh_token":"canary` + strings.Repeat("a", 32<<10) + `"}`, 400},
		{"BI-10 PATCH", "PATCH", grant, ``, 405},
		{"BI-10 GET of a completion", "GET", complete, ``, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newConnections(t)
			got := d.invoke(at(c.method, "", c.tail, body(c.body)))
			if got.StatusCode != c.status || d.asked() > 0 {
				t.Errorf("answer %d %s, asked %d times; want %d", got.StatusCode, got.Body, d.asked(), c.status)
			}
			if strings.Contains(got.Body, "canary") {
				t.Errorf("INV-5 the response repeats the body: %s", got.Body)
			}
		})
	}
	t.Run("BI-14 another content type", func(t *testing.T) {
		d := newConnections(t)
		got := d.invoke(at("PUT", "", grant, body(`{"refresh_token":"canary"}`), set("headers", map[string]any{"Content-Type": "text/plain"})))
		if got.StatusCode != 415 || d.asked() > 0 {
			t.Errorf("answer %d %s", got.StatusCode, got.Body)
		}
	})
}

func TestImportOfALongRefreshToken(t *testing.T) {
	d, long := newConnections(t), strings.Repeat("r", 32<<10)
	d.extra = extra.Values{"realmId": "12"}
	got := d.invoke(at("PUT", "", "authorization", body(`{"refresh_token":"`+long+`"}`)))
	if len(d.imported) != 1 || d.imported[0].RefreshToken.Reveal() != long || got.StatusCode != 200 {
		t.Errorf("OC-57 answer %d %s, %d imported", got.StatusCode, got.Body, len(d.imported))
	}
	if diff := cmp.Diff(any(map[string]any{"realmId": "12"}), got.object(t)["extra"]); diff != "" {
		t.Errorf("OC-72 extra (-want +got):\n%s", diff)
	}
}

func TestImportAndDisconnect(t *testing.T) {
	request := vending.Request{Connection: "studio", Subject: "joe", Caller: "arn:aws:iam::111122223333:role/app"}
	d := newConnections(t)
	d.directory.studio.Subjects = []directory.SubjectStatus{{Subject: "anna"}, {Subject: "joe", State: directory.Failing,
		ConsentedBy: "joe@example.com", ConsentedAt: now, RenewBy: now.Add(time.Hour), LastError: problem.ProviderTimeout, NextAttemptAt: now.Add(time.Minute),
		Problem: "expires_in is a list", Warnings: []string{"scope"}, ExtraNames: []string{"realmId"}}}
	got := d.invoke(at("PUT", "joe", "authorization", body(`{"refresh_token":"canary","scope":"b a","expires_at":"2026-01-31T13:00:00+01:00","extra":{"realmId":"1","n":2}}`)))
	want := []vending.Import{{Request: request, Extra: extra.Values{"realmId": "1", "n": json.Number("2")}, RefreshToken: redact.New("canary"), Scope: "a b", ExpiresAt: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}}
	if len(d.imported) != 1 || !reflect.DeepEqual(d.imported, want) || got.StatusCode != 200 {
		t.Errorf("answer %d %s, imported %+v", got.StatusCode, got.Body, d.imported)
	}
	joe := []any{map[string]any{"subject": "joe", "state": "failing", "consented_by": "joe@example.com", "consented_at": "2026-01-01T12:00:00Z",
		"renew_by": "2026-01-01T13:00:00Z", "last_error": "provider_timeout", "next_attempt_at": "2026-01-01T12:01:00Z",
		"problem": "expires_in is a list", "warnings": []any{"scope"}, "extra_names": []any{"realmId"}}}
	if diff := cmp.Diff(joe, got.object(t)["subjects"]); diff != "" {
		t.Errorf("a subject's path shows more than that subject (-want +got):\n%s", diff)
	}
	d = newConnections(t)
	if got := d.invoke(at("DELETE", "joe", "authorization")); got.StatusCode != 204 || got.Body != "" {
		t.Errorf("answer %d %s", got.StatusCode, got.Body)
	}
	if diff := cmp.Diff([]vending.Request{request}, d.disconnected); diff != "" {
		t.Errorf("disconnected (-want +got):\n%s", diff)
	}
}

// TestStatusAfterConsent: a failure to read the status afterwards is not an error.
func TestStatusAfterConsent(t *testing.T) {
	d := newConnections(t)
	d.directory.err = problem.New(problem.StoreUnavailable, "x")
	got := d.invoke(at("POST", "joe", "authorization/complete", body(`{"redirect_url":"canary"}`)))
	want := map[string]any{"connection": "studio", "grant_type": "authorization_code", "state": "ready",
		"subjects": []any{map[string]any{"subject": "joe", "state": "ready"}}}
	if diff := cmp.Diff(want, got.object(t)); diff != "" || got.StatusCode != 200 {
		t.Errorf("FI-46 answer %d (-want +got):\n%s", got.StatusCode, diff)
	}
	if !strings.Contains(d.log.String(), "status_unread") {
		t.Errorf("there is no warning: %s", d.log.String())
	}
}

func TestErrorsOfConsent(t *testing.T) {
	for code, status := range map[problem.Code]int{problem.InvalidRequest: 400, problem.AccessDenied: 403, problem.AuthorizationRequired: 409,
		problem.SessionExpired: 410, problem.RateLimited: 429, problem.ProviderRejected: 502, problem.StoreUnavailable: 503} {
		t.Run("AZ-21 "+string(code), func(t *testing.T) {
			d := newConnections(t)
			d.err = &problem.Error{Code: code, Detail: "what is wrong", Cause: errors.New("for the log")}
			got := d.invoke(at("POST", "", "authorization/complete", body(`{"redirect_url":"canary"}`)))
			if got.StatusCode != status || got.object(t)["error"] != string(code) || !strings.Contains(d.log.String(), `"action":"complete"`) {
				t.Errorf("answer %d %s, log %s", got.StatusCode, got.Body, d.log.String())
			}
			if got.Headers["Retry-After"] == "" && (status == 429 || status == 503) {
				t.Error("no Retry-After")
			}
		})
	}
}
