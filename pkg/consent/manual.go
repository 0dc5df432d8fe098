package consent

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// completion is a parsed CompleteRequest.
type completion struct {
	// key is the session's key in the store.
	key              string
	confirmationCode redact.Secret

	// manual: the authorization response was copied from a browser.
	manual bool
	// query is that response as received, and address the address where it arrived.
	// Both are empty if only code and state were given, with extra.
	query, address redact.Secret
	code, state    redact.Secret
	extra          extra.Values
}

// read parses the response to the authorization request of p.
func (c completion) read(p startParams) (oauth.AuthorizationResponse, error) {
	if c.code.IsZero() {
		return p.read(c.query.Reveal())
	}
	response, err := p.read(oauth.AuthorizationResponseQuery(url.Values{
		cmp.Or(p.CodeName, "code"): {c.code.Reveal()}, "state": {c.state.Reveal()}}))
	response.Extra = c.extra
	return response, err
}

const howToComplete = "complete with session_id and confirmation_code, or manually with redirect_url, or with code and state"

// completion finds out which kind of completion is requested. A mixture is
// refused, because it is unclear which part counts.
func (r CompleteRequest) completion() (completion, error) {
	parts := !r.Code.IsZero() || !r.State.IsZero()
	manual := parts || !r.RedirectURL.IsZero()
	switch {
	case manual && !r.ConfirmationCode.IsZero(), parts && !r.RedirectURL.IsZero():
		return completion{}, invalidRequest("ambiguous request; " + howToComplete)
	case manual:
		return r.manualCompletion()
	case r.SessionID.IsZero() || r.ConfirmationCode.IsZero():
		return completion{}, invalidRequest("incomplete request; " + howToComplete)
	}
	key, err := parseSessionID(r.SessionID.Reveal())
	return completion{key: key, confirmationCode: r.ConfirmationCode}, err
}

func (r CompleteRequest) manualCompletion() (completion, error) {
	query := oauth.AuthorizationResponseQuery(url.Values{"state": {r.State.Reveal()}})
	address := strings.TrimSpace(r.RedirectURL.Reveal())
	if address != "" {
		address, _, _ = strings.Cut(address, "#") // some servers append a fragment, which is not part of the response
		_, query, _ = strings.Cut(address, "?")
	}
	state, err := oauth.AuthorizationState(query)
	if err != nil {
		return completion{}, invalidResponse(err)
	}
	key, ok := keyOfState(state.Reveal())
	if !ok {
		return completion{}, invalidRequest("the state was not issued by this service; copy the whole address again, or code and state exactly as they are in it")
	}
	if !r.SessionID.IsZero() && sessionKey(r.SessionID.Reveal()) != key {
		return completion{}, invalidRequest("session_id and state belong to two consent sessions; omit session_id or give the matching one")
	}
	return completion{key: key, manual: true, query: redact.New(query), address: redact.New(address),
		code: r.Code, state: state, extra: r.Extra}, nil
}

// completeManually completes with a copied authorization response. Its state is
// bound to no browser: only the user who consented can have passed it on.
func (b *BackChannel) completeManually(ctx context.Context, session record, conn connection.Connection, c completion) error {
	switch session.Phase {
	case refused:
		b.pending.remove(ctx, session.Start.PrincipalID, c.key)
		return providerRejected(session.Error)
	case received:
		return invalidRequest("the response to this consent session has already arrived from a browser; complete it with the confirmation code of the last page")
	case pending, ended: // requireActive has refused an ended session
	}
	response, err := session.readManual(c)
	if err != nil {
		return err
	}
	if response.Refused {
		return b.refuseManually(ctx, session, c.key, response)
	}
	secrets, err := b.openSecrets(ctx, session, c.key)
	if err != nil {
		return err
	}
	return b.authorize(ctx, session, conn, c.key, secrets, response)
}

// readManual refuses a response to another authorization request.
func (r record) readManual(c completion) (oauth.AuthorizationResponse, error) {
	if !r.acceptsManually(c.state.Reveal()) {
		return oauth.AuthorizationResponse{}, invalidRequest("the state is not the one of this session's authorization_url")
	}
	if address := c.address.Reveal(); address != "" && !r.Start.matchesRedirectURI(address) {
		return oauth.AuthorizationResponse{}, invalidRequest("redirect_url does not match this connection's redirect URI; copy the whole address at which the browser ended")
	}
	return c.read(r.Start)
}

// acceptsManually reports whether a response with this state may be copied: the
// state of authorization_url, and, if the browser does not end at this
// deployment's callback, also the states of the consent page.
func (r record) acceptsManually(state string) bool {
	if matches(r.ManualState, state) {
		return true
	}
	_, ok := r.findAuthRequest(state)
	return ok && (r.Start.isName() || !r.Start.usesOwnCallback())
}

// refuseManually records the provider's error, which uses the state up.
func (b *BackChannel) refuseManually(ctx context.Context, session record, key string, response oauth.AuthorizationResponse) error {
	_, err := b.sessions.update(ctx, key, func(r *record) error {
		if err := r.requirePending(b.now()); err != nil {
			return err
		}
		r.setRefused(response.Error, b.now())
		return nil
	})
	if err != nil {
		return err
	}
	b.pending.remove(ctx, session.Start.PrincipalID, key)
	return providerRejected(response.Error)
}
