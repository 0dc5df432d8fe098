package sandbox_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

func TestLiteralResponses(t *testing.T) {
	for name, row := range map[string]struct {
		fault                         sandbox.Fault
		status                        int
		body, contentType, retryAfter string
	}{
		"FI-10 a status":             {sandbox.Fault{Status: 500}, 500, "", "", ""},
		"OC-49 Retry-After":          {sandbox.Fault{Status: 429, RetryAfter: "120"}, 429, "", "", "120"},
		"OC-49 a silly Retry-After":  {sandbox.Fault{Status: 503, RetryAfter: "garbage"}, 503, "", "", "garbage"},
		"OC-40 HTML":                 {sandbox.Fault{Body: "<h1>", ContentType: "text/html"}, 200, "<h1>", "text/html", ""},
		"OC-43 200 with an error":    {sandbox.Fault{Body: `{"error":"x"}`}, 200, `{"error":"x"}`, "application/json", ""},
		"OC-46 invalid_client":       {sandbox.Fault{Status: 401, Body: `{"error":"invalid_client"}`}, 401, `{"error":"invalid_client"}`, "application/json", ""},
		"OC-50 nothing":              {sandbox.Fault{Status: 204}, 204, "", "", ""},
		"OC-39 a body of two MiB":    {sandbox.Fault{Body: strings.Repeat(" ", 2<<20)}, 200, strings.Repeat(" ", 2<<20), "application/json", ""},
		"OC-41 another content type": {sandbox.Fault{Body: `{}`, ContentType: "text/plain"}, 200, `{}`, "text/plain", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newFixture(t)
			must(t, g.Fault("cliquify", row.fault))
			got := g.ask("cliquify")
			wantStatus(t, got, row.status)
			if got.body != row.body || got.header.Get("Content-Type") != row.contentType || got.header.Get("Retry-After") != row.retryAfter {
				t.Errorf("got %d bytes, headers %v", len(got.body), got.header)
			}
			if g.validTokens("cliquify") != 0 {
				t.Error("a token was minted behind the fault")
			}
			wantStatus(t, g.ask("agile-now"), http.StatusOK)
		})
	}
}

// validTokens is the number of valid tokens that the control endpoint counts.
func (g *fixture) validTokens(connection string) int {
	g.t.Helper()
	n, _ := g.send(g.request("GET", "/control/"+connection, "")).json(g.t)["living_tokens"].(float64)
	return int(n)
}

func TestRedirects(t *testing.T) {
	for want, fault := range map[int]sandbox.Fault{
		301: {Redirect: "https://example.com/", Status: 301},
		302: {Redirect: "/cliquify/oauth/access-token", Status: 302},
		303: {Redirect: "https://example.com/", Status: 303},
		307: {Redirect: "https://example.com/"},
		308: {Redirect: "https://example.com/", Status: 308},
	} {
		t.Run("FI-16 "+http.StatusText(want), func(t *testing.T) {
			g := newFixture(t)
			must(t, g.Fault("cliquify", fault))
			got := g.ask("cliquify")
			wantStatus(t, got, want)
			if got.header.Get("Location") != fault.Redirect {
				t.Errorf("Location %q", got.header.Get("Location"))
			}
		})
	}
}

