package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/tools/browser"
)

// TestConsent runs what users do at the pages, against the whole service.
func TestConsent(t *testing.T) {
	e := newEnv(t)
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
			s := e.start(t, looks.name)
			e.expectCompletion(t, s, e.open(t, looks.name, looks.Looks).allow(s))
		})
	}
	for name, run := range map[string]func(*testing.T, *env){
		"AZ-25 consent by keyboard alone":         byKeyboard,
		"AZ-23 another principal cannot complete": byAnotherPrincipal,
		"AZ-28 denial": denial,
		"AZ-21 both sides' buttons pressed twice":                            doubleSubmit,
		"AZ-21 back button after the callback":                               backButton,
		"FI-43 reload of the callback page":                                  reload,
		"BI-31 callback address opened in another browser":                   otherBrowser,
		"BI-31 provider's page opened directly, with the service's callback": manual,
		"BI-30 invalid addresses":                                            invalidAddresses,
		"OC-09 consent that ends at another host":                            otherHost,
		"AZ-25 a user without permission, who logs out":                      withoutPermission,
	} {
		t.Run(name, func(t *testing.T) { run(t, e) })
	}
}

func byKeyboard(t *testing.T, e *env) {
	s := e.start(t, "keyboard")
	v := e.open(t, "keyboard", browser.Looks{})
	v.must(v.Open(s.consentURL))
	for _, selector := range []string{continueButton, firstPerson, allowButton} {
		v.must(v.FollowByKeyboard(selector))
	}
	e.expectCompletion(t, s, v.code())
}

func byAnotherPrincipal(t *testing.T, e *env) {
	s := e.start(t, "stolen")
	code := e.open(t, "stolen", browser.Looks{}).allow(s)
	if got := e.complete(t, "local2", s, code); got.Status != 403 {
		t.Errorf("local2 completes: %v", got)
	}
	e.expectCompletion(t, s, strings.ToLower(strings.ReplaceAll(code, "-", "")))
}

func denial(t *testing.T, e *env) {
	s := e.start(t, "denied")
	v := e.open(t, "denied", browser.Looks{})
	v.openPermission(s)
	v.must(v.Follow(denyButton))
	v.expectPage("refused", 200, "You did not allow access")
	got := e.complete(t, "local", s, "AAAA-AAAA")
	if provider, _ := got.Body["provider"].(map[string]any); got.Status != 502 || provider["error"] != "access_denied" {
		t.Errorf("complete: %v", got)
	}
	v.must(v.Reload())
	v.expectPage("refused-reloaded", 410, "This consent is over")
}

// A double click sends a form twice. The answer that the browser shows must be good.
func doubleSubmit(t *testing.T, e *env) {
	s := e.start(t, "doubled")
	v := e.open(t, "doubled", browser.Looks{})
	v.must(v.Open(s.consentURL))
	v.must(v.ClickTwice(continueButton, firstPerson))
	v.expectPage("sign-in", 200, "Sign in")
	v.must(v.Follow(firstPerson)) // once: it ends the form's own session
	v.must(v.ClickTwice(allowButton, confirmation))
	v.expectPage("code", 200, "Hand over this code")
	forms := 0
	for _, r := range v.Requests() {
		if r.Method == "POST" {
			forms++
		}
	}
	if forms != 5 {
		t.Errorf("%d forms were sent, want 2, 1 and 2", forms)
	}
	e.expectCompletion(t, s, v.code())
}

// Going back and allowing again must not break the consent.
func backButton(t *testing.T, e *env) {
	s := e.start(t, "back")
	v := e.open(t, "back", browser.Looks{})
	code := v.allow(s)
	v.must(v.Back())
	v.must(v.Follow(allowButton))
	v.expectPage("again", 410, "This consent is over")
	v.must(v.Open(s.consentURL))
	v.expectPage("consent-again", 410, "This consent is over")
	e.expectCompletion(t, s, code)
}

func reload(t *testing.T, e *env) {
	s := e.start(t, "reloaded")
	v := e.open(t, "reloaded", browser.Looks{})
	code := v.allow(s)
	v.must(v.Reload())
	v.expectPage("reloaded", 410, "This consent is over")
	e.expectCompletion(t, s, code)
	v.must(v.Reload())
	v.expectPage("reloaded-completed", 410, "This consent is over")
}

