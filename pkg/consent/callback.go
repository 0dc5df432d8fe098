package consent

import (
	"context"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Receive takes the provider's answer from the browser that was sent there.
// What does not belong together (another browser, connection or issuer) is an
// invalid_request and leaves the state to its owner; an answer of the provider
// uses the state up, an error as well as a code.
func (d *FrontChannel) Receive(ctx context.Context, back CallbackRequest) (CallbackResult, error) {
	// The issuer is known with the session only: judged below.
	answer, err := oauth.ReadAuthorizationResponse(back.RawQuery, "", false)
	if err != nil {
		return CallbackResult{}, unusable(err)
	}
	key, ok := keyOfState(answer.State.Reveal())
	if !ok {
		return CallbackResult{}, invalid("this address carries no state of ours; open the consent page again and continue there")
	}
	confirmation, err := drawConfirmation(d.rand)
	if err != nil {
		return CallbackResult{}, internal(err)
	}
	l := letter{Code: answer.Code.Reveal(), Confirmation: confirmation}
	r, err := d.book.amend(ctx, key, func(r *record) error {
		r.Origin.report(ctx)
		if err := d.judge(ctx, *r, back, answer); err != nil {
			return err
		}
		return r.take(answer, l, key, d)
	})
	if err != nil {
		return CallbackResult{}, err
	}
	return r.receipt(confirmation), nil
}

// unusable is an authorization response that is not acted upon; the reasons are
// fixed words.
func unusable(err error) error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: err, Detail: err.Error()}
}

// judge finds out whether this browser brings the answer to what it left for.
func (d *FrontChannel) judge(ctx context.Context, r record, back CallbackRequest, answer oauth.AuthorizationResponse) error {
	if err := r.Origin.isFor(ctx, back.Connection); err != nil {
		return err
	}
	if err := r.awaiting(d.now()); err != nil {
		return err
	}
	if isDigestOf(r.Hand, answer.State.Reveal()) {
		return byHandOnly()
	}
	left, ok := r.departure(answer.State.Reveal())
	if !ok {
		return invalid("this address carries a state that the consent session does not know, or not any more; " +
			"open the consent page again and continue there")
	}
	if !r.Origin.returnsToUs() {
		return byHandOnly() // a callback of ours under another address than the start's: no cookie could come here
	}
	if !r.Origin.cameBack(left, back.Cookies) {
		mismatch(ctx)
		return otherBrowser()
	}
	return r.Origin.checkIssuer(back.RawQuery)
}

// mismatch marks the audit entry of who has a session that is not theirs (FI-45).
func mismatch(ctx context.Context) { audit.From(ctx).Warn(audit.SessionMismatch) }

// isFor refuses the answer to another connection's request (OC-09).
func (o origin) isFor(ctx context.Context, name connection.Name) error {
	if o.Connection == name {
		return nil
	}
	mismatch(ctx)
	return invalid(fmt.Sprintf("this consent session does not belong to connection %s", name))
}

// checkIssuer compares who answers with who was asked (RFC 9207 §2.4). Whether
// a server always says so stands in its metadata, which is not read; so one
// that says nothing is believed.
func (o origin) checkIssuer(rawQuery string) error {
	if _, err := oauth.ReadAuthorizationResponse(rawQuery, o.Issuer, false); err != nil {
		return unusable(err)
	}
	return nil
}

// take uses the session's states up.
func (r *record) take(answer oauth.AuthorizationResponse, l letter, key string, d *FrontChannel) (err error) {
	if answer.Refused {
		r.answer(refused, d.now())
		r.Refusal, r.Keepsake = answer.Error, nil
		return nil
	}
	if r.Answer, err = l.seal(r.Key, key); err != nil {
		return internal(err)
	}
	r.answer(received, d.now())
	return nil
}

func (r record) receipt(confirmation string) CallbackResult {
	o := r.Origin
	receipt := CallbackResult{
		Connection: o.Connection, Subject: o.subject(), Provider: o.Provider, Principal: o.PrincipalARN,
		Denied: r.Phase == refused, Error: r.Refusal, ExpiresAt: r.deadline(), ClearCookie: o.clearing(),
	}
	if !receipt.Denied {
		receipt.ConfirmationCode = redact.New(confirmation)
	}
	return receipt
}
