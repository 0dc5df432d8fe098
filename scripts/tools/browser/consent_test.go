package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/tools/browser"
)

// TestConsent is what people do at the pages, against the whole service.
func TestConsent(t *testing.T) {
	w := newWorld(t)
	for _, looks := range []struct {
		name string
		browser.Looks
	}{
		{"desktop", browser.Looks{}},
		{"desktop-dark", browser.Looks{Dark: true}},
		{"phone", browser.Looks{Phone: true}},
		{"phone-dark", browser.Looks{Phone: true, Dark: true}},
		{"no-script", browser.Looks{NoScript: true}},
	} {
		t.Run("AZ-25 consent by clicking, "+looks.name, func(t *testing.T) {
			s := w.start(t, looks.name)
			w.completes(t, s, w.visit(t, looks.name, looks.Looks).allows(s))
		})
	}
	for name, story := range map[string]func(*testing.T, *world){
		"AZ-25 consent by keyboard alone":         byKeyboard,
		"AZ-23 another principal cannot complete": byAnotherPrincipal,
		"AZ-28 denial": denial,
		"AZ-21 both sides' buttons pressed twice":                   doubleSubmit,
		"AZ-21 back button after the callback":                      backButton,
		"FI-43 reload of the callback page":                         reload,
		"BI-31 callback address opened in another browser":          otherBrowser,
		"BI-31 provider's page opened by hand, at our own callback": byHand,
		"BI-30 addresses that lead nowhere":                         nowhere,
		"OC-09 consent that ends at another host":                   elsewhere,
		"AZ-25 one who may not allow, and then leaves":              unfit,
	} {
		t.Run(name, func(t *testing.T) { story(t, w) })
	}
}

func byKeyboard(t *testing.T, w *world) {
	s := w.start(t, "keyboard")
	v := w.visit(t, "keyboard", browser.Looks{})
	v.must(v.Open(s.consentURL))
	for _, selector := range []string{continueButton, firstPerson, allowButton} {
		v.must(v.FollowByKeyboard(selector))
	}
	w.completes(t, s, v.code())
}

func byAnotherPrincipal(t *testing.T, w *world) {
	s := w.start(t, "stolen")
	code := w.visit(t, "stolen", browser.Looks{}).allows(s)
	if got := w.complete(t, "local2", s, code); got.Status != 403 {
		t.Errorf("local2 completes: %v", got)
	}
	w.completes(t, s, strings.ToLower(strings.ReplaceAll(code, "-", "")))
}

func denial(t *testing.T, w *world) {
	s := w.start(t, "denied")
	v := w.visit(t, "denied", browser.Looks{})
	v.goes(s)
	v.must(v.Follow(denyButton))
	v.sees("refused", 200, "You did not allow access")
	got := w.complete(t, "local", s, "AAAA-AAAA")
	if provider, _ := got.Body["provider"].(map[string]any); got.Status != 502 || provider["error"] != "access_denied" {
		t.Errorf("complete: %v", got)
	}
	v.must(v.Reload())
	v.sees("refused-reloaded", 410, "This consent is over")
}

// Buttons want one click, and people give two. Both forms arrive, and the answer
// that the browser goes by must be good.
func doubleSubmit(t *testing.T, w *world) {
	s := w.start(t, "doubled")
	v := w.visit(t, "doubled", browser.Looks{})
	v.must(v.Open(s.consentURL))
	v.must(v.ClickTwice(continueButton, firstPerson))
	v.sees("sign-in", 200, "Sign in")
	v.must(v.Follow(firstPerson)) // once: it ends the form's own session
	v.must(v.ClickTwice(allowButton, confirmation))
	v.sees("code", 200, "Hand over this code")
	forms := 0
	for _, r := range v.Requests() {
		if r.Method == "POST" {
			forms++
		}
	}
	if forms != 5 {
		t.Errorf("%d forms were sent, want 2, 1 and 2", forms)
	}
	w.completes(t, s, v.code())
}

// Whoever goes back, and allows once more, spoils nothing.
func backButton(t *testing.T, w *world) {
	s := w.start(t, "back")
	v := w.visit(t, "back", browser.Looks{})
	code := v.allows(s)
	v.must(v.Back())
	v.must(v.Follow(allowButton))
	v.sees("again", 410, "This consent is over")
	v.must(v.Open(s.consentURL))
	v.sees("consent-again", 410, "This consent is over")
	w.completes(t, s, code)
}

