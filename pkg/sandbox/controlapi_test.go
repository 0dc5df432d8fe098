package sandbox_test

import (
	"cmp"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// direct sends a form to Cliquify's token endpoint without a network.
func (g *fixture) direct(form url.Values) reply {
	w := httptest.NewRecorder()
	g.ServeHTTP(w, g.formRequest(tokenPaths["cliquify"], form))
	return reply{w.Code, w.Header(), w.Body.String()}
}

// post calls a control endpoint as curl -d does.
func (g *fixture) post(path, body string) reply {
	g.t.Helper()
	return g.send(g.request("POST", "/control/"+path, body, "Content-Type", "application/x-www-form-urlencoded"))
}

func TestControlShowsStateWithoutSecrets(t *testing.T) {
	g := newFixture(t)
	token := g.mint("creative-force")
	wantStatus(t, g.post("creative-force/fault", `{"status":503,"retry_after":"30","latency":1.5,"count":2}`), 200)
	want := map[string]any{
		"connection": "creative-force", "provider": "creative-force", "expires_in": 3600.0, "user": "integration@studio.example",
		"token_url": g.url + "/creative-force/connect/token", "resource_url": g.url + "/creative-force/resource",
		"living_tokens": 1.0, "token_requests": map[string]any{"total": 1.0, "outcomes": map[string]any{"issued": 1.0}},
		"faults": []any{map[string]any{"status": 503.0, "retry_after": "30", "latency": 1.5, "count": 2.0}},
	}
	one := g.send(g.request("GET", "/control/creative-force", ""))
	wantJSON(t, one, want)
	all := g.send(g.request("GET", "/control", ""))
	list := all.json(t)["connections"].([]any)
	if diff := gocmp.Diff(any(want), list[2]); diff != "" || len(list) != 4 {
		t.Errorf("%d connections; the third (-want +got):\n%s", len(list), diff)
	}
	g.advance(time.Hour)
	if got := g.validTokens("creative-force"); got != 0 {
		t.Errorf("INV-1 %d expired tokens count as valid", got)
	}
	for _, secret := range []string{token, g.declared("creative-force")["client_secret"]} {
		if strings.Contains(all.body, secret) || strings.Contains(one.body, secret) {
			t.Error("INV-5 a secret is shown")
		}
	}
}

func TestControlEndpoints(t *testing.T) {
	t.Run("FI-21 rotate returns the new file", func(t *testing.T) {
		g := newFixture(t)
		before := g.declared("cliquify")["client_secret"]
		got := g.send(g.request("POST", "/control/cliquify/rotate?update=true&grace=60", ""))
		wantStatus(t, got, 200)
		var answered, filed map[string]string
		must(t, json.Unmarshal([]byte(got.body), &answered))
		text, err := os.ReadFile(filepath.Join(g.folder, "cliquify.json"))
		must(t, err)
		must(t, json.Unmarshal(text, &filed))
		if diff := gocmp.Diff(answered, filed); diff != "" || answered["client_secret"] == before {
			t.Error("the response is not the new file")
		}
		wantStatus(t, g.ask("cliquify", "client_secret", before), 200)
		g.advance(time.Minute)
		wantStatus(t, g.ask("cliquify", "client_secret", before), 401)
	})
	t.Run("FI-23 user", func(t *testing.T) {
		g := newFixture(t)
		token := g.mint("creative-force")
		got := g.post("creative-force/user", `{"user":"b@studio.example"}`)
		wantStatus(t, got, 200)
		if got.json(t)["user"] != "b@studio.example" || g.lives("creative-force", token) {
			t.Error("the user did not change")
		}
	})
	t.Run("OC-14 revoke one, then all", func(t *testing.T) {
		g := newFixture(t)
		token := g.mint("cliquify")
		g.mint("cliquify")
		g.mint("cliquify")
		wantJSON(t, g.post("cliquify/revoke", `{"token":"`+token+`"}`), map[string]any{"revoked": 1.0})
		wantJSON(t, g.post("cliquify/revoke", ""), map[string]any{"revoked": 2.0})
	})
	t.Run("CR-02 lifetime, and the documented one again", func(t *testing.T) {
		g := newFixture(t)
		for seconds, want := range map[string]float64{"20": 20, "0": 2592000} {
			got := g.post("cliquify/lifetime", `{"expires_in":`+seconds+`}`)
			if got.status != 200 || got.json(t)["expires_in"] != want {
				t.Errorf("%s: %d %s", seconds, got.status, got.body)
			}
		}
	})
	t.Run("FI-10 a script of faults, and clearing it", func(t *testing.T) {
		g := newFixture(t)
		wantStatus(t, g.post("cliquify/fault", `[{"count":1},{"status":500}]`), 200)
		wantStatus(t, g.ask("cliquify"), 200)
		wantStatus(t, g.ask("cliquify"), 500)
		wantStatus(t, g.send(g.request("DELETE", "/control/cliquify/fault", "")), 200)
		wantStatus(t, g.ask("cliquify"), 200)
	})
	t.Run("INV-2 counters", func(t *testing.T) {
		g := newFixture(t)
		g.ask("cliquify")
		wantStatus(t, g.send(g.request("DELETE", "/control/cliquify/counters", "")), 200)
		if got := g.TokenRequests("cliquify"); got != 0 {
			t.Errorf("%d requests after the reset", got)
		}
	})
	t.Run("OC-05 register returns a file that works", func(t *testing.T) {
		g := newFixture(t)
		got := g.send(g.request("PUT", "/control/my-crm", `{"client_auth":"client_secret_post","scopes":["read"]}`))
		wantStatus(t, got, 200)
		v := got.json(t)
		form := grantForm("client_id", v["client_id"].(string), "client_secret", v["client_secret"].(string))
		if granted := g.send(g.formRequest("/oauth2/token", form)).json(t)["scope"]; granted != "read" {
			t.Errorf("granted %v", granted)
		}
		wantStatus(t, g.send(g.request("PUT", "/control/my-crm", "")), 400)
	})
}

// example is one curl line of the help text.
var example = regexp.MustCompile(`(?m)^    curl (?:-X (\w+) )?'?(http[^' \n]+)'?(?: -d '(.*)')?$`)

func TestEveryExampleInTheHelpWorks(t *testing.T) {
	g := newFixture(t)
	must(t, g.WriteConnections(g.folder))
	examples := example.FindAllStringSubmatch(sandbox.Help(g.url), -1)
	if want := strings.Count(sandbox.Help(g.url), "\n    curl ") - 1; len(examples) != want || want < 15 {
		t.Fatalf("%d of %d examples understood; the resource's is left out", len(examples), want)
	}
	for _, e := range examples {
		t.Run("BI-14 "+strings.TrimSpace(strings.ReplaceAll(e[0], g.url, "")), func(t *testing.T) {
			method := cmp.Or(e[1], "GET")
			if e[3] != "" && e[1] == "" {
				method = "POST"
			}
			wantStatus(t, g.send(g.request(method, strings.TrimPrefix(e[2], g.url), e[3])), 200)
		})
	}
}

func TestControlRefusesOtherSites(t *testing.T) {
	g := newFixture(t)
	before := g.declared("cliquify")["client_secret"]
	for site, status := range map[string]int{"cross-site": 403, "same-origin": 200, "same-site": 200, "none": 200} {
		if got := g.send(g.request("GET", "/control", "", "Sec-Fetch-Site", site)); got.status != status {
			t.Errorf("AZ-17 a request of %s: %d, want %d", site, got.status, status)
		}
	}
	got := g.send(g.request("POST", "/control/cliquify/rotate", "", "Sec-Fetch-Site", "cross-site"))
	if got.status != 403 || !strings.Contains(got.body, "access_denied") || g.declared("cliquify")["client_secret"] != before {
		t.Errorf("AZ-17 a page of another site rotated a secret: %d %s", got.status, got.body)
	}
}

func TestControlRefusesInvalidRequests(t *testing.T) {
	g := newFixture(t)
	for name, row := range map[string]struct {
		method, path, body string
		status             int
	}{
		"an unknown connection":       {"GET", "unknown", "", 404},
		"rotating an unknown one":     {"POST", "unknown/rotate", "", 404},
		"an unknown endpoint":         {"POST", "cliquify/explode", "", 404},
		"another method":              {"GET", "cliquify/rotate", "", 405},
		"an unknown parameter":        {"POST", "cliquify/rotate?when=now", "", 400},
		"update that is no yes":       {"POST", "cliquify/rotate?update=1", "", 400},
		"grace that is no number":     {"POST", "cliquify/rotate?grace=1h", "", 400},
		"grace twice":                 {"POST", "cliquify/rotate?grace=1&grace=2", "", 400},
		"an unknown member":           {"POST", "cliquify/fault", `{"status":500,"stauts":500}`, 400},
		"an unknown member in a list": {"POST", "cliquify/fault", `[{"status":500,"stauts":500}]`, 400},
		"an empty list":               {"POST", "cliquify/fault", `[]`, 400},
		"no fault":                    {"POST", "cliquify/fault", ``, 400},
		"a fault that does nothing":   {"POST", "cliquify/fault", `{}`, 400},
		"a query beside a body":       {"POST", "cliquify/fault?status=500", `{"status":500}`, 400},
		"two values":                  {"POST", "cliquify/lifetime", `{"expires_in":1}{}`, 400},
		"no lifetime":                 {"POST", "cliquify/lifetime", ``, 400},
		"a negative lifetime":         {"POST", "cliquify/lifetime", `{"expires_in":-1}`, 400},
		"no user":                     {"POST", "creative-force/user", ``, 400},
		"a user where there is none":  {"POST", "cliquify/user", `{"user":"x"}`, 400},
		"no JSON":                     {"POST", "cliquify/revoke", `token=x`, 400},
		"a body over 64 KiB":          {"POST", "cliquify/revoke", strings.Repeat(" ", 64<<10+1), 400},
		"a name that is a path":       {"PUT", "..%2fx", `{}`, 400},
		"an unknown method of auth":   {"PUT", "my-crm", `{"client_auth":"mtls"}`, 400},
	} {
		t.Run("BI-14 "+name, func(t *testing.T) {
			got := g.send(g.request(row.method, "/control/"+row.path, row.body))
			wantStatus(t, got, row.status)
			if row.status == 400 && len(got.json(t)["error"].(string)) < 10 {
				t.Errorf("says only %q", got.body)
			}
		})
	}
	if g.TokenRequests("cliquify") != 0 || g.ask("cliquify").status != 200 {
		t.Error("a refused control request left something behind")
	}
}
