package sandbox_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// surfer is a browser that follows no redirect, so that a test sees each step.
type surfer struct {
	*fixture
	client *http.Client
}

func (g *fixture) surfer() surfer {
	client := g.person()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return surfer{g, client}
}

func (s surfer) send(req *http.Request) reply {
	s.t.Helper()
	response, err := s.client.Do(req)
	must(s.t, err)
	defer response.Body.Close()
	var body strings.Builder
	_ = response.Write(&body)
	return reply{response.StatusCode, response.Header, body.String()}
}

// open opens an address of the sandbox.
func (s surfer) open(at string) reply {
	s.t.Helper()
	return s.send(s.request("GET", strings.TrimPrefix(at, s.url), ""))
}

// press sends the form of the page at an address.
func (s surfer) press(at string, fields ...string) reply {
	s.t.Helper()
	form := changed(url.Values{}, fields)
	return s.send(s.formRequest(strings.TrimPrefix(at, s.url), form))
}

var csrfInput = regexp.MustCompile(`<input type="hidden" name="csrf_token" value="([^"]+)">`)

// csrfToken is the hidden input of the page at an address.
func (s surfer) csrfToken(at string) string {
	s.t.Helper()
	found := csrfInput.FindStringSubmatch(s.open(at).body)
	if found == nil {
		s.t.Fatal("the page has no CSRF token")
	}
	return found[1]
}

// signIn signs a user in and returns the CSRF token of the next page.
func (s surfer) signIn(at, user string) string {
	s.t.Helper()
	wantStatus(s.t, s.press(at, "csrf_token", s.csrfToken(at), "press", "sign-in", "user", user), http.StatusSeeOther)
	return s.csrfToken(at)
}

// signedIn signs Ada in and returns the session cookie.
func (s surfer) signedIn(at string) string {
	s.t.Helper()
	got := s.press(at, "csrf_token", s.csrfToken(at), "press", "sign-in", "user", "ada@studio.example")
	wantStatus(s.t, got, http.StatusSeeOther)
	return got.header.Get("Set-Cookie")
}

// cookieOf is a Set-Cookie as a browser sends it back.
func cookieOf(set string) string { return strings.Split(set, ";")[0] }

// show is the page at an address with the cookie.
func (g *fixture) show(at, set string) string {
	g.t.Helper()
	return g.send(g.request("GET", strings.TrimPrefix(at, g.url), "", "Cookie", cookieOf(set))).body
}

// queryOf is the query of the redirect to the redirect URI.
func queryOf(t *testing.T, got reply) url.Values {
	t.Helper()
	wantStatus(t, got, http.StatusSeeOther)
	query, ok := strings.CutPrefix(got.header.Get("Location"), callback+"?")
	if !ok {
		t.Fatalf("leads to %q", got.header.Get("Location"))
	}
	v, err := url.ParseQuery(query)
	must(t, err)
	return v
}

