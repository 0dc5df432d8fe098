package consent

import (
	"context"
	"encoding/json"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Start begins a session. The fourth pending one of a principal for a connection
// and subject ends the oldest. Errors are those of Grants.Delegated, rate_limited
// if the principal has 500 pending sessions, connection_misconfigured if the
// authorization request cannot be built, and store_unavailable.
func (b *BackChannel) Start(ctx context.Context, r StartRequest) (Started, error) {
	principal, err := r.Principal.id()
	if err != nil {
		return Started{}, err
	}
	conn, err := b.delegated(ctx, r.Connection, r.Subject, r.Principal)
	if err != nil {
		return Started{}, err
	}
	s, err := b.newSession(ctx, r, conn, principal)
	if err != nil {
		return Started{}, err
	}
	former, err := b.pending.add(ctx, principal, s.key, s.record.Start)
	if err != nil {
		return Started{}, err
	}
	if err = b.endPending(ctx, former); err == nil {
		err = b.sessions.create(ctx, s.key, s.record)
	}
	if err != nil {
		b.pending.remove(ctx, principal, s.key) // the next start ends what is left of the former ones
		return Started{}, err
	}
	b.pending.remove(ctx, principal, former...)
	return s.started, nil
}

// endPending ends sessions that still wait for a response. One whose response has
// come is left to be completed.
func (b *BackChannel) endPending(ctx context.Context, keys []string) error {
	for _, key := range keys {
		_, err := b.sessions.update(ctx, key, func(r *record) error {
			err := r.requirePending(b.now())
			if err == nil {
				r.end()
			}
			return err
		})
		if err != nil && !problem.Is(err, problem.SessionExpired) {
			return err
		}
	}
	return nil
}

func (b *BackChannel) delegated(ctx context.Context, name connection.Name, subject connection.Subject, p Principal) (connection.Connection, error) {
	conn, err := b.grants.Delegated(ctx, vending.Request{Connection: name, Subject: subject, Caller: p.ARN})
	if err == nil {
		audit.From(ctx).SecretIncarnation = conn.SecretIncarnation
	}
	return conn, err
}

// newSession is a session that is not stored yet.
type newSession struct {
	key     string
	record  record
	started Started
}

func (b *BackChannel) newSession(ctx context.Context, r StartRequest, conn connection.Connection, principal string) (newSession, error) {
	id, err := newID(b.rand)
	if err != nil {
		return newSession{}, internal(err)
	}
	key := sessionKey(id)
	state, err := newState(key, b.rand)
	if err != nil {
		return newSession{}, internal(err)
	}
	verifier, err := b.newVerifier(ctx, conn)
	if err != nil {
		return newSession{}, internal(err)
	}
	params := b.startParams(r, conn, principal, verifier)
	address, err := params.authorizationRequest(state)
	if err != nil {
		return newSession{}, err
	}
	s := newSession{key: key, record: record{Schema: schema, Start: params, Phase: pending, ManualState: digest.Full(state)}}
	s.started = Started{SessionID: id, ConsentURL: r.BaseURL + "/consent/" + id, AuthorizationURL: address, ExpiresIn: pendingFor}
	return s, b.addSecrets(ctx, &s, verifier)
}

// newVerifier returns the session's PKCE verifier (RFC 7636 §4.1), or none if the
// connection turns PKCE off.
func (b *BackChannel) newVerifier(ctx context.Context, conn connection.Connection) (redact.Secret, error) {
	if !conn.PKCE {
		audit.From(ctx).Warn(audit.PKCEOff)
		return redact.Secret{}, nil
	}
	return oauth.NewVerifier(b.rand)
}

func (b *BackChannel) startParams(r StartRequest, conn connection.Connection, principal string, verifier redact.Secret) startParams {
	p := startParams{
		Connection: conn.Name, Subject: r.Subject, SecretIncarnation: conn.SecretIncarnation,
		Provider: conn.Provider, TokenURL: conn.TokenURL, Issuer: conn.Issuer, ClientID: conn.ClientID,
		AuthorizationURL: conn.AuthorizationURL, RedirectURI: redirectURI(conn, r.BaseURL),
		Scope: conn.Scope, Params: conn.AuthorizationParams,
		ScopeSeparator: conn.ScopeSeparator, Names: conn.Request.Names, CodeName: conn.Callback.Code, Extra: conn.Callback.Extra,
		PrincipalID: principal, PrincipalARN: r.Principal.ARN, BaseURL: r.BaseURL, StartedAt: b.now(),
	}
	if !verifier.IsZero() {
		p.Challenge = oauth.Challenge(verifier)
	}
	return p
}

// addSecrets creates the session's key pair and encrypts the secrets.
func (b *BackChannel) addSecrets(ctx context.Context, s *newSession, verifier redact.Secret) error {
	public, private, err := newResponseKeys()
	if err != nil {
		return internal(err)
	}
	text, err := json.Marshal(sessionSecrets{Verifier: verifier.Reveal(), PrivateKey: private})
	if err != nil {
		return internal(err)
	}
	data, err := s.record.Start.associatedData(s.key)
	if err != nil {
		return internal(err)
	}
	s.record.PublicKey = public
	s.record.Secrets, err = b.sealer.Seal(ctx, text, data...)
	if err != nil {
		return keysetUnavailable(err)
	}
	return nil
}
