package pages_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

var at = time.Date(2026, 1, 1, 12, 0, 0, 0, time.FixedZone("", 3600))

const hostile = `"><script>alert(1)</script><img src=x onerror=y>'`

func page() consent.Page {
	return consent.Page{Connection: "studio", Subject: "anna", Provider: "creative-force", Principal: "arn:aws:iam::111122223333:user/app",
		Scopes: []string{"cfgateway", "offline_access"}, StartedAt: at, ExpiresAt: at.Add(10 * time.Minute),
		ProviderOrigin: "https://login.example.com", CSRF: "form-word"}
}

func callbackResult() consent.CallbackResult {
	return consent.CallbackResult{ConfirmationCode: redact.New("WX7K-M4QH"), Connection: "studio", Subject: "anna", Provider: "creative-force",
		Principal: "arn:aws:iam::111122223333:user/app", ExpiresAt: at.Add(30 * time.Minute)}
}

// all writes every page there is, with text in it that a page must not believe.
func all(t *testing.T) map[string]gateway.Document {
	t.Helper()
	p := pages.New()
	documents := map[string]gateway.Document{}
	add := func(name string, d gateway.Document, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		documents[name] = d
	}
	d, err := p.Consent(page())
	add("consent", d, err)
	foreign := page()
	foreign.RedirectHost, foreign.Principal, foreign.Provider, foreign.Scopes = hostile, hostile, "oauth2", []string{hostile}
	d, err = p.Consent(foreign)
	add("consent elsewhere", d, err)
	d, err = p.Callback(callbackResult())
	add("callback", d, err)
	refused := callbackResult()
	for _, code := range []string{"access_denied", "server_error", ""} {
		refused.Denied, refused.Error = true, code
		d, err = p.Callback(refused)
		add("refused "+code, d, err)
	}
	for _, page := range errorPages() {
		page.Detail, page.RequestID = hostile, "request-1"
		d, err = p.Error(page)
		add(fmt.Sprintf("error %d %s %t %t", page.Status, page.Code, page.OtherBrowser, page.ManualState), d, err)
	}
	return documents
}

func errorPages() []gateway.ErrorPage {
	return []gateway.ErrorPage{
		{Status: 400, Code: problem.InvalidRequest}, {Status: 400, Code: problem.InvalidRequest, OtherBrowser: true},
		{Status: 400, Code: problem.InvalidRequest, ManualState: true},
		{Status: 403, Code: problem.AccessDenied}, {Status: 404, Code: problem.ConnectionNotFound},
		{Status: 405, Code: problem.MethodNotAllowed}, {Status: 410, Code: problem.SessionExpired}, {Status: 413, Code: problem.InvalidRequest},
		{Status: 429, Code: problem.RateLimited}, {Status: 500, Code: problem.InternalError}, {Status: 503, Code: problem.StoreUnavailable},
	}
}

func TestEveryPage(t *testing.T) {
	for name, d := range all(t) {
		html := string(d.HTML)
		t.Run("AZ-29 "+name+" loads nothing and runs nothing", func(t *testing.T) {
			for _, pattern := range []string{`(?i)<script`, `(?i)<(img|link|iframe|object|embed|base)\b`, `(?i)\son[a-z]+=`, `(?i)\s(src|href|style|action)=`, `(?i)url\(`, `(?i)@import`} {
				bare := strings.ReplaceAll(html, "onerror=y", "") // as text, which the next test checks
				if found := regexp.MustCompile(pattern).FindString(strings.ReplaceAll(bare, "src=x", "")); found != "" {
					t.Errorf("found %q", found)
				}
			}
		})
		t.Run("OC-02 "+name+" shows text as text", func(t *testing.T) {
			if strings.Contains(html, "<script>alert") || strings.Contains(html, "<img") || strings.Contains(html, `"">`) {
				t.Errorf("hostile text became HTML: %s", html)
			}
		})
		t.Run("AZ-13 "+name+" has a policy that fits its style", func(t *testing.T) {
			_, rest, _ := strings.Cut(html, "<style>")
			style, _, _ := strings.Cut(rest, "</style>")
			sum := sha256.Sum256([]byte(style))
			want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
			for _, directive := range []string{"default-src 'none'", want, "base-uri 'none'", "frame-ancestors 'none'"} {
				if !strings.Contains(d.Policy, directive) {
					t.Errorf("policy %s lacks %s", d.Policy, directive)
				}
			}
			if strings.Contains(d.Policy, "unsafe") || strings.Contains(html, "<form") == strings.Contains(d.Policy, "form-action 'none'") {
				t.Errorf("policy %s", d.Policy)
			}
		})
		t.Run(name+" is a whole page", func(t *testing.T) {
			for what, n := range map[string]int{"<h1>": 1, "<main>": 1, "</main>": 1, "<title>": 1, `<html lang="en">`: 1, `name="viewport"`: 1, "</html>": 1} {
				if got := strings.Count(html, what); got != n {
					t.Errorf("%s stands %d times", what, got)
				}
			}
		})
	}
}