func TestTheUserDecides(t *testing.T) {
	t.Run("OC-02 No, Deny", func(t *testing.T) {
		g := newUserFixture(t)
		got := g.consents(g.authorizationURL(), "ada@studio.example", false)
		if got.Get("error") != "access_denied" || got.Has("code") || got.Get("state") != "s1" {
			t.Errorf("response %v", got)
		}
	})
	t.Run("doc any e-mail address signs in", func(t *testing.T) {
		g := newUserFixture(t)
		token := pairOf(t, g.exchange(g.consents(g.authorizationURL(), "Zoë@elsewhere.example", true).Get("code")))
		if got := g.access("creative-force", token.access).json(t)["on_behalf_of"]; got != "Zoë@elsewhere.example" {
			t.Errorf("acts for %v", got)
		}
	})
	t.Run("doc a user without Developer API permissions can only go back", func(t *testing.T) {
		g := newUserFixture(t)
		s := g.surfer()
		token := s.signIn(g.authorizationURL(), "freelancer@studio.example")
		if page := s.open(g.authorizationURL()).body; !strings.Contains(page, "Developer API permissions") || strings.Contains(page, `value="allow"`) {
			t.Errorf("page %s", page)
		}
		wantStatus(t, s.press(g.authorizationURL(), "csrf_token", token, "press", "allow"), http.StatusBadRequest)
		if got := queryOf(t, s.press(g.authorizationURL(), "csrf_token", token, "press", "deny")); got.Get("error") != "access_denied" {
			t.Errorf("response %v", got)
		}
	})
	t.Run("doc a signed-in user is asked for consent at once", func(t *testing.T) {
		g := newUserFixture(t)
		browser := g.person()
		for _, user := range []string{"ada@studio.example", "another.user@studio.example"} {
			redirect, err := browserclient.Consent(t.Context(), browser, g.authorizationURL(), user, true)
			must(t, err)
			u, _ := url.Parse(redirect)
			token := pairOf(t, g.exchange(u.Query().Get("code")))
			if got := g.access("creative-force", token.access).json(t)["on_behalf_of"]; got != "ada@studio.example" {
				t.Errorf("acts for %v", got)
			}
		}
		g.advance(12 * time.Hour)
		if page := (surfer{g, browser}).open(g.authorizationURL()).body; !strings.Contains(page, "<h1>Sign in</h1>") {
			t.Error("still signed in after twelve hours")
		}
	})
	for _, user := range []string{"", "ada", "@studio.example", "a@b@c", "a@b c", "a@b\n", "<a@b>", strings.Repeat("a", 250) + "@b.cd"} {
		t.Run("doc not an e-mail address: "+user[:min(8, len(user))], func(t *testing.T) {
			s := newUserFixture(t).surfer()
			at := s.authorizationURL()
			wantStatus(t, s.press(at, "csrf_token", s.csrfToken(at), "press", "sign-in", "user", user), http.StatusBadRequest)
			if !strings.Contains(s.open(at).body, "<h1>Sign in</h1>") {
				t.Error("signed in")
			}
		})
	}
}

