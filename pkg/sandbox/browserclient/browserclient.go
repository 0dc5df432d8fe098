// Package browserclient is a client for tests that behaves like a user with a
// browser: it opens an authorization URL of the sandbox, signs in, presses a button,
// and returns the address that the browser would open next. It reads the HTML pages
// and submits their forms.
//
// It never opens the redirect URI: how the service handles that address is for the
// test to check.
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

// maxSteps bounds the number of pages and redirects.
const maxSteps = 10

// The patterns of the sandbox's pages. Hidden inputs have their name before their
// value.
var (
	formOf      = regexp.MustCompile(`(?s)<form id="([a-z-]+)".*?</form>`)
	firstPerson = regexp.MustCompile(`<input type="hidden" name="user" value="([^"]*)"`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	heading     = regexp.MustCompile(`<h1>([^<]*)</h1>`)
)

// Consent opens authorizationURL and signs in as user (an e-mail address; empty is
// the first one on the page), unless the client's cookies are already signed in. It
// then allows or denies, and returns the address to which the server redirects: the
// redirect URI with a code or an error. If the server redirects with an error at
// once, Consent returns that address too.
//
// A nil client is http.DefaultClient. A client without a Jar gets a new one. Errors
// are those of the network, and a page without a button, which the error names by
// its status and heading.
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
	return "", errors.New("consent in the browser: too many pages")
}

// visit is one walk through the pages.
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
		return nil, errors.New("consent in the browser: the authorization URL is not a URL")
	}
	if client == nil {
		client = http.DefaultClient
	}
	browser := *client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if browser.Jar == nil {
		browser.Jar, _ = cookiejar.New(nil) // it fails only for invalid options
	}
	press := "deny"
	if allow {
		press = "allow"
	}
	return &visit{&browser, at.Scheme + "://" + at.Host, at.Query().Get("redirect_uri"), user, press}, nil
}

// isRedirectURI reports whether the address is the redirect URI with parameters. If the
// request has a name for it, it is any address at another server.
func (v *visit) isRedirectURI(address string) bool {
	if v.redirectURI != "" && !strings.Contains(v.redirectURI, "://") {
		return strings.Contains(address, "://") && !strings.HasPrefix(address, v.origin+"/")
	}
	rest, ok := strings.CutPrefix(address, v.redirectURI)
	return ok && v.redirectURI != "" && strings.ContainsAny(rest[:min(1, len(rest))], "?&")
}

// step sends one request and returns the next one.
func (v *visit) step(ctx context.Context, r request) (request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.form.Encode()))
	if err != nil {
		return request{}, err
	}
	if r.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.origin)
	}
	response, err := v.client.Do(req)
	if err != nil {
		return request{}, withoutURL(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return request{}, err
	}
	if response.StatusCode/100 == 3 {
		return v.follow(response)
	}
	return v.fill(r.url, response.StatusCode, string(page))
}

// withoutURL removes the address from an error of the client: it contains the state.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// follow follows a redirect to the same server or to the redirect URI.
func (v *visit) follow(response *http.Response) (request, error) {
	sent := response.Header.Get("Location")
	if v.isRedirectURI(sent) {
		return request{url: sent}, nil // unchanged, byte for byte
	}
	at, err := response.Location()
	if err != nil {
		return request{}, err
	}
	if at.Scheme+"://"+at.Host != v.origin {
		return request{}, fmt.Errorf("the server redirects to %s, which is not the redirect URI", at.Host)
	}
	return request{method: http.MethodGet, url: at.String()}, nil
}

// fill submits the form for the next step.
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
	return request{}, fmt.Errorf("a page without a button: %d, %s", status, headingOf(page))
}

// userOf is the user to sign in as.
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
