package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
)

const delegated = cloud.Delegated

// The marks of our pages, which scripts may rely on.
var (
	consentForm = regexp.MustCompile(`(?s)<form id="consent".*?</form>`)
	formAction  = regexp.MustCompile(`action="([^"]*)"`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	confirmCode = regexp.MustCompile(`id="confirmation-code"[^>]*>([^<]*)<`)
)

// consented is the whole life of a grant, as the operator who starts it, the
// user with a browser, and the workload that wants tokens see it.
func (s Stack) consented(ctx context.Context) error {
	root := "/connections/" + delegated
	if _, err := s.API.expect(ctx, http.StatusConflict, "authorization_required", http.MethodGet, tokenOf(delegated), ""); err != nil {
		return err
	}
	session, err := s.API.expect(ctx, http.StatusCreated, "", http.MethodPost, root+"/authorization", "")
	if err != nil {
		return err
	}
	code, err := browse(ctx, session.PageURL)
	if err != nil {
		return fmt.Errorf("consent in the browser: %w", err)
	}
	a, err := s.API.expect(ctx, http.StatusOK, "", http.MethodPost, root+"/authorization/complete",
		fmt.Sprintf(`{"session_id":%q,"confirmation_code":%q}`, session.SessionID, code))
	if err == nil && a.State != "ready" {
		err = fmt.Errorf("after consent the state is %q", a.State)
	}
	if err != nil {
		return err
	}
	if err := s.refreshed(ctx); err != nil {
		return err
	}
	return s.disconnected(ctx)
}

// disconnected ends the grant. A function that has the token in memory may serve
// it some seconds longer; a caller to whom the resource server refused it is
// told the truth at once.
func (s Stack) disconnected(ctx context.Context) error {
	last, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(delegated), "")
	if err != nil {
		return err
	}
	if _, err := s.API.expect(ctx, http.StatusNoContent, "", http.MethodDelete, "/connections/"+delegated+"/authorization", ""); err != nil {
		return err
	}
	_, err = s.API.expect(ctx, http.StatusConflict, "authorization_required", http.MethodPost, tokenOf(delegated),
		`{"rejected_token_id":"`+last.TokenID+`"}`)
	return err
}

// refreshed forgets the access token, so that the next vend spends the refresh
// token, and then has the renewer do the same because of a changed secret.
func (s Stack) refreshed(ctx context.Context) error {
	err := s.replaced(ctx, delegated, func() error {
		_, err := s.API.expect(ctx, http.StatusNoContent, "", http.MethodDelete, tokenOf(delegated), "")
		return err
	})
	if err != nil {
		return fmt.Errorf("refresh by a vend: %w", err)
	}
	err = s.replaced(ctx, delegated, func() error {
		text := string(s.Cloud.Provider.Connections()[delegated])
		end := strings.LastIndexByte(text, '}')
		if err := s.Cloud.PutSecret(ctx, delegated, text[:end]+`,"default_expires_in":299}`); err != nil {
			return err
		}
		_, err := s.renew(ctx, secretChanged(delegated))
		return err
	})
	if err != nil {
		return fmt.Errorf("refresh by the renewer: %w", err)
	}
	return nil
}

// browse is the user: reads our page, continues, consents at the provider, comes
// back, and reads the confirmation code.
func browse(ctx context.Context, page string) (code string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	text, _, err := open(ctx, browser, http.MethodGet, page, nil, http.StatusOK)
	if err != nil {
		return "", err
	}
	action, inputs, err := form(page, text)
	if err != nil {
		return "", err
	}
	_, provider, err := open(ctx, browser, http.MethodPost, action, inputs, http.StatusSeeOther, http.StatusFound)
	if err != nil {
		return "", err
	}
	back, err := browserclient.Consent(ctx, &http.Client{}, provider, "", true)
	if err != nil {
		return "", err
	}
	if text, _, err = open(ctx, browser, http.MethodGet, back, nil, http.StatusOK); err != nil {
		return "", err
	}
	shown := confirmCode.FindStringSubmatch(text)
	if shown == nil {
		return "", errors.New("the callback page shows no confirmation code")
	}
	return strings.TrimSpace(shown[1]), nil
}

// form reads where the consent page's form leads, and what it sends.
func form(page, text string) (action string, inputs url.Values, err error) {
	found := consentForm.FindString(text)
	if found == "" {
		return "", nil, errors.New("the consent page has no form")
	}
	to, err := url.Parse(page)
	if err != nil {
		return "", nil, fmt.Errorf("address of the consent page: %w", err)
	}
	if named := formAction.FindStringSubmatch(found); named != nil {
		if to, err = to.Parse(named[1]); err != nil {
			return "", nil, fmt.Errorf("action of the form: %w", err)
		}
	}
	inputs = url.Values{}
	for _, input := range hiddenInput.FindAllStringSubmatch(found, -1) {
		inputs.Add(input[1], input[2])
	}
	return to.String(), inputs, nil
}

// maxPage is the largest page that is read, in bytes.
const maxPage = 1 << 20

// open asks for a page as a browser would, and wants one of the statuses. It
// returns the page and where a redirect leads. No error tells the address: it
// may hold a code.
func open(ctx context.Context, browser *http.Client, method, address string, inputs url.Values, want ...int) (text, location string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(inputs.Encode()))
	if err != nil {
		return "", "", errors.New("the address cannot be opened")
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := browser.Do(r)
	if err != nil {
		return "", "", fmt.Errorf("%s: no answer: %w", r.URL.Path, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", r.URL.Path, err)
	}
	for _, status := range want {
		if answer.StatusCode == status {
			return string(body), answer.Header.Get("Location"), nil
		}
	}
	return "", "", fmt.Errorf("%s of a page answered %d, want %v", method, answer.StatusCode, want)
}
