package consent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Start begins a session. Errors are those of Grants.Delegated, rate_limited
// with 20 sessions of the principal pending, connection_misconfigured where no
// authorization request can be built, and store_unavailable.
func (f *BackChannel) Start(ctx context.Context, r StartRequest) (Started, error) {
	principal, err := r.Principal.id()
	if err != nil {
		return Started{}, err
	}
	conn, err := f.delegated(ctx, r.Connection, r.Subject, r.Principal)
	if err != nil {
		return Started{}, err
	}
	draft, err := f.draft(ctx, r, conn, principal)
	if err != nil {
		return Started{}, err
	}
	if err := f.roster.enter(ctx, principal, draft.key); err != nil {
		return Started{}, err
	}
	if err := f.book.create(ctx, draft.key, draft.record); err != nil {
		f.roster.leave(ctx, principal, draft.key)
		return Started{}, err
	}
	return draft.started, nil
}

func (f *BackChannel) delegated(ctx context.Context, name connection.Name, subject connection.Subject, p Principal) (connection.Connection, error) {
	conn, err := f.grants.Delegated(ctx, vending.Request{Connection: name, Subject: subject, Caller: p.ARN})
	if err == nil {
		audit.From(ctx).SecretIncarnation = conn.SecretIncarnation
	}
	return conn, err
}

// draft is a session that is not stored yet.
type draft struct {
	key     string
	record  record
	started Started
}

func (f *BackChannel) draft(ctx context.Context, r StartRequest, conn connection.Connection, principal string) (draft, error) {
	id, err := drawWord(f.rand)
	if err != nil {
		return draft{}, internal(err)
	}
	key := digest(id)
	state, err := drawState(key, f.rand)
	if err != nil {
		return draft{}, internal(err)
	}
	verifier, err := f.drawVerifier(ctx, conn)
	if err != nil {
		return draft{}, internal(err)
	}
	o := f.originOf(r, conn, principal, verifier)
	address, err := o.address(state)
	if err != nil {
		return draft{}, err
	}
	d := draft{key: key, record: record{Schema: schema, Origin: o, Phase: pending, Hand: digest(state)}}
	d.started = Started{SessionID: id, ConsentURL: r.BaseURL + "/consent/" + id, AuthorizationURL: address, ExpiresIn: pendingFor}
	return d, f.keep(ctx, &d, verifier)
}

// drawVerifier draws the one verifier of the session (RFC 7636 §4.1), or none
// where the declaration says that the server cannot take it.
func (f *BackChannel) drawVerifier(ctx context.Context, conn connection.Connection) (redact.Secret, error) {
	if !conn.PKCE {
		audit.From(ctx).Warn(audit.PKCEOff)
		return redact.Secret{}, nil
	}
	return oauth.NewVerifier(f.rand)
}

func (f *BackChannel) originOf(r StartRequest, conn connection.Connection, principal string, verifier redact.Secret) origin {
	o := origin{
		Connection: conn.Name, Subject: r.Subject, Generation: conn.SecretIncarnation,
		Provider: conn.Provider, TokenURL: conn.TokenURL, Issuer: conn.Issuer, ClientID: conn.ClientID,
		AuthorizationURL: conn.AuthorizationURL, RedirectURI: redirectURI(conn, r.BaseURL),
		Scope: conn.Scope, Params: conn.AuthorizationParams,
		PrincipalID: principal, PrincipalARN: r.Principal.ARN, BaseURL: r.BaseURL, StartedAt: f.now(),
	}
	if !verifier.IsZero() {
		o.Challenge = oauth.Challenge(verifier)
	}
	return o
}

// redirectURI is the declaration's, or the callback of this connection alone: a
// code that another connection's server issued cannot arrive there (OC-09).
func redirectURI(conn connection.Connection, base string) string {
	if conn.RedirectURI != "" {
		return conn.RedirectURI
	}
	return callback(base, conn.Name)
}

// address is the provider's page for one state.
func (o origin) address(state string) (string, error) {
	address, err := oauth.AuthorizationURL(oauth.AuthorizationRequest{
		AuthorizationURL: o.AuthorizationURL, ClientID: o.ClientID, RedirectURI: o.RedirectURI,
		Scope: o.Scope, State: state, Challenge: o.Challenge, Params: o.Params,
	})
	if err != nil {
		return "", &problem.Error{Code: problem.ConnectionMisconfigured, Cause: err,
			Detail: fmt.Sprintf("connection %s: no authorization request can be built: %v", o.Connection, err)}
	}
	return address, nil
}

// providerOrigin is scheme and host of the provider's page.
func (o origin) providerOrigin() string { return siteOf(o.AuthorizationURL) }

// siteOf returns scheme and host of an address as browsers write an origin, or
// nothing.
func siteOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return site(u)
}

// site leaves out the port that a scheme has by itself (RFC 6454 §6.1).
func site(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// keep makes the session's key pair and seals what completing will need.
func (f *BackChannel) keep(ctx context.Context, d *draft, verifier redact.Secret) error {
	public, private, err := newLetterKeys()
	if err != nil {
		return internal(err)
	}
	text, err := json.Marshal(keepsake{Verifier: verifier.Reveal(), Key: private})
	if err != nil {
		return internal(err)
	}
	identity, err := d.record.Origin.identity(d.key)
	if err != nil {
		return internal(err)
	}
	d.record.Key = public
	d.record.Keepsake, err = f.sealer.Seal(ctx, text, identity...)
	if err != nil {
		return noKeyset(err)
	}
	return nil
}
