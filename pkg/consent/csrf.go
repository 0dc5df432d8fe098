package consent

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/pkg/seal"
)

// csrfPurpose is associated data of CSRF tokens.
const csrfPurpose = "consent form"

// newCSRF returns a CSRF token: the encrypted time until which the session's form
// is valid. It needs no cookie, because only the page contains it.
func (f *FrontChannel) newCSRF(ctx context.Context, key string, until time.Time) (string, error) {
	sealed, err := f.sealer.Seal(ctx, strconv.AppendInt(nil, until.Unix(), 10), csrfPurpose, key)
	if err != nil {
		return "", keysetUnavailable(err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (f *FrontChannel) checkCSRF(ctx context.Context, key, csrf string) error {
	sealed, err := base64.RawURLEncoding.DecodeString(csrf)
	if err != nil {
		return invalidForm()
	}
	text, err := f.sealer.Open(ctx, sealed, csrfPurpose, key)
	if err != nil && !errors.Is(err, seal.ErrCorrupt) {
		return keysetUnavailable(err)
	}
	until, parseErr := strconv.ParseInt(string(text), 10, 64)
	if err != nil || parseErr != nil || f.now().Unix() >= until {
		return invalidForm()
	}
	return nil
}

func invalidForm() error {
	return invalidRequest("this form is invalid or too old; open the consent page again and continue from there")
}

// checkOrigin refuses a form that another site's page sent. A page with
// Referrer-Policy no-referrer, as the consent page has, sends its forms with
// Origin "null" (Fetch, "append a request Origin header"), so null proves nothing.
func (p startParams) checkOrigin(c ContinueRequest) error {
	foreign := c.FetchSite != "" && c.FetchSite != "same-origin"
	if c.Origin != "" && c.Origin != "null" && c.Origin != parseOrigin(p.BaseURL) {
		foreign = true
	}
	if foreign {
		return invalidRequest("this form was sent by a page of another site; open the consent page itself and continue from there")
	}
	return nil
}
