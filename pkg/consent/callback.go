package consent

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Receive takes the authorization response from the browser. A response for
// another browser, connection or issuer is an invalid_request and leaves the
// state valid. A response of the provider uses the state up, whether it is a code
// or an error.
func (f *FrontChannel) Receive(ctx context.Context, c CallbackRequest) (CallbackResult, error) {
	// How to read the rest is known once the session has been read.
	state, err := oauth.AuthorizationState(c.RawQuery)
	if err != nil {
		return CallbackResult{}, invalidResponse(err)
	}
	key, ok := keyOfState(state.Reveal())
	if !ok {
		return CallbackResult{}, invalidRequest("the state in this address was not issued by this service; open the consent page again and continue from there")
	}
	code, err := newConfirmationCode(f.rand)
	if err != nil {
		return CallbackResult{}, internal(err)
	}
	r, err := f.sessions.update(ctx, key, func(r *record) error {
		r.Start.annotate(ctx)
		if err := f.check(ctx, *r, c, state); err != nil {
			return err
		}
		response, err := r.Start.read(c.RawQuery)
		if err != nil {
			return err
		}
		if response.Refused {
			r.setRefused(response.Error, f.now())
			return nil
		}
		return r.setReceived(key, sealedResponse{Code: response.Code.Reveal(), ConfirmationCode: code, Extra: response.Extra}, f.now())
	})
	if err != nil {
		return CallbackResult{}, err
	}
	return r.callbackResult(code), nil
}

// invalidResponse refuses an authorization response. The errors of package oauth
// are fixed texts.
func invalidResponse(err error) error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: err, Detail: err.Error()}
}

// check refuses a response that does not belong to a redirect of this browser.
func (f *FrontChannel) check(ctx context.Context, r record, c CallbackRequest, state redact.Secret) error {
	if err := r.Start.checkConnection(ctx, c.Connection); err != nil {
		return err
	}
	if err := r.requirePending(f.now()); err != nil {
		return err
	}
	if matches(r.ManualState, state.Reveal()) {
		return manualStateOnly()
	}
	request, ok := r.findAuthRequest(state.Reveal())
	if !ok {
		return invalidRequest("the consent session does not know the state in this address, or no longer; " +
			"open the consent page again and continue from there")
	}
	if !r.Start.usesOwnCallback() {
		return manualStateOnly() // this deployment under another address than at the start: the cookie is not sent here
	}
	if !r.Start.boundToBrowser(request, c.Cookies) {
		warnMismatch(ctx)
		return otherBrowser()
	}
	return nil
}

// setReceived stores the response, encrypted to the session's public key.
func (r *record) setReceived(key string, response sealedResponse, now time.Time) (err error) {
	if r.Response, err = response.seal(r.PublicKey, key); err != nil {
		return internal(err)
	}
	r.setResponded(received, now)
	return nil
}

func (r record) callbackResult(confirmationCode string) CallbackResult {
	s := r.Start
	result := CallbackResult{
		Connection: s.Connection, Subject: s.subject(), Provider: s.Provider, Principal: s.PrincipalARN,
		Denied: r.Phase == refused, Error: r.Error, ExpiresAt: r.expiresAt(), ClearCookie: s.clearCookie(),
	}
	if !result.Denied {
		result.ConfirmationCode = redact.New(confirmationCode)
	}
	return result
}
