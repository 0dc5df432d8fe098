package consent

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/digest"
)

// Show returns the content of a session's consent page. It changes nothing.
func (f *FrontChannel) Show(ctx context.Context, sessionID string) (Page, error) {
	key, err := parseSessionID(sessionID)
	if err != nil {
		return Page{}, err
	}
	r, err := f.sessions.get(ctx, key)
	if err != nil {
		return Page{}, err
	}
	r.Start.annotate(ctx)
	if err := r.requirePending(f.now()); err != nil {
		return Page{}, err
	}
	csrf, err := f.newCSRF(ctx, key, r.expiresAt())
	if err != nil {
		return Page{}, err
	}
	return r.page(csrf), nil
}

// parseSessionID returns the store's key of the session.
func parseSessionID(sessionID string) (string, error) {
	if !isID(sessionID) {
		return "", invalidRequest("incomplete session id; copy the whole address")
	}
	return sessionKey(sessionID), nil
}

func (r record) page(csrf string) Page {
	s := r.Start
	p := Page{
		Connection: s.Connection, Subject: s.subject(), Provider: s.Provider, Principal: s.PrincipalARN,
		Scopes: strings.Fields(s.Scope), StartedAt: s.StartedAt, ExpiresAt: r.expiresAt(),
		ProviderOrigin: parseOrigin(s.AuthorizationURL), CSRF: csrf,
	}
	if u, err := url.Parse(s.RedirectURI); err == nil && !s.usesOwnCallback() {
		p.RedirectHost = u.Host
	}
	return p
}

// Continue redirects a browser to the provider with a state of its own.
func (f *FrontChannel) Continue(ctx context.Context, c ContinueRequest) (Redirect, error) {
	key, err := parseSessionID(c.SessionID)
	if err != nil {
		return Redirect{}, err
	}
	if err := f.checkCSRF(ctx, key, c.CSRF); err != nil {
		return Redirect{}, err
	}
	state, err := newState(key, f.rand)
	cookie, cookieErr := newID(f.rand)
	if err := errors.Join(err, cookieErr); err != nil {
		return Redirect{}, internal(err)
	}
	r, err := f.sessions.update(ctx, key, func(r *record) error {
		r.Start.annotate(ctx)
		if err := r.requirePending(f.now()); err != nil {
			return err
		}
		if err := r.Start.checkOrigin(c); err != nil {
			return err
		}
		r.addAuthRequest(authRequest{State: digest.Full(state), Cookie: digest.Full(cookie)})
		return nil
	})
	if err != nil {
		return Redirect{}, err
	}
	address, err := r.Start.authorizationRequest(state)
	return Redirect{Location: address, Cookie: r.Start.cookie(cookie)}, err
}
