package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// consentFunction is the consent function over a fake front channel that records
// its calls.
type consentFunction struct {
	t         testing.TB
	log       bytes.Buffer
	err       error
	panics    bool
	pages     gateway.Pages
	cookie    consent.Cookie
	denied    bool
	shown     []string
	continued []consent.ContinueRequest
	received  []consent.CallbackRequest
}

const authorizationURL = "https://login.example.com/authorize?state=canary-state&a=b"

func (p *consentFunction) Show(_ context.Context, sessionID string) (consent.Page, error) {
	p.shown = append(p.shown, sessionID)
	if p.panics {
		panic("canary-panic")
	}
	return consent.Page{Connection: "studio", Subject: "default", ProviderOrigin: "https://login.example.com", CSRF: "form-word"}, p.err
}

func (p *consentFunction) Continue(_ context.Context, r consent.ContinueRequest) (consent.Redirect, error) {
	p.continued = append(p.continued, r)
	return consent.Redirect{Location: authorizationURL, Cookie: p.cookie}, p.err
}

func (p *consentFunction) Receive(_ context.Context, r consent.CallbackRequest) (consent.CallbackResult, error) {
	p.received = append(p.received, r)
	return consent.CallbackResult{ConfirmationCode: redact.New("WX7K-M4QH"), Connection: "studio", Subject: "default", Denied: p.denied,
		ClearCookie: consent.Cookie{Name: "__Host-tokenvend-consent", Secure: true}}, p.err
}

func (p *consentFunction) asked() int { return len(p.shown) + len(p.continued) + len(p.received) }

// parsedPages have templates that are parsed once for all tests.
var parsedPages = pages.New()

func newConsent(t testing.TB) *consentFunction { return &consentFunction{t: t, pages: parsedPages} }

func (p *consentFunction) invoke(event []byte) reply {
	p.t.Helper()
	clock := func() time.Time { return now }
	h := gateway.Consent(gateway.ConsentConfig{FrontChannel: p, Pages: p.pages, Audit: audit.NewWriter(audit.Config{Output: &p.log, Now: clock})})
	out, err := h.Invoke(p.t.Context(), event)
	if err != nil {
		p.t.Fatal(err)
	}
	var r reply
	if err := json.Unmarshal(out, &r); err != nil {
		p.t.Fatalf("answer %s: %v", out, err)
	}
	p.checkHeaders(r)
	if strings.Contains(p.log.String(), "canary") {
		p.t.Errorf("INV-5 the audit line contains a secret: %s", p.log.String())
	}
	return r
}

// checkHeaders checks the headers of every public response.
func (p *consentFunction) checkHeaders(r reply) {
	p.t.Helper()
	for name, want := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"} {
		if r.Headers[name] != want {
			p.t.Errorf("AZ-13 header %s = %q, want %q", name, r.Headers[name], want)
		}
	}
	for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action "} {
		if !strings.Contains(r.Headers["Content-Security-Policy"], directive) {
			p.t.Errorf("AZ-13 policy %q lacks %s", r.Headers["Content-Security-Policy"], directive)
		}
	}
	for name := range r.Headers {
		if strings.HasPrefix(name, "Access-Control") {
			p.t.Errorf("AZ-14 CORS header %s", name)
		}
	}
}

// visit is a browser's request for a public page, without an identity.
func visit(method, resource, value string, changes ...func(map[string]any)) []byte {
	parameter := strings.Trim(resource[strings.IndexByte(resource, '{'):], "{}")
	path := strings.Replace(resource, "{"+parameter+"}", value, 1)
	return encode(restevent.Request{Method: method, Resource: resource, Path: path, ReceivedAt: now},
		append([]func(map[string]any){set("pathParameters", map[string]any{parameter: value})}, changes...)...)
}

const (
	consentPage = "/consent/{session}"
	callback    = "/callback/{connection}"
)

func formBody(text string) func(map[string]any) {
	return func(event map[string]any) {
		event["body"] = text
		event["headers"] = map[string]any{"content-type": "application/x-www-form-urlencoded", "origin": "null", "sec-fetch-site": "same-origin"}
	}
}

func TestConsentPage(t *testing.T) {
	p := newConsent(t)
	got := p.invoke(visit("GET", consentPage, "canary-session"))
	if got.StatusCode != 200 || got.Headers["Content-Type"] != "text/html; charset=utf-8" || !strings.HasPrefix(got.Body, "<!DOCTYPE html>\n<html lang=\"en\">") {
		t.Errorf("answer %d %v %.60q", got.StatusCode, got.Headers, got.Body)
	}
	if diff := cmp.Diff([]string{"canary-session"}, p.shown); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if strings.Contains(got.Body, "canary") {
		t.Error("AZ-29 the page repeats the session's id")
	}
	if !strings.Contains(p.log.String(), `"action":"consent_page","outcome":"ok"`) || !strings.Contains(p.log.String(), `"source_ip":"192.0.2.1"`) {
		t.Errorf("AZ-56 %s", p.log.String())
	}
}

