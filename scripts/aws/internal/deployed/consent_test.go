package deployed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// delegated is the sandbox's connection that users consent to.
const delegated = "creative-force-user"

var (
	inputValue = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	shownCode  = regexp.MustCompile(`id="confirmation-code"[^>]*>([^<]*)<`)
)

// consent starts and completes a consent of a subject, with a user in a browser.
func (d *deployment) consent(ctx context.Context, by aws.Credentials, subject string) error {
	if err := provider().SetRedirectURIs(delegated, d.URL()+"/callback/"+delegated); err != nil {
		return err
	}
	path := "/connections/" + delegated + "/subjects/" + subject + "/authorization"
	started, err := d.signed(ctx, by, http.MethodPost, path, "")
	if err != nil || started.status != http.StatusCreated {
		return errors.Join(fmt.Errorf("start a consent: %s", started), err)
	}
	var session struct {
		ID  string `json:"session_id"`
		URL string `json:"consent_url"`
	}
	if err := json.Unmarshal(started.body, &session); err != nil {
		return err
	}
	code, err := d.browse(ctx, session.URL)
	if err != nil {
		return fmt.Errorf("browse: %w", err)
	}
	completed, err := d.signed(ctx, by, http.MethodPost, path+"/complete", string(encode(document{"session_id": session.ID, "confirmation_code": code})))
	if err != nil || completed.status != http.StatusOK {
		return errors.Join(fmt.Errorf("complete the consent: %s", completed), err)
	}
	return nil
}

// browse is a user, who allows. It returns the confirmation code of the last page.
func (d *deployment) browse(ctx context.Context, page string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := *d.e.client
	browser.Jar = jar
	text, _, err := read(browser.Get(page))
	if err != nil {
		return "", err
	}
	form := url.Values{}
	for _, input := range inputValue.FindAllStringSubmatch(text, -1) {
		form.Set(input[1], input[2])
	}
	_, login, err := read(browser.PostForm(page, form))
	if err != nil {
		return "", err
	}
	back, err := browserclient.Consent(ctx, &http.Client{}, login, "", true)
	if err != nil {
		return "", err
	}
	text, _, err = read(browser.Get(back))
	if shown := shownCode.FindStringSubmatch(text); shown != nil {
		return shown[1], nil
	}
	return "", errors.Join(errors.New("no code is shown"), err)
}

// read returns a page and where it redirects to. An error page is an error.
func read(answer *http.Response, err error) (text, location string, _ error) {
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("status %d", answer.StatusCode)
	}
	return string(page), answer.Header.Get("Location"), err
}

// TestConsent_AZ20_AZ23_throughTheStack is a whole consent, then a token of it for a
// caller who may call that path alone.
func TestConsent_AZ20_AZ23_throughTheStack(t *testing.T) {
	d := shared(t)
	path := "/connections/" + delegated + "/subjects/grace"
	operator := d.e.newCaller(t, "operator", d.statement("POST", path+"/authorization"), d.statement("POST", path+"/authorization/complete"))
	if err := d.consent(t.Context(), operator, "grace"); err != nil {
		t.Fatal(err)
	}
	caller := d.e.newCaller(t, "caller-of-grace", d.statement("GET", path+"/token"))
	if got, err := d.signed(t.Context(), caller, http.MethodGet, path+"/token", ""); err != nil || got.token() == "" {
		t.Errorf("the token after the consent: %s, %v", got, err)
	}
	if got, err := d.signed(t.Context(), operator, http.MethodGet, path+"/token", ""); err != nil || !got.byIAM() {
		t.Errorf("AZ-31 a token for who may only start a consent: %s, %v", got, err)
	}
}
