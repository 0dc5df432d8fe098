package consent

import (
	"context"
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// claim is a request to complete, understood.
type claim struct {
	// key names the session.
	key          string
	confirmation redact.Secret

	byHand bool
	// query is the authorization response of a consent by hand, answer what it
	// says, address where it arrived; empty when only code and state were given.
	query, address redact.Secret
	answer         oauth.AuthorizationResponse
}

const howToComplete = "complete with session_id and confirmation_code, or by hand with redirect_url, or with code and state"

// claim finds out which way of completing is meant. A mixture is refused: which
// part of it counts would be a guess.
func (r CompleteRequest) claim() (claim, error) {
	parts := !r.Code.IsZero() || !r.State.IsZero()
	byHand := parts || !r.RedirectURL.IsZero()
	switch {
	case byHand && !r.ConfirmationCode.IsZero(), parts && !r.RedirectURL.IsZero():
		return claim{}, invalid("this says in more than one way how to complete; " + howToComplete)
	case byHand:
		return r.claimByHand()
	case r.SessionID.IsZero() || r.ConfirmationCode.IsZero():
		return claim{}, invalid("this is not enough to complete; " + howToComplete)
	}
	key, err := keyOfID(r.SessionID.Reveal())
	return claim{key: key, confirmation: r.ConfirmationCode}, err
}

func (r CompleteRequest) claimByHand() (claim, error) {
	query := url.Values{"code": {r.Code.Reveal()}, "state": {r.State.Reveal()}}.Encode()
	address := strings.TrimSpace(r.RedirectURL.Reveal())
	if address != "" {
		address, _, _ = strings.Cut(address, "#") // servers append one, and it is no part of the answer
		_, query, _ = strings.Cut(address, "?")
	}
	answer, err := oauth.ReadAuthorizationResponse(query, "", false)
	if err != nil {
		return claim{}, unusable(err)
	}
	key, ok := keyOfState(answer.State.Reveal())
	if !ok {
		return claim{}, invalid("the state is none of ours; copy the whole address once more, or code and state as they stand in it")
	}
	if !r.SessionID.IsZero() && digest(r.SessionID.Reveal()) != key {
		return claim{}, invalid("session_id and state belong to two consent sessions; leave session_id out, or give the one that fits")
	}
	return claim{key: key, byHand: true, query: redact.New(query), address: redact.New(address), answer: answer}, nil
}

// byHand completes with the answer that somebody carried over. It is bound to
// no browser: whoever has it was given it by the one who consented.
func (f *BackChannel) byHand(ctx context.Context, session record, conn connection.Connection, c claim) error {
	switch session.Phase {
	case refused:
		f.roster.leave(ctx, session.Origin.PrincipalID, c.key)
		return refusal(session.Refusal)
	case received:
		return invalid("a browser has brought the answer to this session already; complete it with the confirmation code that the last page shows")
	}
	if err := session.carried(c); err != nil {
		return err
	}
	if c.answer.Refused {
		return f.refuse(ctx, session, c)
	}
	kept, err := f.open(ctx, session, c.key)
	if err != nil {
		return err
	}
	return f.adopt(ctx, session, conn, c.key, kept, c.answer.Code)
}

// carried refuses an answer that does not belong to what was asked.
func (r record) carried(c claim) error {
	if !r.handsOut(c.answer.State.Reveal()) {
		return invalid("the state is not the one of this session's authorization_url")
	}
	if address := c.address.Reveal(); address != "" && !r.Origin.arrivesAt(address) {
		return invalid("redirect_url is not an address of this connection's redirect URI; copy the whole address at which the browser ended")
	}
	return r.Origin.checkIssuer(c.query.Reveal())
}

// handsOut reports whether state may be brought by hand: the one made for it, and,
// where the browser does not end at our callback, the consent page's as well.
func (r record) handsOut(state string) bool {
	if isDigestOf(r.Hand, state) {
		return true
	}
	_, ok := r.departure(state)
	return ok && !r.Origin.returnsToUs()
}

// arrivesAt compares an address with the redirect URI as browsers show it: the
// host in lower case, a usual port left out, an empty path as a slash.
func (o origin) arrivesAt(address string) bool {
	got, err := url.Parse(address)
	want, wantErr := url.Parse(o.RedirectURI)
	return err == nil && wantErr == nil && site(got) == site(want) && rooted(got) == rooted(want)
}

func rooted(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

// refuse records the provider's error, which uses the state up.
func (f *BackChannel) refuse(ctx context.Context, session record, c claim) error {
	_, err := f.book.amend(ctx, c.key, func(r *record) error {
		if err := r.awaiting(f.now()); err != nil {
			return err
		}
		r.answer(refused, f.now())
		r.Refusal, r.Keepsake = c.answer.Error, nil
		return nil
	})
	if err != nil {
		return err
	}
	f.roster.leave(ctx, session.Origin.PrincipalID, c.key)
	return refusal(c.answer.Error)
}
