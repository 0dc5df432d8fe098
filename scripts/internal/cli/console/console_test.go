package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

const secret = "secret-of-the-path"

// api answers every request in the same way, and keeps what was asked.
type api struct {
	status int
	answer string
	err    error
	asked  []string
	bodies []any
}

func (a *api) Do(_ context.Context, method, path string, body any) (client.Answer, error) {
	a.asked, a.bodies = append(a.asked, method+" "+path), append(a.bodies, body)
	header := http.Header{"Retry-After": {"7"}}
	return client.Answer{StatusCode: a.status, Header: header, Body: []byte(a.answer)}, a.err
}

// send sends a request of the page itself, with changes.
func send(a *api, method, path, body string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8091/"+secret+path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Origin", "http://127.0.0.1:8091")
		r.Header.Set("Content-Type", "application/json")
	}
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	New(Config{API: a, URL: "https://api.example.com/v1", Secret: secret}).ServeHTTP(w, r)
	return w
}

func TestRefusesOtherPages(t *testing.T) {
	forget := `{"connection":"crm"}`
	for name, c := range map[string]struct {
		method, path, body string
		change             func(*http.Request)
	}{
		"another host":            {"GET", "/", "", func(r *http.Request) { r.Host = "evil.example" }},
		"a name of loopback":      {"GET", "/", "", func(r *http.Request) { r.Host = "127.0.0.1.evil.example:8091" }},
		"no secret":               {"GET", "/", "", func(r *http.Request) { r.URL.Path = "/" }},
		"another secret":          {"GET", "/api/connections", "", func(r *http.Request) { r.URL.Path = "/secret/api/connections" }},
		"secret in another place": {"GET", "/api/connections", "", func(r *http.Request) { r.URL.Path = "/x/" + secret + "/api/connections" }},
		"foreign origin":          {"POST", "/api/forget", forget, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
		"origin of another port":  {"POST", "/api/forget", forget, func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8092") }},
		"opaque origin":           {"POST", "/api/forget", forget, func(r *http.Request) { r.Header.Set("Origin", "null") }},
		"no origin":               {"POST", "/api/forget", forget, func(r *http.Request) { r.Header.Del("Origin") }},
		"foreign origin, reading": {"GET", "/api/connections", "", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{status: http.StatusNoContent}
			w := send(a, c.method, c.path, c.body, c.change)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "access_denied") || len(a.asked) > 0 {
				t.Errorf("%d %s, and the service was asked %q", w.Code, w.Body, a.asked)
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Error("the answer names the secret")
			}
		})
	}
}

func TestActionsNeedPost(t *testing.T) {
	for name := range actions {
		a := &api{status: http.StatusOK, answer: `{}`}
		if w := send(a, http.MethodGet, "/api/"+name, ""); w.Code < 400 || len(a.asked) > 0 {
			t.Errorf("GET of %s: %d, and the service was asked %q", name, w.Code, a.asked)
		}
	}
}