func TestLogOutBeforeConsent(t *testing.T) {
	logOut := func(t *testing.T, g *fixture) reply {
		s := g.surfer()
		session := s.signedIn(g.authorizationURL())
		got := s.press(g.authorizationURL(), "csrf_token", s.csrfToken(g.authorizationURL()), "press", "log-out")
		if !strings.Contains(g.show(g.authorizationURL(), session), "<h1>Sign in</h1>") {
			t.Error("the session successorHeld the log-out")
		}
		if !strings.Contains(s.open(g.authorizationURL()).body, "<h1>Sign in</h1>") {
			t.Error("still signed in")
		}
		return got
	}
	t.Run("doc to the Post Logout Redirect URI", func(t *testing.T) {
		g := newUserFixture(t)
		must(t, g.SetPostLogoutRedirectURI(delegatedApp, "https://app.example/bye"))
		got := logOut(t, g)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != "https://app.example/bye" {
			t.Errorf("%d to %q", got.status, got.header.Get("Location"))
		}
	})
	t.Run("doc it is not mandatory", func(t *testing.T) {
		got := logOut(t, newUserFixture(t))
		wantStatus(t, got, http.StatusOK)
		if !strings.Contains(got.body, "You are logged out") {
			t.Errorf("page %s", got.body)
		}
	})
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	g := newUserFixture(t)
	at := g.authorizationURL()
	ada, mallory := g.surfer(), g.surfer()
	token, foreign := ada.signIn(at, "ada@studio.example"), mallory.signIn(at, "mallory@studio.example")
	for name, fields := range map[string][]string{
		"no CSRF token": {"press", "allow"}, "an empty CSRF token": {"press", "allow", "csrf_token", ""}, "another browser's CSRF token": {"press", "allow", "csrf_token", foreign},
	} {
		t.Run("doc refused: "+name, func(t *testing.T) {
			wantStatus(t, ada.press(at, fields...), http.StatusForbidden)
		})
	}
	t.Run("doc refused: the CSRF token without its session", func(t *testing.T) {
		wantStatus(t, g.surfer().press(at, "press", "allow", "csrf_token", token), http.StatusForbidden)
	})
	t.Run("doc refused: an unknown button", func(t *testing.T) {
		wantStatus(t, ada.press(at, "press", "explode", "csrf_token", token), http.StatusBadRequest)
	})
	for _, button := range []string{"allow", "deny"} {
		t.Run("doc refused: before signing in, "+button, func(t *testing.T) {
			s := g.surfer()
			wantStatus(t, s.press(at, "press", button, "csrf_token", s.csrfToken(at)), http.StatusBadRequest)
		})
	}
	t.Run("doc refused: an invalid form", func(t *testing.T) {
		wantStatus(t, ada.send(g.request("POST", strings.TrimPrefix(at, g.url), "%zz")), http.StatusBadRequest)
	})
	t.Run("doc refused: another server's session", func(t *testing.T) {
		must(t, g.Register(sandbox.Client{Connection: "app", Delegated: true, RedirectURIs: []string{callback}}))
		d := g.declared("app")
		elsewhere := d["authorization_url"] + "?" + url.Values{"client_id": {d["client_id"]}, "redirect_uri": {callback}, "response_type": {"code"}}.Encode()
		if !strings.Contains(ada.open(elsewhere).body, "<h1>Sign in</h1>") {
			t.Error("signed in at the other server too")
		}
		s := g.surfer()
		session := s.signedIn(at)
		if !strings.Contains(session, "; Path=/creative-force/;") {
			t.Errorf("the cookie goes elsewhere too: %s", session)
		}
		if !strings.Contains(g.show(elsewhere, session), "<h1>Sign in</h1>") {
			t.Error("the other server believes the session")
		}
	})
	t.Run("doc signing in changes the session id", func(t *testing.T) {
		s := g.surfer()
		first := s.open(at)
		planted := first.header.Get("Set-Cookie")
		token := csrfInput.FindStringSubmatch(first.body)[1]
		got := s.press(at, "press", "sign-in", "user", "ada@studio.example", "csrf_token", token)
		after := got.header.Get("Set-Cookie")
		if planted == "" || after == "" || planted == after || !strings.Contains(after, "HttpOnly") || !strings.Contains(after, "SameSite=Lax") {
			t.Errorf("cookies %q and %q", planted, after)
		}
		if !strings.Contains(g.show(at, planted), "<h1>Sign in</h1>") {
			t.Error("the planted identity is signed in")
		}
		again := g.formRequest(strings.TrimPrefix(at, g.url), url.Values{"press": {"sign-in"}, "user": {"x@y.example"}, "csrf_token": {token}}, "Cookie", cookieOf(planted))
		wantStatus(t, g.send(again), http.StatusForbidden)
	})
}

func TestPagesAreSafeToShow(t *testing.T) {
	g := newUserFixture(t)
	s := g.surfer()
	at := g.authorizationURL("state", `"><script>alert(1)</script>`)
	signIn := s.open(at)
	s.signIn(at, "ada@studio.example")
	consent := s.open(at)
	problem := s.open(g.authorizationURL("client_id", `"><script>`))
	for name, got := range map[string]reply{"sign-in": signIn, "consent": consent, "problem": problem} {
		t.Run("doc "+name, func(t *testing.T) {
			if strings.Contains(got.body, "<script") || strings.Contains(got.body, "http://") || strings.Contains(got.body, "https://") {
				t.Error("the page holds a script or an address")
			}
			css := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(got.body)[1]
			digest := sha256.Sum256([]byte(css))
			policy := got.header.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"} {
				if !strings.Contains(policy, want) {
					t.Errorf("policy %q lacks %s", policy, want)
				}
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("headers %v", got.header)
			}
			if !strings.Contains(got.body, "imitates Creative Force") {
				t.Error("the page does not say that this is a test server")
			}
		})
	}
	t.Run("doc the consent page shows the request", func(t *testing.T) {
		for _, want := range []string{delegatedApp, "cfgateway", "offline_access", "Yes, Allow", "No, Deny", "Log out", "ada@studio.example"} {
			if !strings.Contains(html.UnescapeString(consent.body), want) {
				t.Errorf("lacks %q", want)
			}
		}
	})
}
