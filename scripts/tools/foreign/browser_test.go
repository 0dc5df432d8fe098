package foreign_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browserClient is a user with a browser that runs no scripts.
type browserClient struct {
	*testing.T
	client *http.Client
	// stop is the prefix of an address that is not opened.
	stop string
	// at is where the browser is, page what it shows.
	at   *url.URL
	page string
}

func newBrowserClient(t *testing.T, stop string) *browserClient {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &browserClient{T: t, stop: stop}
	v.client = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if v.stop != "" && strings.HasPrefix(r.URL.String(), v.stop) {
			v.at = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return v
}

var (
	formTag     = regexp.MustCompile(`(?s)<form[^>]*>.*</form>`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	codeElement = regexp.MustCompile(`id="confirmation-code">([^<]*)<`)
)

func (v *browserClient) open(address string) { v.send(http.MethodGet, address, nil) }

// press sends the page's form, with the filled and the hidden fields.
func (v *browserClient) press(filled url.Values) {
	v.Helper()
	form := formTag.FindString(v.page)
	if form == "" {
		v.Fatalf("%s has no form: %s", v.at.Path, v.page)
	}
	for _, input := range hiddenInput.FindAllStringSubmatch(form, -1) {
		filled.Set(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	v.send(http.MethodPost, v.at.String(), filled)
}

func (v *browserClient) send(method, address string, form url.Values) {
	v.Helper()
	request, err := http.NewRequestWithContext(v.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		v.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := v.client.Do(request)
	if err != nil {
		v.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.Fatal(err)
	}
	v.page = string(text)
	if response.StatusCode/100 != 3 { // not stopped
		v.at = response.Request.URL
	}
}

// decides signs in at the foreign server and presses a button.
func (v *browserClient) decides(button string) {
	v.Helper()
	v.press(url.Values{"login": {"ada@studio.example"}})
	v.press(url.Values{"press": {button}})
}

// code returns the confirmation code that the page shows.
func (v *browserClient) code() string {
	v.Helper()
	found := codeElement.FindStringSubmatch(v.page)
	if found == nil {
		v.Fatalf("the page shows no code: %s", v.page)
	}
	return found[1]
}
