package localrun_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestVend(t *testing.T) {
	r := start(t, "")
	for _, name := range []string{"creative-force", "agile-now", "cliquify"} {
		t.Run(name, func(t *testing.T) {
			first := r.vend(name)
			if !r.opens(r.sandbox, name, first) {
				t.Error("the resource refuses the token")
			}
			second := r.ask("local2", "POST", "/connections/"+name+"/token", `{"min_ttl":60}`)
			if second.text("token_id") != first.text("token_id") || r.requests(name) != 1 {
				t.Errorf("another token for the other caller: %v, then %v", first.body["token_id"], second.body)
			}
		})
	}
	t.Run("BI-01 unsigned", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/connections/cliquify/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := send(request); err != nil || got.status != 403 || got.body["detail"] != "Missing Authentication Token" || got.body["error"] != "access_denied" {
			t.Errorf("%d %v %v", got.status, got.body, err)
		}
	})
	t.Run("BI-01 wrong signature", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/connections/cliquify/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.sign(request, "local", "another body"); err != nil {
			t.Fatal(err)
		}
		if got, err := send(request); err != nil || got.status != 403 || got.header.Get("X-Amzn-Errortype") != "InvalidSignatureException" {
			t.Errorf("%d %v %v", got.status, got.body, err)
		}
	})
	t.Run("BI-01 unknown key", func(t *testing.T) {
		if got := r.ask("unknown", "GET", "/connections/cliquify/token", ""); got.status != 403 {
			t.Errorf("%d %v", got.status, got.body)
		}
	})
	t.Run("BI-01 expired date", func(t *testing.T) {
		late := *r
		late.clock = new(clock)
		late.clock.advance(-6 * time.Minute)
		if got := late.ask("local", "GET", "/connections/cliquify/token", ""); got.status != 403 {
			t.Errorf("%d %v", got.status, got.body)
		}
	})
	t.Run("BI-09 unknown connection", func(t *testing.T) {
		if got := r.ask("local", "GET", "/connections/absent/token", ""); got.status != 404 || got.text("error") != "connection_not_found" {
			t.Errorf("%d %v", got.status, got.body)
		}
	})
	t.Run("status", func(t *testing.T) {
		got := r.ask("local", "GET", "/connections", "")
		if list, _ := got.body["connections"].([]any); got.status != 200 || len(list) != 4 {
			t.Errorf("%d %v", got.status, got.body)
		}
	})
	if err := r.end(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// tokens is an authorization server that holds every request until the gate opens.
type tokens struct {
	url   string
	gate  chan struct{}
	calls atomic.Int64
}

func newTokens(t *testing.T) *tokens {
	s := &tokens{gate: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := s.calls.Add(1)
		<-s.gate
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"token_%d","token_type":"bearer","expires_in":3600}`, n)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func TestColdConnectionIsAskedForOnce(t *testing.T) {
	const callers = 1000
	server, folder := newTokens(t), t.TempDir()
	write(t, folder, "crm", `{"provider":"oauth2","client_id":"id","client_secret":"hush","token_url":"`+server.url+`/token"}`)
	r := start(t, folder)
	var sent atomic.Int64
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
		if sent.Add(1) == callers {
			close(server.gate) // no answer before the last request is on its way
		}
	}}
	for _, got := range together(t, callers, func() (answer, error) { return r.traced(trace, "/connections/crm/token") }) {
		if got.status != 200 || got.text("access_token") != "token_1" {
			t.Fatalf("CR-03: %d %v", got.status, got.body)
		}
	}
	if calls := server.calls.Load(); calls != 1 {
		t.Errorf("CR-03 %d callers of a cold connection made %d token requests, want 1", callers, calls)
	}
}

func TestFailureIsSharedAtOnce(t *testing.T) {
	r := start(t, "")
	r.pull(r.sandbox, "POST", "cliquify/fault", `{"status":503,"retry_after":"120"}`)
	for _, got := range together(t, 200, func() (answer, error) { return r.try("local", "GET", "/connections/cliquify/token", "") }) {
		if got.status != 503 || got.text("error") != "provider_unavailable" || got.body["retryable"] != true {
			t.Fatalf("CR-18: %d %v", got.status, got.body)
		}
		if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 100 || seconds > 120 {
			t.Fatalf("OC-49 Retry-After %q, want nearly 120", got.header.Get("Retry-After"))
		}
	}
	calls := r.requests("cliquify")
	if calls > 2 {
		t.Errorf("CR-18 200 callers made %d token requests, want the request and its one retry", calls)
	}
	r.pull(r.sandbox, "DELETE", "cliquify/fault", "")
	r.clock.advance(100 * time.Second)
	if got := r.ask("local", "GET", "/connections/cliquify/token", ""); got.status != 503 || r.requests("cliquify") != calls {
		t.Errorf("OC-49 asked again before its time: %d", got.status)
	}
	r.clock.advance(21 * time.Second)
	r.vend("cliquify")
}

func TestStaleTokenUnderFailure(t *testing.T) {
	r := start(t, "")
	before := r.vend("creative-force")
	r.pull(r.sandbox, "POST", "creative-force/fault", `{"status":503}`)
	r.clock.advance(55 * time.Minute)
	got := r.vend("creative-force")
	if got.text("token_id") != before.text("token_id") || got.body["stale"] != true || r.requests("creative-force") == 1 {
		t.Errorf("CR-24 past 85 %% of its life: %v", got.body)
	}
	r.clock.advance(5 * time.Minute)
	if got := r.ask("local", "GET", "/connections/creative-force/token", ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("INV-1 past its expiry: %d %v", got.status, got.body)
	}
	r.pull(r.sandbox, "DELETE", "creative-force/fault", "")
	r.clock.advance(15 * time.Minute)
	if after := r.vend("creative-force"); after.body["stale"] == true || !r.opens(r.sandbox, "creative-force", after) {
		t.Errorf("INV-7 after the fault: %v", after.body)
	}
}

func TestCallers(t *testing.T) {
	server, folder := newTokens(t), t.TempDir()
	close(server.gate)
	const declared = `{"provider":"oauth2","client_id":"id","client_secret":"hush","token_url":"%s/token",
		"callers":[{"principal":"arn:aws:iam::000000000000:user/%s"}]}`
	write(t, folder, "first", fmt.Sprintf(declared, server.url, "local"))
	write(t, folder, "second", fmt.Sprintf(declared, server.url, "local2"))
	write(t, folder, "either", fmt.Sprintf(declared, server.url, "local*"))
	r := start(t, folder)
	for _, c := range []struct {
		user, connection string
		want             int
	}{
		{"local2", "first", 403}, // cold
		{"local", "first", 200},
		{"local2", "first", 403}, // warm
		{"local", "second", 403},
		{"local2", "second", 200},
		{"local", "either", 200},
		{"local2", "either", 200},
	} {
		got := r.ask(c.user, "GET", "/connections/"+c.connection+"/token", "")
		if got.status != c.want || c.want == 403 && got.text("error") != "access_denied" {
			t.Errorf("%s asks for %s: %d %v, want %d", c.user, c.connection, got.status, got.body, c.want)
		}
	}
}

func TestInvalidFileDisablesNothingElse(t *testing.T) {
	server, folder := newTokens(t), t.TempDir()
	close(server.gate)
	good := `{"provider":"oauth2","client_id":"id","client_secret":"hush","token_url":"` + server.url + `/token"}`
	write(t, folder, "good", good)
	write(t, folder, "bad", `{"provider":"oauth2","clientid":"id"}`)
	write(t, folder, "pair", `{"connections":{"good":`+good+`,"bad":{"provider":"unknown"}}}`)
	r := start(t, folder)
	r.vend("good")
	r.vend("pair.good")
	for name, member := range map[string]string{"bad": "clientid", "pair.bad": "provider"} {
		t.Run("BI-40 "+name, func(t *testing.T) {
			if got := r.ask("local", "GET", "/connections/"+name+"/token", ""); got.status != 500 || got.text("error") != "connection_misconfigured" {
				t.Errorf("vend: %d %v", got.status, got.body)
			}
			got := r.ask("local", "GET", "/connections/"+name, "")
			if problem := got.text("problem"); got.text("state") != "misconfigured" || !strings.Contains(problem, member) {
				t.Errorf("status: %d %v, want a problem that names %s", got.status, got.body, member)
			}
		})
	}
	write(t, folder, "bad", good)
	r.vend("bad")
}

// traced is an unconditional vend whose request is watched.
func (r *running) traced(trace *httptrace.ClientTrace, path string) (answer, error) {
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(r.t.Context(), trace), "GET", r.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	if err := r.sign(request, "local", ""); err != nil {
		return answer{}, err
	}
	return send(request)
}