func TestContinue(t *testing.T) {
	for _, c := range []struct {
		name, want string
		cookie     consent.Cookie
	}{
		{"AZ-22 over https", "__Host-a=canary; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
			consent.Cookie{Name: "__Host-a", Value: redact.New("canary"), Secure: true, MaxAge: 10 * time.Minute}},
		{"AZ-22 over http on loopback", "a=canary; Path=/; Max-Age=600; HttpOnly; SameSite=Lax",
			consent.Cookie{Name: "a", Value: redact.New("canary"), MaxAge: 10 * time.Minute}},
		{"without a cookie", "", consent.Cookie{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newConsent(t)
			p.cookie = c.cookie
			got := p.invoke(visit("POST", consentPage, "canary-session", formBody("csrf=canary%2B1")))
			if got.StatusCode != 303 || got.Headers["Location"] != authorizationURL || got.Body != "" {
				t.Errorf("AZ-27 answer %d %v %q", got.StatusCode, got.Headers, got.Body)
			}
			if got.Headers["Set-Cookie"] != c.want {
				t.Errorf("cookie %q, want %q", got.Headers["Set-Cookie"], c.want)
			}
			want := []consent.ContinueRequest{{SessionID: "canary-session", CSRF: "canary+1", Origin: "null", FetchSite: "same-origin"}}
			if diff := cmp.Diff(want, p.continued); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCallback(t *testing.T) {
	p := newConsent(t)
	got := p.invoke(visit("GET", callback, "studio", query("code", "canary&=%", "state", "canary", "code", "second"),
		set("multiValueHeaders", map[string]any{"Cookie": []any{"canary=1", "b=2"}})))
	if got.StatusCode != 200 || !strings.Contains(got.Body, `id="confirmation-code">WX7K-M4QH<`) || strings.Contains(got.Body, "canary") {
		t.Errorf("answer %d %s", got.StatusCode, got.Body)
	}
	if want := "__Host-tokenvend-consent=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"; got.Headers["Set-Cookie"] != want {
		t.Errorf("AZ-22 cookie %q, want %q", got.Headers["Set-Cookie"], want)
	}
	want := []consent.CallbackRequest{{Connection: "studio", RawQuery: "code=canary%26=%25&code=second&state=canary", Cookies: []string{"canary=1", "b=2"}}}
	if diff := cmp.Diff(want, p.received); diff != "" {
		t.Errorf("AZ-28 asked (-want +got):\n%s", diff)
	}
	p = newConsent(t)
	p.denied = true
	if got := p.invoke(visit("GET", callback, "studio")); got.StatusCode != 200 || strings.Contains(got.Body, "WX7K") || !strings.Contains(p.log.String(), "consent_refused") {
		t.Errorf("answer %d %s, log %s", got.StatusCode, got.Body, p.log.String())
	}
}

// TestPublicBadInput: each row is refused with a page before the front channel is
// called.
func TestPublicBadInput(t *testing.T) {
	for _, c := range []struct {
		name   string
		event  []byte
		status int
	}{
		{"BI-38 HEAD of the consent page", visit("HEAD", consentPage, "abc"), 405},
		{"BI-38 HEAD of the callback", visit("HEAD", callback, "studio"), 405},
		{"BI-37 form_post", visit("POST", callback, "studio", formBody("code=canary")), 405},
		{"AZ-28 a body with the callback", visit("GET", callback, "studio", formBody("code=canary")), 400},
		{"BI-13 a parameter of the consent page", visit("GET", consentPage, "abc", query("next", "canary")), 400},
		{"AZ-03 an encoded session", visit("GET", consentPage, "abc", set("path", "/consent/%61bc")), 400},
		{"AZ-03 a session with a slash", visit("GET", consentPage, "a/b"), 400},
		{"AZ-03 a session of 129 characters", visit("GET", consentPage, strings.Repeat("a", 129)), 400},
		{"AZ-03 no session", visit("GET", consentPage, ""), 400},
		{"AZ-02 a callback of no connection", visit("GET", callback, "Studio"), 400},
		{"BI-14 an empty form", visit("POST", consentPage, "abc", formBody("")), 400},
		{"BI-14 an empty field", visit("POST", consentPage, "abc", formBody("csrf=")), 400},
		{"BI-14 a field twice", visit("POST", consentPage, "abc", formBody("csrf=canary&csrf=canary")), 400},
		{"BI-14 another field", visit("POST", consentPage, "abc", formBody("csrf=canary&x=canary")), 400},
		{"BI-14 a broken escape", visit("POST", consentPage, "abc", formBody("csrf=canary%zz")), 400},
		{"BI-14 a large form", visit("POST", consentPage, "abc", formBody("csrf=canary"+strings.Repeat("a", 10<<10))), 413},
		{"BI-14 JSON", visit("POST", consentPage, "abc", body(`{"csrf":"canary"}`)), 415},
		{"BI-15 broken base64", visit("POST", consentPage, "abc", formBody("%%%"), set("isBase64Encoded", true)), 400},
		{"an unknown path", visit("GET", "/connections/{connection}/token", "studio"), 404},
		{"BI-16 not an event", []byte(`{}`), 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newConsent(t)
			got := p.invoke(c.event)
			if got.StatusCode != c.status || p.asked() > 0 {
				t.Errorf("answer %d, asked %d times; want %d", got.StatusCode, p.asked(), c.status)
			}
			if got.Headers["Content-Type"] != "text/html; charset=utf-8" || !strings.Contains(got.Body, "What to do now") {
				t.Errorf("no page: %v %s", got.Headers, got.Body)
			}
			if strings.Contains(got.Body, "canary") || (c.status == 405) != (got.Headers["Allow"] != "") {
				t.Errorf("AZ-29 Allow %q, page %s", got.Headers["Allow"], got.Body)
			}
		})
	}
}

func TestPublicErrors(t *testing.T) {
	for code, status := range map[problem.Code]int{problem.InvalidRequest: 400, problem.AccessDenied: 403, problem.SessionExpired: 410,
		problem.StoreUnavailable: 503, problem.InternalError: 500} {
		t.Run("OC-02 "+string(code), func(t *testing.T) {
			p := newConsent(t)
			p.err = &problem.Error{Code: code, Detail: `what <script>alert(1)</script> is "wrong"`, Cause: errors.New("for the log")}
			got := p.invoke(visit("GET", callback, "studio"))
			if got.StatusCode != status || strings.Contains(got.Body, "<script") || !strings.Contains(got.Body, "What &lt;script&gt;") ||
				strings.Contains(got.Body, "for the log") || !strings.Contains(got.Body, "request-1") {
				t.Errorf("answer %d %s", got.StatusCode, got.Body)
			}
			if got.Headers["Set-Cookie"] != "" {
				t.Error("BI-31 an error deletes the cookie")
			}
			if (got.Headers["Retry-After"] != "") != (status == 503) {
				t.Errorf("Retry-After %q", got.Headers["Retry-After"])
			}
			if !strings.Contains(p.log.String(), `"outcome":"`+string(code)+`"`) || !strings.Contains(p.log.String(), "for the log") {
				t.Errorf("AZ-56 %s", p.log.String())
			}
		})
	}
	t.Run("INV-6 a panic is an error page", func(t *testing.T) {
		p := newConsent(t)
		p.panics = true
		if got := p.invoke(visit("GET", consentPage, "abc")); got.StatusCode != 500 || !strings.Contains(got.Body, "It is not your fault") {
			t.Errorf("answer %d %s", got.StatusCode, got.Body)
		}
	})
	t.Run("INV-6 without templates there is still a response", func(t *testing.T) {
		p := newConsent(t)
		p.pages = noPages{}
		if got := p.invoke(visit("GET", consentPage, "abc")); got.StatusCode != 500 || !strings.Contains(got.Body, "Internal Server Error") {
			t.Errorf("answer %d %s", got.StatusCode, got.Body)
		}
	})
}

// noPages always fails.
type noPages struct{}

var errNoPages = errors.New("no templates")

func (noPages) Consent(consent.Page) (gateway.Document, error) {
	return gateway.Document{}, errNoPages
}

func (noPages) Callback(consent.CallbackResult) (gateway.Document, error) {
	return gateway.Document{}, errNoPages
}

func (noPages) Error(gateway.ErrorPage) (gateway.Document, error) {
	return gateway.Document{}, errNoPages
}

// FuzzPublic: the response to any payload is a page or the front channel's redirect,
// with all headers (OC-71, AZ-26).
func FuzzPublic(f *testing.F) {
	f.Add(visit("GET", consentPage, "abc"))
	f.Add(visit("POST", consentPage, "abc", formBody("csrf=a")))
	f.Add(visit("GET", callback, "studio", query("code", "a", "state", "b")))
	f.Add([]byte(`{"version":"2.0"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if bytes.Contains(payload, []byte("canary")) {
			t.Skip("contains what the test searches for")
		}
		p := newConsent(t)
		got := p.invoke(payload)
		if location := got.Headers["Location"]; (got.StatusCode == 303) != (location == authorizationURL) || location != "" && location != authorizationURL {
			t.Errorf("answer %d to %q", got.StatusCode, location)
		}
		if got.StatusCode != 303 && !strings.HasPrefix(got.Body, "<!DOCTYPE html>") {
			t.Errorf("answer %d without a page: %q", got.StatusCode, got.Body)
		}
	})
}
