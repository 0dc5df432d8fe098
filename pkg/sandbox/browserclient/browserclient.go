// Package visitor is a person with a browser, for tests: it opens an
// authorization URL of the sandbox, signs in, presses a button, and comes back
// with the address that the browser would open next. It reads the pages that a
// person reads, forms and all, so that what it can do a browser can do too.
//
// It never opens the redirect URI: what the service makes of the address is
// what a test wants to see for itself.
package browserclient

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// maxSteps bounds how many pages and redirects a visit may take.
const maxSteps = 10

// The marks of the sandbox's pages. Hidden inputs have their name before
// their value there.
var (
	formOf      = regexp.MustCompile(`(?s)<form id="([a-z-]+)".*?</form>`)
	firstPerson = regexp.MustCompile(`<input type="hidden" name="user" value="([^"]*)"`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	heading     = regexp.MustCompile(`<h1>([^<]*)</h1>`)
)

// Consent opens authorizationURL, signs in as user (an e-mail address; empty
// is the first that the page offers) unless the client's cookies are signed in
// already, allows or denies, and returns the address that the server then
// sends the browser to: the redirect URI with a code, or with an error. An
// authorization request that the server answers with an error at the redirect
// URI straight away returns that address too.
//
// A nil client is http.DefaultClient. A client without a Jar gets a fresh one
// for this visit. Errors are those of the network, and a page that offers
// nothing to press: it is then named by its status and heading.
func Consent(ctx context.Context, client *http.Client, authorizationURL string, user string, allow bool) (redirect string, err error) {
	v, err := newVisit(client, authorizationURL, user, allow)
	if err != nil {
		return "", err
	}
	next := request{method: http.MethodGet, url: authorizationURL}
	for range maxSteps {
		next, err = v.step(ctx, next)
		if err != nil {
			return "", fmt.Errorf("consent in the browser: %w", err)
		}
		if v.isRedirectURI(next.url) {
			return next.url, nil
		}
	}
	return "", errors.New("consent in the browser: the pages go in circles")
}

// visit is one way through the pages.
type visit struct {
	client      *http.Client
	origin      string
	redirectURI string
	user, press string
}

// request is what the browser sends next.
type request struct {
	method, url string
	form        url.Values
}

func newVisit(client *http.Client, authorizationURL, user string, allow bool) (*visit, error) {
	at, err := url.Parse(authorizationURL)
	if err != nil {
		return nil, errors.New("consent in the browser: the authorization URL is no URL")
	}
	if client == nil {
		client = http.DefaultClient
	}
	browser := *client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if browser.Jar == nil {
		browser.Jar, _ = cookiejar.New(nil) // it fails for bad options only
	}
	press := "deny"
	if allow {
		press = "allow"
	}
	return &visit{&browser, at.Scheme + "://" + at.Host, at.Query().Get("redirect_uri"), user, press}, nil
}

// isRedirectURI reports whether the address is the service's, parameters apart.
func (v *visit) isRedirectURI(address string) bool {
	rest, ok := strings.CutPrefix(address, v.redirectURI)
	return ok && v.redirectURI != "" && strings.ContainsAny(rest[:min(1, len(rest))], "?&")
}

// step sends one request and reads from the answer what comes next.
func (v *visit) step(ctx context.Context, r request) (request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.form.Encode()))
	if err != nil {
		return request{}, err
	}
	if r.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.origin)
	}
	answer, err := v.client.Do(req)
	if err != nil {
		return request{}, withoutURL(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return request{}, err
	}
	if answer.StatusCode/100 == 3 {
		return v.follow(answer)
	}
	return v.fill(r.url, answer.StatusCode, string(page))
}

// withoutURL takes the address out of a client's error: it holds the state.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// follow goes where the server sends the browser, if that is itself or the
// redirect URI.
func (v *visit) follow(answer *http.Response) (request, error) {
	sent := answer.Header.Get("Location")
	if v.isRedirectURI(sent) {
		return request{url: sent}, nil // as it was sent, byte for byte
	}
	at, err := answer.Location()
	if err != nil {
		return request{}, err
	}
	if at.Scheme+"://"+at.Host != v.origin {
		return request{}, fmt.Errorf("the server sends the browser to %s, which is not the redirect URI", at.Host)
	}
	return request{method: http.MethodGet, url: at.String()}, nil
}

// fill presses the button that moves the visit on.
func (v *visit) fill(at string, status int, page string) (request, error) {
	for _, found := range formOf.FindAllStringSubmatch(page, -1) {
		press := map[string]string{"sign-in": "sign-in", "consent": v.press}[found[1]]
		if press == "" {
			continue
		}
		form := url.Values{"press": {press}}
		for _, input := range hiddenInput.FindAllStringSubmatch(found[0], -1) {
			form.Set(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
		}
		if press == "sign-in" {
			form.Set("user", v.userOf(page))
		}
		return request{http.MethodPost, at, form}, nil
	}
	return request{}, fmt.Errorf("a page with nothing to press: %d, %s", status, headingOf(page))
}

// userOf is who signs in.
func (v *visit) userOf(page string) string {
	first := firstPerson.FindStringSubmatch(page)
	if v.user != "" || first == nil {
		return v.user
	}
	return html.UnescapeString(first[1])
}

func headingOf(page string) string {
	h := heading.FindStringSubmatch(page)
	if h == nil {
		return "no heading"
	}
	return html.UnescapeString(h[1])
}
