package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Complete exchanges the code of a session and stores the grant. The session ends
// immediately before the code is sent; after an earlier failure it can be
// completed again. Errors are those of Grants and:
//
//   - invalid_request: the request is ambiguous, or the session belongs to another
//     connection or subject
//   - access_denied: another principal started it, or the confirmation code is wrong
//   - authorization_required: no authorization response has arrived yet
//   - session_expired: the session is over, the connection's configuration has
//     changed, or this was the third wrong code
//   - provider_rejected: the authorization response was an error
//   - store_unavailable
func (b *BackChannel) Complete(ctx context.Context, r CompleteRequest) error {
	principal, err := r.Principal.id()
	if err != nil {
		return err
	}
	conn, err := b.delegated(ctx, r.Connection, r.Subject, r.Principal)
	if err != nil {
		return err
	}
	c, err := r.completion()
	if err != nil {
		return err
	}
	session, err := b.sessions.get(ctx, c.key)
	if err != nil {
		return err
	}
	if err := session.Start.checkOwner(ctx, principal, r); err != nil {
		return err
	}
	if err := session.requireActive(b.now()); err != nil {
		return err
	}
	if !session.Start.configUnchanged(conn) {
		return sessionExpired(fmt.Sprintf("the configuration of connection %s has changed since the consent was started", conn.Name))
	}
	if c.manual {
		return b.completeManually(ctx, session, conn, c)
	}
	return b.completeWithCode(ctx, session, conn, c)
}

// checkOwner refuses other principals than the one that started the session, and
// other paths than the one it was started on.
func (p startParams) checkOwner(ctx context.Context, principal string, r CompleteRequest) error {
	if p.PrincipalID != principal {
		warnMismatch(ctx)
		return accessDenied("this consent session was started by another principal; only that principal can complete it")
	}
	if err := p.checkConnection(ctx, r.Connection); err != nil {
		return err
	}
	if p.Subject != r.Subject {
		warnMismatch(ctx)
		return invalidRequest(fmt.Sprintf("this consent session belongs to another subject of connection %s", r.Connection))
	}
	return nil
}

// completeWithCode completes with the confirmation code of the callback page.
func (b *BackChannel) completeWithCode(ctx context.Context, session record, conn connection.Connection, c completion) error {
	switch session.Phase {
	case pending:
		return problem.New(problem.AuthorizationRequired, "the user has not consented in the browser yet; open the consent page, allow access, "+
			"and complete with the confirmation code of the last page")
	case refused:
		b.pending.remove(ctx, session.Start.PrincipalID, c.key)
		return providerRejected(session.Error)
	case received, ended: // requireActive has refused an ended session
	}
	secrets, err := b.openSecrets(ctx, session, c.key)
	if err != nil {
		return err
	}
	response, err := openResponse(secrets.PrivateKey, c.key, session.Response)
	if err != nil {
		return sessionCorrupt(ctx, err)
	}
	if !sameConfirmationCode(response.ConfirmationCode, c.confirmationCode.Reveal()) {
		return b.countWrongCode(ctx, session, c.key)
	}
	return b.authorize(ctx, session, conn, c.key, secrets, oauth.AuthorizationResponse{Code: redact.New(response.Code), Extra: response.Extra})
}

// openSecrets decrypts the session's secrets.
func (b *BackChannel) openSecrets(ctx context.Context, session record, key string) (sessionSecrets, error) {
	data, err := session.Start.associatedData(key)
	if err != nil {
		return sessionSecrets{}, internal(err)
	}
	text, err := b.sealer.Open(ctx, session.Secrets, data...)
	if errors.Is(err, seal.ErrCorrupt) {
		return sessionSecrets{}, sessionCorrupt(ctx, err)
	}
	if err != nil {
		return sessionSecrets{}, keysetUnavailable(err)
	}
	var secrets sessionSecrets
	if json.Unmarshal(text, &secrets) != nil {
		return sessionSecrets{}, sessionCorrupt(ctx, nil)
	}
	return secrets, nil
}

// sessionCorrupt is the error of a session that was altered or damaged.
func sessionCorrupt(ctx context.Context, err error) error {
	audit.From(ctx).Warn(audit.SessionCorrupt)
	return &problem.Error{Code: problem.SessionExpired, Cause: err, Detail: "this consent session cannot be decrypted" + startAgain}
}

func providerRejected(code string) error {
	return &problem.Error{Code: problem.ProviderRejected, Provider: &problem.Provider{Error: code},
		Detail: "the provider answered the authorization request with an error" + startAgain}
}

// countWrongCode counts a wrong code before it reports it, so that no guess is
// free. The third ends the session.
func (b *BackChannel) countWrongCode(ctx context.Context, session record, key string) error {
	updated, err := b.sessions.update(ctx, key, func(r *record) error {
		if err := r.requireActive(b.now()); err != nil {
			return err
		}
		if r.WrongCodes++; r.WrongCodes >= maxWrongCodes {
			r.end()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if updated.Phase == ended {
		audit.From(ctx).Warn(audit.SessionGuessed)
		b.pending.remove(ctx, session.Start.PrincipalID, key)
		return sessionExpired("too many wrong confirmation codes; the consent session has ended")
	}
	return accessDenied(fmt.Sprintf("wrong confirmation code; %d of %d attempts are left", maxWrongCodes-updated.WrongCodes, maxWrongCodes))
}

// authorize exchanges the code. The session ends while the core holds the lease
// and before the code is sent: a code is sent at most once, and none is lost
// because a refresh holds the lease.
func (b *BackChannel) authorize(ctx context.Context, session record, conn connection.Connection, key string, secrets sessionSecrets,
	response oauth.AuthorizationResponse,
) error {
	sent := false
	err := b.grants.Authorize(ctx, vending.Authorization{
		Connection: conn, Subject: session.Start.Subject,
		Code: response.Code, Extra: response.Extra, Verifier: redact.New(secrets.Verifier), RedirectURI: session.Start.RedirectURI, Scope: session.Start.Scope,
		Consume: func(ctx context.Context) error {
			err := b.endSession(ctx, key, session.Phase)
			sent = err == nil
			return err
		},
	})
	if !sent {
		return err
	}
	b.pending.remove(ctx, session.Start.PrincipalID, key)
	if err != nil {
		return codeSpent(err)
	}
	return nil
}

// endSession ends the session if it is still in the phase that was checked.
func (b *BackChannel) endSession(ctx context.Context, key string, checked phase) error {
	_, err := b.sessions.update(ctx, key, func(r *record) error {
		if err := r.requireActive(b.now()); err != nil {
			return err
		}
		if r.Phase != checked {
			return sessionExpired("another response to this consent session has arrived in the meantime")
		}
		r.end()
		return nil
	})
	return err
}