func TestConsentPageContent(t *testing.T) {
	html := string(all(t)["consent"].HTML)
	for _, want := range []string{"studio", "anna", "creative-force", "login.example.com", "arn:aws:iam::111122223333:user/app", "<code>cfgateway</code>",
		"<code>offline_access</code>", `<time datetime="2026-01-01T11:00:00Z">1 January 2026, 11:00 UTC</time>`, "11:10 UTC",
		`<form id="consent" method="post">`, `<input type="hidden" name="csrf" value="form-word">`, "Did you start this?"} {
		if !strings.Contains(html, want) {
			t.Errorf("AZ-25 the page lacks %s", want)
		}
	}
	if strings.Count(html, "<form") != 1 || strings.Count(html, "<input") != 1 {
		t.Error("the page has not one form with one hidden field")
	}
	if strings.Contains(html, "will not come back") {
		t.Error("the page speaks of an end elsewhere")
	}
	elsewhere := string(all(t)["consent elsewhere"].HTML)
	if !strings.Contains(elsewhere, "will not come back") || strings.Contains(elsewhere, "oauth2") {
		t.Error("OC-09 the page does not say that the browser ends elsewhere, or calls a provider oauth2")
	}
	if policy := all(t)["consent"].Policy; !strings.Contains(policy, "form-action 'self' https://login.example.com https:;") {
		t.Errorf("AZ-26 policy %s", policy)
	}
}

func TestCallbackPageContent(t *testing.T) {
	html := string(all(t)["callback"].HTML)
	if !strings.Contains(html, `<strong id="confirmation-code">WX7K-M4QH</strong>`) || !strings.Contains(html, "Give it to no one else") {
		t.Errorf("AZ-23 %s", html)
	}
	for _, name := range []string{"refused access_denied", "refused server_error", "refused "} {
		html := string(all(t)[name].HTML)
		if strings.Contains(html, "WX7K") || !strings.Contains(html, "Nothing has been stored") {
			t.Errorf("%s: %s", name, html)
		}
	}
}

func TestErrorPageContent(t *testing.T) {
	titles := map[string]string{}
	for _, page := range errorPages() {
		page.Detail, page.RequestID = "this went wrong", "request-1"
		d, err := pages.New().Error(page)
		if err != nil {
			t.Fatal(err)
		}
		html := string(d.HTML)
		for _, want := range []string{"This went wrong.", "What to do now", "request-1", fmt.Sprintf("%d %s", page.Status, http.StatusText(page.Status))} {
			if !strings.Contains(html, want) {
				t.Errorf("%d %s lacks %q", page.Status, page.Code, want)
			}
		}
		_, rest, _ := strings.Cut(html, "<h1>")
		title, _, _ := strings.Cut(rest, "</h1>")
		if other, taken := titles[title]; taken && page.Status != 413 && page.Status != 503 {
			t.Errorf("%d is called %q as %s is", page.Status, title, other)
		}
		titles[title] = string(page.Code)
	}
}

// TestContrast holds the colours against WCAG 2.2: 4.5 to 1 for text (1.4.3),
// 3 to 1 for what tells where the focus is (1.4.11), light and dark.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("html/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, found := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("no dark colours")
	}
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(text, -1) {
			if _, set := colours[m[1]]; !set {
				colours[m[1]] = m[2]
			}
		}
		for _, pair := range []struct {
			on, ink string
			least   float64
		}{
			{"card", "ink", 4.5}, {"card", "soft", 4.5}, {"ground", "soft", 4.5}, {"wash", "ink", 4.5}, {"wash", "soft", 4.5},
			{"caution-wash", "caution", 4.5}, {"accent", "on-accent", 4.5}, {"accent-strong", "on-accent", 4.5}, {"card", "accent", 3},
		} {
			if got := contrast(t, colours[pair.on], colours[pair.ink]); got < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", scheme, pair.ink, pair.on, got, pair.least)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	rgb, err := hex.DecodeString(strings.TrimPrefix(colour, "#"))
	if err != nil || len(rgb) != 3 {
		t.Fatalf("colour %q", colour)
	}
	weights, sum := [3]float64{0.2126, 0.7152, 0.0722}, 0.0
	for i, c := range rgb {
		v := float64(c) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weights[i] * v
	}
	return sum
}