// An attacker opens the callback's address in another browser first.
func otherBrowser(t *testing.T, e *env) {
	s := e.start(t, "carried")
	own, other := e.open(t, "carried", browser.Looks{}), e.open(t, "carried-other", browser.Looks{})
	own.openPermission(s)
	address, err := own.Hold(allowButton, e.run.URL+"/callback/")
	own.must(err)
	e.secrets.query(address)
	other.must(other.Open(address))
	other.expectPage("other-browser", 400, "This is another browser")
	own.must(own.Open(address))
	own.expectPage("code", 200, "Hand over this code")
	e.expectCompletion(t, s, own.code())
}

func manual(t *testing.T, e *env) {
	s := e.start(t, "by-hand")
	v := e.open(t, "by-hand", browser.Looks{})
	v.must(v.Open(s.authorizationURL))
	v.must(v.Follow(firstPerson))
	v.must(v.Follow(allowButton))
	v.expectPage("by-hand", 400, "Copy the address of this page")
	address, err := v.Address()
	v.must(err)
	if got := e.ask(t, "local", "POST", s.path+"/authorization/complete", map[string]string{"redirect_url": address}); got.Status != 200 {
		t.Errorf("complete: %v", got)
	}
}

func invalidAddresses(t *testing.T, e *env) {
	v := e.open(t, "invalid", browser.Looks{Phone: true})
	for _, c := range []struct {
		page, path, heading string
		status              int
	}{
		{"cut-off", "/consent/half", "This page cannot go on", 400},
		{"unknown", "/consent/" + strings.Repeat("a", 32), "This consent is over", 410},
		{"bare-callback", "/callback/" + connection, "This page cannot go on", 400},
		{"markup", "/callback/" + connection + "?error=%3Cscript%3Ealert(1)%3C/script%3E&state=unknown-state", "This page cannot go on", 400},
		{"bad-name", "/callback/No_Name?code=unknown-code&state=unknown-state", "", 400},
	} {
		v.must(v.Open(e.run.URL + c.path))
		v.expectPage(c.page, c.status, c.heading)
	}
}

// The redirect URI belongs to another application, and every name is as long as
// allowed. The user copies the address by hand.
func otherHost(t *testing.T, e *env) {
	const callback = "https://an-application-with-a-long-name.example.com/oauth/callback"
	name := "a" + strings.Repeat("very-", 10) + "long-name"
	scopes := []string{"read", "write", "orders.of.all.customers.read_and_write_without_any_limit", "offline_access"}
	e.declare(t, name, map[string]any{"delegated": true, "redirect_uris": []string{callback}, "require_pkce": true, "scopes": scopes},
		map[string]any{"redirect_uri": callback, "scope": strings.Join(scopes, " ")})
	for _, looks := range []browser.Looks{{Phone: true}, {Dark: true}} {
		s := e.startAt(t, "/connections/"+name)
		v := e.open(t, fmt.Sprintf("elsewhere-phone-%t", looks.Phone), looks)
		v.elsewhere = callback
		v.must(v.Open(s.consentURL))
		v.expectPage("consent", 200, "Allow access at")
		v.must(v.Follow(continueButton))
		v.expectPage("sign-in", 200, "Sign in")
		v.must(v.Follow(firstPerson))
		v.expectPage("permission", 200, "asks for your permission")
		address, err := v.Hold(allowButton, callback)
		v.must(err)
		e.secrets.query(address)
		if got := e.ask(t, "local", "POST", s.path+"/authorization/complete", map[string]string{"redirect_url": address}); got.Status != 200 {
			t.Errorf("complete: %v", got)
		}
	}
}

// The sandbox shows a provider's pages for a user without the permission.
func withoutPermission(t *testing.T, e *env) {
	s := e.start(t, "unfit")
	v := e.open(t, "unfit", browser.Looks{Phone: true})
	v.must(v.Open(s.consentURL))
	v.must(v.Follow(continueButton))
	v.must(v.Follow("form.person:nth-of-type(3) button"))
	v.expectPage("unfit", 200, "You cannot allow this")
	v.must(v.Follow("#log-out button"))
	v.expectPage("logged-out", 200, "You are logged out")
	v.must(v.Open(s.consentURL))
	v.expectPage("consent", 200, "Allow access at")
}
