package connection

import (
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// endpoints completes the catalogue's addresses with the declaration's.
func (d declaration) endpoints(c *Connection, p provider.Provider, policy egress.Policy) {
	c.TokenURL = d.endpoint(mTokenURL, d.tokenURL(p, policy), policy)
	c.RevocationURL = d.endpoint("revocation_url", "", policy)
	c.Issuer = d.endpoint("issuer", "", policy)
	if c.TokenURL == "" && !d.has(mTokenURL) && p.TokenPath == "" {
		d.note(mTokenURL, "is missing; provider %s states none", p.Name)
	}
	if c.GrantType != AuthorizationCode {
		return
	}
	c.AuthorizationURL = d.endpoint(mAuthorizationURL, p.AuthorizationURL, policy)
	if c.AuthorizationURL == "" && !d.has(mAuthorizationURL) {
		d.note(mAuthorizationURL, "is missing; authorization_code needs it, and provider %s states none", p.Name)
	}
	c.RedirectURI = d.redirectURI(policy)
}

// endpoint returns the member, or standard where it is absent.
func (d declaration) endpoint(name, standard string, policy egress.Policy) string {
	if !d.has(name) {
		return standard
	}
	text, ok := d.text(name)
	if !ok {
		return ""
	}
	if err := policy.CheckURL(text); err != nil {
		d.note(name, "%v", err)
		return ""
	}
	return text
}

// tokenURL returns where the catalogue, or the tenant's base_url with the
// catalogue's path, puts the token endpoint.
func (d declaration) tokenURL(p provider.Provider, policy egress.Policy) string {
	if p.TokenPath == "" {
		d.refuseUseless("is not used by provider "+p.Name+", which has no tenant host", mBaseURL)
		return p.TokenURL
	}
	if d.has(mTokenURL) {
		_ = d.endpoint(mBaseURL, "", policy) // overridden, but still to be well-formed
		return ""
	}
	if !d.has(mBaseURL) {
		d.note(mBaseURL, "is missing; provider %s needs the address of the tenant", p.Name)
		return ""
	}
	base := d.endpoint(mBaseURL, "", policy)
	if base == "" {
		return ""
	}
	joined, problem := joinBase(base, p.TokenPath)
	if problem == "" {
		if err := policy.CheckURL(joined); err != nil {
			problem = err.Error()
		}
	}
	if problem != "" {
		d.note(mBaseURL, "%s", problem)
		return ""
	}
	return joined
}

// joinBase appends path byte for byte: cleaning or escaping would change what a
// server with a case-sensitive path is asked for.
func joinBase(base, path string) (joined, problem string) {
	if strings.ContainsAny(base, "?#") {
		return "", "has a query or a fragment; end it with the host or a path"
	}
	base = strings.TrimSuffix(base, "/")
	if strings.HasSuffix(base, "/") {
		return "", "ends with several slashes; keep one or none"
	}
	return base + path, ""
}

// redirectURI is where a browser is sent, not where the service connects to, so
// that its host may be private. It carries an authorization code, hence https;
// http is for networks that the egress policy opened.
func (d declaration) redirectURI(policy egress.Policy) string {
	if !d.has(mRedirectURI) {
		return ""
	}
	text, ok := d.text(mRedirectURI)
	if !ok {
		return ""
	}
	if problem := redirectProblem(text, policy); problem != "" {
		d.note(mRedirectURI, "%s", problem)
		return ""
	}
	return text
}

func redirectProblem(text string, policy egress.Policy) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || !isPrintableASCII(text):
		return "cannot be read as a URL; write https://host/path, other characters percent-encoded"
	case u.User != nil:
		return "holds a user name or password before the host; remove it"
	case strings.Contains(text, "#"):
		return "holds a fragment, which a redirect URI may not (RFC 6749 §3.1.2)"
	case u.Scheme == "https" && u.Hostname() != "":
		return ""
	}
	if err := policy.CheckURL(text); err != nil {
		return err.Error()
	}
	return ""
}

func isPrintableASCII(s string) bool { return !strings.ContainsFunc(s, notGraphicASCII) }