func TestFaultsEndAfterTheirCount(t *testing.T) {
	g := newFixture(t)
	must(t, g.Fault("creative-force", sandbox.Fault{Count: 1}, sandbox.Fault{Count: 2, Status: 503}, sandbox.Fault{Count: 1, Status: 429}))
	statuses := func(n int) (got []int) {
		for range n {
			got = append(got, g.ask("creative-force").status)
		}
		return got
	}
	if diff := cmp.Diff([]int{200, 503, 503, 429, 200, 200}, statuses(6)); diff != "" {
		t.Errorf("FI-10 a script (-want +got):\n%s", diff)
	}
	must(t, g.Fault("creative-force", sandbox.Fault{Status: 500}))
	if diff := cmp.Diff([]int{500, 500, 500}, statuses(3)); diff != "" {
		t.Errorf("FI-11 without a count (-want +got):\n%s", diff)
	}
	must(t, g.Fault("creative-force"))
	if diff := cmp.Diff([]int{200}, statuses(1)); diff != "" {
		t.Errorf("FI-11 cleared (-want +got):\n%s", diff)
	}
	got, err := g.Counters("creative-force")
	must(t, err)
	if diff := cmp.Diff(sandbox.Counters{Total: 10, Outcomes: map[string]int{"issued": 4, "fault": 6}}, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestScriptIsCopied(t *testing.T) {
	g := newFixture(t)
	script := []sandbox.Fault{{Count: 2, Status: 503}}
	must(t, g.Fault("cliquify", script...))
	g.ask("cliquify")
	if script[0].Count != 2 {
		t.Error("the author's fault was used up")
	}
}

func TestLatency(t *testing.T) {
	t.Run("FI-02 the normal response is late", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.Fault("cliquify", sandbox.Fault{Latency: 9 * time.Second}))
		wantStatus(t, g.ask("cliquify"), http.StatusOK)
		if diff := cmp.Diff([]time.Duration{9 * time.Second}, g.waited); diff != "" {
			t.Errorf("waited (-want +got):\n%s", diff)
		}
	})
	t.Run("FI-02 it is combined with another fault", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.Fault("cliquify", sandbox.Fault{Latency: time.Second, Status: 502}))
		wantStatus(t, g.ask("cliquify"), http.StatusBadGateway)
		if len(g.waited) != 1 {
			t.Errorf("waited %v", g.waited)
		}
	})
	for processed, want := range map[bool]sandbox.Counters{
		false: {Total: 1, Outcomes: map[string]int{"abandoned": 1}},
		true:  {Total: 1, Outcomes: map[string]int{"issued": 1}},
	} {
		t.Run("OC-62 a client that leaves meanwhile", func(t *testing.T) {
			g := newFixture(t)
			g.waitErr = context.Canceled
			must(t, g.Fault("cliquify", sandbox.Fault{Latency: time.Second, Processed: processed}))
			if got, err := g.try(g.formRequest(tokenPaths["cliquify"], g.form("cliquify"))); err == nil {
				t.Errorf("answered %d", got.status)
			}
			got, err := g.Counters("cliquify")
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("FI-02 it takes real time unless Wait is set", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := sandbox.New(sandbox.Config{})
			must(t, s.Fault("cliquify", sandbox.Fault{Latency: 9 * time.Second}))
			form := (&fixture{t: t, Sandbox: s}).form("cliquify").Encode()
			before := time.Now()
			serve := func(ctx context.Context) *httptest.ResponseRecorder {
				req := httptest.NewRequestWithContext(ctx, "POST", tokenPaths["cliquify"], strings.NewReader(form))
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, req)
				return w
			}
			if w := serve(t.Context()); w.Code != 200 || time.Since(before) != 9*time.Second {
				t.Errorf("status %d after %v", w.Code, time.Since(before))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) || time.Since(before) != 10*time.Second {
					t.Errorf("not aborted when the client gave up, but after %v", time.Since(before))
				}
			}()
			serve(ctx)
		})
	})
	t.Run("OC-70 a lifetime counts from the minting, before the latency", func(t *testing.T) {
		g := newFixture(t)
		g.Sandbox = sandbox.New(sandbox.Config{Now: g.clock, Wait: func(context.Context, time.Duration) error {
			g.advance(time.Hour)
			return nil
		}})
		g.serve()
		must(t, g.Fault("creative-force", sandbox.Fault{Latency: time.Hour, Processed: true}))
		if g.lives("creative-force", g.mint("creative-force")) {
			t.Error("the lifetime began with the response")
		}
	})
}

// serve starts a server for the sandbox.
func (g *fixture) serve() {
	server := httptest.NewServer(g.Sandbox)
	g.t.Cleanup(server.Close)
	g.url = server.URL
	g.SetBaseURL(server.URL)
}

