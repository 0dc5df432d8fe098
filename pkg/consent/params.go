package consent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// startParams is what a start fixes: the authorization request and who made it.
//
// Its JSON text is associated data of the encrypted secrets, so that a writer of
// sessions cannot move one to another principal, connection or client. A new
// member must be omitted while it is empty, or older sessions do not decrypt.
type startParams struct {
	Connection        connection.Name    `json:"connection"`
	Subject           connection.Subject `json:"subject,omitempty"`
	SecretIncarnation string             `json:"generation"`
	Provider          string             `json:"provider"`
	TokenURL          string             `json:"token_url"`
	Issuer            string             `json:"issuer,omitempty"`
	ClientID          string             `json:"client_id"`
	// The authorization request, without its state.
	AuthorizationURL string     `json:"authorization_url"`
	RedirectURI      string     `json:"redirect_uri"`
	Scope            string     `json:"scope,omitempty"`
	Params           url.Values `json:"params,omitempty"`
	Challenge        string     `json:"challenge,omitempty"`
	// ScopeSeparator and Names are how the request differs from RFC 6749; CodeName and
	// Extra how its response does, because the public function cannot read the provider.
	ScopeSeparator string            `json:"scope_separator,omitempty"`
	Names          map[string]string `json:"names,omitempty"`
	CodeName       string            `json:"code_name,omitempty"`
	Extra          map[string]string `json:"extra,omitempty"`

	PrincipalID  string    `json:"principal_id"`
	PrincipalARN string    `json:"principal_arn"`
	BaseURL      string    `json:"base_url"`
	StartedAt    time.Time `json:"started_at"`
}

// associatedData binds the secrets to the session and to what its start fixed.
func (p startParams) associatedData(key string) ([]string, error) {
	text, err := json.Marshal(p)
	return []string{"consent session", key, string(text)}, err
}

// annotate records in the audit entry what a public request is about.
func (p startParams) annotate(ctx context.Context) {
	e := audit.From(ctx)
	e.Connection, e.Subject, e.SecretIncarnation = string(p.Connection), string(p.Subject), p.SecretIncarnation
}

// subject is the subject's name, also of the default one.
func (p startParams) subject() connection.Subject {
	if p.Subject == "" {
		return connection.DefaultSubject
	}
	return p.Subject
}

// configUnchanged reports whether the current declaration has the same server and
// client. A code is useless with any other.
func (p startParams) configUnchanged(conn connection.Connection) bool {
	return p.SecretIncarnation == conn.SecretIncarnation && p.Provider == conn.Provider && p.TokenURL == conn.TokenURL &&
		p.Issuer == conn.Issuer && p.ClientID == conn.ClientID && p.RedirectURI == redirectURI(conn, p.BaseURL)
}

// checkConnection refuses the callback and the path of another connection (OC-09).
func (p startParams) checkConnection(ctx context.Context, name connection.Name) error {
	if p.Connection == name {
		return nil
	}
	warnMismatch(ctx)
	return invalidRequest(fmt.Sprintf("this consent session does not belong to connection %s", name))
}

// read parses the response to this authorization request, and compares its iss
// parameter with the connection's issuer (RFC 9207 §2.4). A response without iss is
// accepted: only the server's metadata, which is not read, would tell whether it
// always sends one.
func (p startParams) read(rawQuery string) (oauth.AuthorizationResponse, error) {
	r, err := oauth.ReadAuthorizationResponse(rawQuery, oauth.ResponseFormat{Issuer: p.Issuer,
		Callback: provider.Callback{Code: p.CodeName, Extra: p.Extra}})
	if err != nil {
		return r, invalidResponse(err)
	}
	return r, nil
}

// warnMismatch marks the audit entry of a request for another's session (FI-45).
func warnMismatch(ctx context.Context) { audit.From(ctx).Warn(audit.SessionMismatch) }

// authorizationRequest returns the authorization request with this state.
func (p startParams) authorizationRequest(state string) (string, error) {
	address, err := oauth.AuthorizationURL(oauth.AuthorizationRequest{
		AuthorizationURL: p.AuthorizationURL, ClientID: p.ClientID, RedirectURI: p.RedirectURI,
		Scope: p.Scope, State: state, Challenge: p.Challenge, Params: p.Params,
		ScopeSeparator: p.ScopeSeparator, Names: p.Names,
	})
	if err != nil {
		return "", &problem.Error{Code: problem.ConnectionMisconfigured, Cause: err,
			Detail: fmt.Sprintf("connection %s: the authorization request cannot be built: %v", p.Connection, err)}
	}
	return address, nil
}

// redirectURI is the declared one, or a callback for this connection only: the
// code of another connection's server cannot arrive there (OC-09).
func redirectURI(conn connection.Connection, base string) string {
	if conn.RedirectURI != "" {
		return conn.RedirectURI
	}
	return callbackURL(base, conn.Name)
}

func callbackURL(base string, name connection.Name) string {
	return base + "/callback/" + string(name)
}

// isName reports whether the redirect URI is a name that the vendor's console maps to
// an address, or stands for none (urn:ietf:wg:oauth:2.0:oob). Where the browser
// returns is unknown then.
func (p startParams) isName() bool {
	return !strings.HasPrefix(p.RedirectURI, "https://") && !strings.HasPrefix(p.RedirectURI, "http://")
}

// usesOwnCallback reports whether the browser may return to this deployment's
// callback page. Any other path or host has neither the page nor the cookie.
func (p startParams) usesOwnCallback() bool {
	return p.isName() || p.RedirectURI == callbackURL(p.BaseURL, p.Connection)
}

// matchesRedirectURI compares an address with the redirect URI as browsers show
// it: host in lower case, without a default port, and a slash for an empty path.
func (p startParams) matchesRedirectURI(address string) bool {
	got, err := url.Parse(address)
	want, wantErr := url.Parse(p.RedirectURI)
	return p.isName() || err == nil && wantErr == nil && originOf(got) == originOf(want) && pathOf(got) == pathOf(want)
}

func pathOf(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

// secure reports whether browsers use https, which a __Host- cookie requires.
func (p startParams) secure() bool { return strings.HasPrefix(p.BaseURL, "https://") }

// parseOrigin returns the origin of an address as browsers write it, or nothing.
func parseOrigin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return originOf(u)
}

// originOf returns scheme and host without a default port (RFC 6454 §6.1).
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}