func TestNoTokenReachesThePage(t *testing.T) {
	const canary = "canary-access-token"
	answer := `{"access_token":"` + canary + `","token_id":"0123456789abcdef","refresh_in":5,"expires_in":9,"extra":{"instance_url":"https://x.example"},
		"authorization_url":"` + canary + `","connections":[{"connection":"crm","state":"ready","access_token":"` + canary + `"}]}`
	for _, path := range []string{"/api/connections", "/api/connections/crm"} {
		if w := send(&api{status: 200, answer: answer}, http.MethodGet, path, ""); strings.Contains(w.Body.String(), canary) {
			t.Errorf("%s passes the token on: %s", path, w.Body)
		}
	}
	for name := range actions {
		w := send(&api{status: 200, answer: answer}, http.MethodPost, "/api/"+name, `{"connection":"crm"}`)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		action, order, asked string
		body                 any
	}{
		{"test", `{"connection":"crm"}`, "GET /connections/crm/token", nil},
		{"test", `{"connection":"crm","subject":"default"}`, "GET /connections/crm/token", nil},
		{"test", `{"connection":"shop.eu","subject":"jane"}`, "GET /connections/shop.eu/subjects/jane/token", nil},
		{"forget", `{"connection":"crm"}`, "DELETE /connections/crm/token", nil},
		{"disconnect", `{"connection":"crm","subject":"jane"}`, "DELETE /connections/crm/subjects/jane/authorization", nil},
		{"start", `{"connection":"crm"}`, "POST /connections/crm/authorization", nil},
		{"reject", `{"connection":"crm","token_id":"0123456789abcdef"}`, "POST /connections/crm/token", map[string]string{"rejected_token_id": "0123456789abcdef"}},
		{"complete", `{"connection":"crm","session_id":"s","confirmation_code":"c"}`, "POST /connections/crm/authorization/complete",
			map[string]string{"session_id": "s", "confirmation_code": "c"}},
		{"complete", `{"connection":"crm","session_id":"s","redirect_url":"u"}`, "POST /connections/crm/authorization/complete",
			map[string]string{"session_id": "s", "redirect_url": "u"}},
	} {
		a := &api{status: http.StatusOK, answer: `{}`}
		send(a, http.MethodPost, "/api/"+c.action, c.order)
		if diff := cmp.Diff([]string{c.asked}, a.asked); diff != "" {
			t.Errorf("%s of %s (-want +asked):\n%s", c.action, c.order, diff)
			continue
		}
		if diff := cmp.Diff([]any{c.body}, a.bodies); diff != "" {
			t.Errorf("%s of %s sends (-want +sent):\n%s", c.action, c.order, diff)
		}
	}
}

func TestBadOrders(t *testing.T) {
	for _, order := range []string{"", "{", `{"connection":"../crm"}`, `{"connection":"crm/token"}`, `{"connection":"crm","subject":"a/b"}`,
		`{"connection":""}`, `{"connection":"crm","method":"PUT"}`, `{"connection":"` + strings.Repeat("a", 40<<10) + `"}`} {
		a := &api{status: http.StatusOK, answer: `{}`}
		w := send(a, http.MethodPost, "/api/test", order)
		if w.Code != http.StatusBadRequest || len(a.asked) > 0 {
			t.Errorf("%.40s: %d, and the service was asked %q", order, w.Code, a.asked)
		}
	}
}

func TestStatusParsesTheName(t *testing.T) {
	a := &api{status: http.StatusOK, answer: `{}`}
	if w := send(a, http.MethodGet, "/api/connections/crm%2Ftoken", ""); w.Code != http.StatusBadRequest || len(a.asked) > 0 {
		t.Errorf("%d, and the service was asked %q", w.Code, a.asked)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		api    api
		status int
		says   string
	}{
		"the service's own": {api{status: 409, answer: `{"error":"authorization_required","detail":"a user must consent","instance":"r1"}`}, 409, "a user must consent"},
		"a captive portal":  {api{status: 503, answer: "<html>sign in</html>"}, 502, "/v1"},
		"another 200":       {api{status: 200, answer: "<html>welcome</html>"}, 502, "/v1"},
		"no network":        {api{err: errors.New("no response from https://api.example.com/v1")}, 502, "no response"},
	} {
		t.Run(name, func(t *testing.T) {
			w := send(&c.api, http.MethodGet, "/api/connections/crm", "")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	for path, media := range map[string]string{"/": "text/html", "/console.js": "text/javascript", "/console.css": "text/css", "/icon.svg": "image/svg+xml"} {
		w := send(new(api), http.MethodGet, path, "")
		header := w.Header()
		text, _ := io.ReadAll(w.Body)
		switch {
		case w.Code != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), media):
			t.Errorf("%s: %d %s", path, w.Code, header.Get("Content-Type"))
		case header.Get("Content-Security-Policy") != policy || header.Get("Referrer-Policy") != "no-referrer":
			t.Errorf("%s has not the policies of the page", path)
		case strings.Contains(string(text), "//cdn") || strings.Contains(string(text), "innerHTML"):
			t.Errorf("%s uses content of others, or HTML from text", path)
		}
	}
	if w := send(new(api), http.MethodGet, "/console.go", ""); w.Code != http.StatusNotFound {
		t.Errorf("another file: %d", w.Code)
	}
}
