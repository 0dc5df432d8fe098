package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Complete exchanges the code of a session and stores the grant. The session is
// used up in the instant before the code is sent; what fails before that leaves
// it to be completed again. Errors are those of Grants and:
//
//   - invalid_request: the request is unclear, or the session another connection's or subject's
//   - access_denied: another principal started it, or the confirmation code is wrong
//   - authorization_required: no browser has come back yet
//   - session_expired: over, overtaken by a change of the declaration, or ended
//     by the third wrong code
//   - provider_rejected: the provider's answer was an error
//   - store_unavailable
func (f *BackChannel) Complete(ctx context.Context, r CompleteRequest) error {
	principal, err := r.Principal.id()
	if err != nil {
		return err
	}
	conn, err := f.delegated(ctx, r.Connection, r.Subject, r.Principal)
	if err != nil {
		return err
	}
	c, err := r.claim()
	if err != nil {
		return err
	}
	session, err := f.book.open(ctx, c.key)
	if err != nil {
		return err
	}
	if err := session.Origin.ownedBy(ctx, principal, r); err != nil {
		return err
	}
	if err := session.living(f.now()); err != nil {
		return err
	}
	if !session.Origin.stillHolds(conn) {
		return gone(fmt.Sprintf("connection %s has been declared anew since the consent was started", conn.Name))
	}
	if c.byHand {
		return f.byHand(ctx, session, conn, c)
	}
	return f.confirm(ctx, session, conn, c)
}

// ownedBy refuses everybody but the principal that started, and every other
// path than the one it was started on.
func (o origin) ownedBy(ctx context.Context, principal string, r CompleteRequest) error {
	if o.PrincipalID != principal {
		mismatch(ctx)
		return denied("this consent session was started by another principal, which alone can complete it")
	}
	if err := o.isFor(ctx, r.Connection); err != nil {
		return err
	}
	if o.Subject != r.Subject {
		mismatch(ctx)
		return invalid(fmt.Sprintf("this consent session belongs to another subject of connection %s", r.Connection))
	}
	return nil
}

// stillHolds reports whether the declaration in force would have sent the
// browser to the same server for the same client: a code is of no use elsewhere.
func (o origin) stillHolds(conn connection.Connection) bool {
	return o.Generation == conn.SecretIncarnation && o.Provider == conn.Provider && o.TokenURL == conn.TokenURL &&
		o.Issuer == conn.Issuer && o.ClientID == conn.ClientID && o.RedirectURI == redirectURI(conn, o.BaseURL)
}

// confirm completes with the code that the callback page showed.
func (f *BackChannel) confirm(ctx context.Context, session record, conn connection.Connection, c claim) error {
	switch session.Phase {
	case pending:
		return problem.New(problem.AuthorizationRequired, "nobody has consented in the browser yet; open the consent page, allow the access, "+
			"and complete with the confirmation code that the last page shows")
	case refused:
		f.roster.leave(ctx, session.Origin.PrincipalID, c.key)
		return refusal(session.Refusal)
	}
	kept, err := f.open(ctx, session, c.key)
	if err != nil {
		return err
	}
	l, err := openLetter(kept.Key, c.key, session.Answer)
	if err != nil {
		return unreadable(ctx, err)
	}
	if !sameConfirmation(l.Confirmation, c.confirmation.Reveal()) {
		return f.wrong(ctx, session, c.key)
	}
	return f.adopt(ctx, session, conn, c.key, kept, redact.New(l.Code))
}

// open opens what the start kept.
func (f *BackChannel) open(ctx context.Context, session record, key string) (keepsake, error) {
	identity, err := session.Origin.identity(key)
	if err != nil {
		return keepsake{}, internal(err)
	}
	text, err := f.sealer.Open(ctx, session.Keepsake, identity...)
	if errors.Is(err, seal.ErrCorrupt) {
		return keepsake{}, unreadable(ctx, err)
	}
	if err != nil {
		return keepsake{}, noKeyset(err)
	}
	var kept keepsake
	if json.Unmarshal(text, &kept) != nil {
		return keepsake{}, unreadable(ctx, nil)
	}
	return kept, nil
}

// unreadable is a session that somebody altered, or that damage has reached.
func unreadable(ctx context.Context, err error) error {
	audit.From(ctx).Warn(audit.SessionCorrupt)
	return &problem.Error{Code: problem.SessionExpired, Cause: err, Detail: "this consent session cannot be opened" + again}
}

func refusal(code string) error {
	return &problem.Error{Code: problem.ProviderRejected, Provider: &problem.Provider{Error: code},
		Detail: "the provider answered the authorization request with an error" + again}
}

// wrong counts a wrong code before it tells that it was one, so that no guess
// goes uncounted. The third ends the session.
func (f *BackChannel) wrong(ctx context.Context, session record, key string) error {
	now, err := f.book.amend(ctx, key, func(r *record) error {
		if err := r.living(f.now()); err != nil {
			return err
		}
		if r.Wrong++; r.Wrong >= wrongCodes {
			r.end()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if now.Phase == ended {
		audit.From(ctx).Warn(audit.SessionGuessed)
		f.roster.leave(ctx, session.Origin.PrincipalID, key)
		return gone("wrong confirmation code once too often: the session is ended")
	}
	return denied(fmt.Sprintf("wrong confirmation code; %d of %d tries are left", wrongCodes-now.Wrong, wrongCodes))
}

// adopt hands the code over. The session is used up between the lease and the
// token request, so that a code is sent once at most, and no code is lost to a
// refresh that happened to hold the lease.
func (f *BackChannel) adopt(ctx context.Context, session record, conn connection.Connection, key string, kept keepsake, code redact.Secret) error {
	used := false
	err := f.grants.Authorize(ctx, vending.Authorization{
		Connection: conn, Subject: session.Origin.Subject,
		Code: code, Verifier: redact.New(kept.Verifier), RedirectURI: session.Origin.RedirectURI, Scope: session.Origin.Scope,
		Consume: func(ctx context.Context) error {
			err := f.consume(ctx, key, session.Phase)
			used = err == nil
			return err
		},
	})
	if !used {
		return err
	}
	f.roster.leave(ctx, session.Origin.PrincipalID, key)
	if err != nil {
		return burnt(err)
	}
	return nil
}

// consume ends the session if it is still in the phase that was judged.
func (f *BackChannel) consume(ctx context.Context, key string, judged phase) error {
	_, err := f.book.amend(ctx, key, func(r *record) error {
		if err := r.living(f.now()); err != nil {
			return err
		}
		if r.Phase != judged {
			return gone("this consent session has got another answer meanwhile")
		}
		r.end()
		return nil
	})
	return err
}