func reload(t *testing.T, w *world) {
	s := w.start(t, "reloaded")
	v := w.visit(t, "reloaded", browser.Looks{})
	code := v.allows(s)
	v.must(v.Reload())
	v.sees("reloaded", 410, "This consent is over")
	w.completes(t, s, code)
	v.must(v.Reload())
	v.sees("reloaded-completed", 410, "This consent is over")
}

// The address at which the browser is to end is carried into another one before
// its own has opened it: what an attacker does who gets hold of it.
func otherBrowser(t *testing.T, w *world) {
	s := w.start(t, "carried")
	own, other := w.visit(t, "carried", browser.Looks{}), w.visit(t, "carried-other", browser.Looks{})
	own.goes(s)
	address, err := own.Hold(allowButton, w.run.URL+"/callback/")
	own.must(err)
	w.secrets.query(address)
	other.must(other.Open(address))
	other.sees("other-browser", 400, "This is another browser")
	own.must(own.Open(address))
	own.sees("code", 200, "Hand over this code")
	w.completes(t, s, own.code())
}

func byHand(t *testing.T, w *world) {
	s := w.start(t, "by-hand")
	v := w.visit(t, "by-hand", browser.Looks{})
	v.must(v.Open(s.authorizationURL))
	v.must(v.Follow(firstPerson))
	v.must(v.Follow(allowButton))
	v.sees("by-hand", 400, "Copy the address of this page")
	address, err := v.Address()
	v.must(err)
	if got := w.ask(t, "local", "POST", s.path+"/authorization/complete", map[string]string{"redirect_url": address}); got.Status != 200 {
		t.Errorf("complete: %v", got)
	}
}

func nowhere(t *testing.T, w *world) {
	v := w.visit(t, "nowhere", browser.Looks{Phone: true})
	for _, c := range []struct {
		page, path, heading string
		status              int
	}{
		{"cut-off", "/consent/half", "This page cannot go on", 400},
		{"unknown", "/consent/" + strings.Repeat("a", 32), "This consent is over", 410},
		{"bare-callback", "/callback/" + connection, "This page cannot go on", 400},
		{"markup", "/callback/" + connection + "?error=%3Cscript%3Ealert(1)%3C/script%3E&state=state-of-nobody", "This page cannot go on", 400},
		{"bad-name", "/callback/No_Name?code=code-of-nobody&state=state-of-nobody", "", 400},
	} {
		v.must(v.Open(w.run.URL + c.path))
		v.sees(c.page, c.status, c.heading)
	}
}

// The redirect URI is somebody else's, and every name as long as names get: the
// person is told what will happen, and carries the address over by hand.
func elsewhere(t *testing.T, w *world) {
	const callback = "https://an-application-with-a-long-name.example.com/oauth/callback"
	name := "a" + strings.Repeat("very-", 10) + "long-name"
	scopes := []string{"read", "write", "orders.of.all.customers.read_and_write_without_any_limit", "offline_access"}
	w.declare(t, name, map[string]any{"delegated": true, "redirect_uris": []string{callback}, "require_pkce": true, "scopes": scopes},
		map[string]any{"redirect_uri": callback, "scope": strings.Join(scopes, " ")})
	for _, looks := range []browser.Looks{{Phone: true}, {Dark: true}} {
		s := w.startAt(t, "/connections/"+name)
		v := w.visit(t, fmt.Sprintf("elsewhere-phone-%t", looks.Phone), looks)
		v.elsewhere = callback
		v.must(v.Open(s.consentURL))
		v.sees("consent", 200, "Allow access at")
		v.must(v.Follow(continueButton))
		v.sees("sign-in", 200, "Sign in")
		v.must(v.Follow(firstPerson))
		v.sees("permission", 200, "asks for your permission")
		address, err := v.Hold(allowButton, callback)
		v.must(err)
		w.secrets.query(address)
		if got := w.ask(t, "local", "POST", s.path+"/authorization/complete", map[string]string{"redirect_url": address}); got.Status != 200 {
			t.Errorf("complete: %v", got)
		}
	}
}

// The sandbox plays a provider's pages for a user without the permission.
func unfit(t *testing.T, w *world) {
	s := w.start(t, "unfit")
	v := w.visit(t, "unfit", browser.Looks{Phone: true})
	v.must(v.Open(s.consentURL))
	v.must(v.Follow(continueButton))
	v.must(v.Follow("form.person:nth-of-type(3) button"))
	v.sees("unfit", 200, "You cannot allow this")
	v.must(v.Follow("#log-out button"))
	v.sees("logged-out", 200, "You are logged out")
	v.must(v.Open(s.consentURL))
	v.sees("consent", 200, "Allow access at")
}
