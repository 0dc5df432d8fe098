package consent

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/seal"
)

// Show returns what the consent page of a session shows. It changes nothing.
func (d *FrontChannel) Show(ctx context.Context, sessionID string) (Page, error) {
	key, err := keyOfID(sessionID)
	if err != nil {
		return Page{}, err
	}
	r, err := d.book.open(ctx, key)
	if err != nil {
		return Page{}, err
	}
	r.Origin.report(ctx)
	if err := r.awaiting(d.now()); err != nil {
		return Page{}, err
	}
	csrf, err := d.newCSRF(ctx, key, r.deadline())
	if err != nil {
		return Page{}, err
	}
	return r.page(csrf), nil
}

func keyOfID(sessionID string) (string, error) {
	if !isWord(sessionID) {
		return "", invalid("this is not the whole id of a consent session; copy the address once more, to its end")
	}
	return digest(sessionID), nil
}

func (r record) page(csrf string) Page {
	o := r.Origin
	p := Page{
		Connection: o.Connection, Subject: o.subject(), Provider: o.Provider, Principal: o.PrincipalARN,
		Scopes: strings.Fields(o.Scope), StartedAt: o.StartedAt, ExpiresAt: r.deadline(),
		ProviderOrigin: o.providerOrigin(), CSRF: csrf,
	}
	if u, err := url.Parse(o.RedirectURI); err == nil && !o.returnsToUs() {
		p.RedirectHost = u.Host
	}
	return p
}

// report tells the audit entry what a public request was about.
func (o origin) report(ctx context.Context) {
	e := audit.From(ctx)
	e.Connection, e.Subject, e.SecretIncarnation = string(o.Connection), string(o.Subject), o.Generation
}

const csrfPurpose = "consent form"

// newCSRF seals the instant until which the session's form is good. It needs no
// cookie: only who was shown the page has it.
func (d *FrontChannel) newCSRF(ctx context.Context, key string, until time.Time) (string, error) {
	sealed, err := d.sealer.Seal(ctx, strconv.AppendInt(nil, until.Unix(), 10), csrfPurpose, key)
	if err != nil {
		return "", noKeyset(err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func staleForm() error {
	return invalid("this form is not the one that the page showed, or is too old; open the consent page again and continue there")
}

func (d *FrontChannel) checkCSRF(ctx context.Context, key, csrf string) error {
	sealed, err := base64.RawURLEncoding.DecodeString(csrf)
	if err != nil {
		return staleForm()
	}
	text, err := d.sealer.Open(ctx, sealed, csrfPurpose, key)
	if err != nil && !errors.Is(err, seal.ErrCorrupt) {
		return noKeyset(err)
	}
	until, parseErr := strconv.ParseInt(string(text), 10, 64)
	if err != nil || parseErr != nil || d.now().Unix() >= until {
		return staleForm()
	}
	return nil
}

// Continue sends a browser on to the provider with a state of its own.
func (d *FrontChannel) Continue(ctx context.Context, c ContinueRequest) (Redirect, error) {
	key, err := keyOfID(c.SessionID)
	if err != nil {
		return Redirect{}, err
	}
	if err := d.checkCSRF(ctx, key, c.CSRF); err != nil {
		return Redirect{}, err
	}
	state, err := drawState(key, d.rand)
	cookie, cookieErr := drawWord(d.rand)
	if err := errors.Join(err, cookieErr); err != nil {
		return Redirect{}, internal(err)
	}
	r, err := d.book.amend(ctx, key, func(r *record) error {
		r.Origin.report(ctx)
		if err := r.awaiting(d.now()); err != nil {
			return err
		}
		if err := r.Origin.checkSite(c); err != nil {
			return err
		}
		r.depart(departed{State: digest(state), Cookie: digest(cookie)})
		return nil
	})
	if err != nil {
		return Redirect{}, err
	}
	address, err := r.Origin.address(state)
	return Redirect{Location: address, Cookie: r.Origin.cookie(cookie)}, err
}

// checkSite refuses a form that another site's page sent. A page with
// Referrer-Policy no-referrer, as ours has, sends its forms with the Origin
// "null" (Fetch, "append a request Origin header"), which therefore says nothing.
func (o origin) checkSite(c ContinueRequest) error {
	foreign := c.FetchSite != "" && c.FetchSite != "same-origin"
	if c.Origin != "" && c.Origin != "null" && c.Origin != siteOf(o.BaseURL) {
		foreign = true
	}
	if foreign {
		return invalid("this form was sent from a page of another site; open the consent page itself and continue there")
	}
	return nil
}
