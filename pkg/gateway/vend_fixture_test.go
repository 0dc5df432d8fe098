package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 500_000_000, time.UTC)

type core struct {
	vended  vending.Vended
	err     error
	asked   []vending.Request
	forgot  []vending.Request
	revoked bool
	panics  any
}

func (c *core) Vend(_ context.Context, r vending.Request) (vending.Vended, error) {
	c.asked = append(c.asked, r)
	if c.panics != nil {
		panic(c.panics)
	}
	return c.vended, c.err
}

func (c *core) Forget(_ context.Context, r vending.Request, revoke bool) error {
	c.forgot = append(c.forgot, r)
	c.revoked = revoke
	return c.err
}

func freshToken() vending.Vended {
	return vending.Vended{Source: vending.FromMemory, Token: vending.Token{
		AccessToken: redact.New("canary-access-token"), ID: "9f86d081884c7d65", Scope: "cfgateway",
		MintedAt: now.Add(-1285 * time.Second), ExpiresAt: now.Add(2315*time.Second + 900*time.Millisecond), EarlyRefresh: true,
	}}
}

type reply struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(r.Body), &o); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
	return o
}

type vendFunction struct {
	t    *testing.T
	core *core
	log  *bytes.Buffer
	h    *gateway.Handler
}

func newVend(t *testing.T) *vendFunction {
	e := &vendFunction{t: t, core: &core{vended: freshToken()}, log: new(bytes.Buffer)}
	clock := func() time.Time { return now }
	e.h = gateway.Vend(gateway.VendConfig{Tokens: e.core, Now: clock,
		Audit: audit.NewWriter(audit.Config{Output: e.log, Now: clock})})
	return e
}

func (e *vendFunction) invoke(payload []byte) reply {
	e.t.Helper()
	out, err := e.h.Invoke(e.t.Context(), payload)
	if err != nil {
		e.t.Fatalf("invoke: %v", err)
	}
	var r reply
	if err := json.Unmarshal(out, &r); err != nil {
		e.t.Fatalf("response %s: %v", out, err)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"} {
		if r.Headers[name] != want {
			e.t.Errorf("AZ-13 header %s = %q, want %q", name, r.Headers[name], want)
		}
	}
	if lines := strings.Count(e.log.String(), "\n"); lines != 1 {
		e.t.Errorf("AZ-56 %d audit lines, want 1", lines)
	}
	return r
}

// signer is the identity of signed requests.
var signer = restevent.Identity{ARN: "arn:aws:iam::111122223333:role/app", UniqueID: "AROAEXAMPLE:session", AccountID: "111122223333"}

// restEvent is a signed GET of the token of crm, with changes.
func restEvent(changes ...func(map[string]any)) []byte {
	return encode(restevent.Request{Path: "/connections/crm/token", Identity: signer, ReceivedAt: now}, changes...)
}

// encode returns the event of a request, with changes.
func encode(r restevent.Request, changes ...func(map[string]any)) []byte {
	text := r.Encode()
	if len(changes) == 0 {
		return text
	}
	var event map[string]any
	if err := json.Unmarshal(text, &event); err != nil {
		panic(err)
	}
	for _, change := range changes {
		change(event)
	}
	text, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	return text
}

func set(key string, value any) func(map[string]any) {
	return func(event map[string]any) { event[key] = value }
}

func query(values ...string) func(map[string]any) {
	multi := map[string][]string{}
	for i := 0; i < len(values); i += 2 {
		multi[values[i]] = append(multi[values[i]], values[i+1])
	}
	return set("multiValueQueryStringParameters", multi)
}

func named(decoded, raw string) func(map[string]any) {
	return func(event map[string]any) {
		event["pathParameters"] = map[string]any{"connection": decoded}
		event["path"] = "/connections/" + raw + "/token"
	}
}

func post(body string, contentType ...string) func(map[string]any) {
	return func(event map[string]any) {
		event["httpMethod"], event["body"] = "POST", body
		headers := map[string]any{"content-type": "application/json"}
		if len(contentType) > 0 {
			headers["content-type"] = contentType[0]
		}
		event["headers"] = headers
	}
}

func identity(key string, value any) func(map[string]any) {
	return func(event map[string]any) {
		id := event["requestContext"].(map[string]any)["identity"].(map[string]any)
		if value == nil {
			delete(id, key)
			return
		}
		id[key] = value
	}
}