func TestLostResponses(t *testing.T) {
	for name, row := range map[string]struct {
		fault  sandbox.Fault
		cause  error
		minted int
	}{
		"FI-18 reset before anything was done": {sandbox.Fault{Reset: true}, syscall.ECONNRESET, 0},
		"FI-04 reset after the work":           {sandbox.Fault{Reset: true, Processed: true}, syscall.ECONNRESET, 1},
		"OC-61 a body cut short":               {sandbox.Fault{Truncate: true}, io.ErrUnexpectedEOF, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newFixture(t)
			row.fault.Count = 1
			must(t, g.Fault("cliquify", row.fault))
			_, err := g.try(g.formRequest(tokenPaths["cliquify"], g.form("cliquify")))
			if !errors.Is(err, row.cause) {
				t.Errorf("error %v, want %v", err, row.cause)
			}
			if got := g.validTokens("cliquify"); got != row.minted {
				t.Errorf("%d tokens minted, want %d", got, row.minted)
			}
			wantStatus(t, g.ask("cliquify"), http.StatusOK)
			counted, err := g.Counters("cliquify")
			must(t, err)
			if diff := cmp.Diff(sandbox.Counters{Total: 2, Outcomes: map[string]int{"fault": 1, "issued": 1}}, counted); diff != "" {
				t.Errorf("INV-2 (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("FI-18 reset under TLS", func(t *testing.T) {
		g := newFixture(t)
		server := httptest.NewTLSServer(g.Sandbox)
		defer server.Close()
		must(t, g.Fault("cliquify", sandbox.Fault{Reset: true}))
		req := g.formRequest(tokenPaths["cliquify"], g.form("cliquify"))
		req.URL.Scheme, req.URL.Host = "https", strings.TrimPrefix(server.URL, "https://")
		if _, err := server.Client().Do(req); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("FI-18 without a hijackable connection the response is aborted", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.Fault("cliquify", sandbox.Fault{Reset: true}))
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Error("not aborted")
			}
		}()
		g.ServeHTTP(httptest.NewRecorder(), g.formRequest(tokenPaths["cliquify"], g.form("cliquify")))
	})
}

func TestHang(t *testing.T) {
	t.Run("FI-17 nothing is sent until the client closes", func(t *testing.T) {
		g := newFixture(t)
		ctx, cancel := context.WithCancel(t.Context())
		g.onWait = cancel // by now the request has arrived
		must(t, g.Fault("cliquify", sandbox.Fault{Hang: true, Latency: time.Second}))
		req := g.formRequest(tokenPaths["cliquify"], g.form("cliquify")).WithContext(ctx)
		if got, err := g.try(req); !errors.Is(err, context.Canceled) {
			t.Errorf("answered %d, error %v", got.status, err)
		}
	})
	t.Run("FI-17 headers and an unfinished body", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.Fault("cliquify", sandbox.Fault{Status: 200, Body: "{", Hang: true}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		response, err := http.DefaultClient.Do(g.formRequest(tokenPaths["cliquify"], g.form("cliquify")).WithContext(ctx))
		must(t, err)
		defer response.Body.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(response.Body, first); err != nil || response.StatusCode != 200 || first[0] != '{' {
			t.Fatalf("status %d, first byte %q, error %v", response.StatusCode, first, err)
		}
		cancel()
		if _, err := response.Body.Read(first); !errors.Is(err, context.Canceled) {
			t.Errorf("the body ended by itself: %v", err)
		}
	})
}

func TestInvalidFaults(t *testing.T) {
	g := newFixture(t)
	for name, script := range map[string][]sandbox.Fault{
		"nothing at all":               {{}},
		"two kinds":                    {{Reset: true, Truncate: true}},
		"a status of a reset":          {{Reset: true, Status: 500}},
		"hang and truncate":            {{Hang: true, Truncate: true}},
		"a redirect that is none":      {{Redirect: "https://example.com/", Status: 200}},
		"a redirect to no URL":         {{Redirect: "http://[::1"}},
		"a status that is none":        {{Status: 99}},
		"a negative count":             {{Count: -1, Status: 500}},
		"a negative latency":           {{Latency: -1}},
		"a line break in a header":     {{Status: 500, RetryAfter: "1\r\nX: y"}},
		"a fault after an endless one": {{Status: 500}, {Status: 503, Count: 1}},
		"the second makes no sense":    {{Status: 500, Count: 1}, {}},
	} {
		t.Run("FI "+name, func(t *testing.T) {
			if err := g.Fault("cliquify", script...); err == nil {
				t.Error("accepted")
			}
			wantStatus(t, g.ask("cliquify"), http.StatusOK)
		})
	}
}
