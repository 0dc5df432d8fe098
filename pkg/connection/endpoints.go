package connection

import (
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/egress"
)

// endpoint returns the member, or fallback if it is absent.
func (r *reader) endpoint(name, fallback string) string {
	if !r.has(name) {
		return fallback
	}
	text, ok := r.text(name)
	if !ok {
		return ""
	}
	if err := r.egress.CheckURL(text); err != nil {
		r.report(name, "%v", err)
		return ""
	}
	return text
}

func (r *reader) tokenURL() {
	r.c.TokenURL = r.endpoint(mTokenURL, r.catalogueTokenURL())
	if r.c.TokenURL == "" && !r.has(mTokenURL) && r.server.TokenPath == "" {
		r.report(mTokenURL, "is missing; provider %s has no default", r.server.Name)
	}
}

func (r *reader) authorizationURL() {
	r.c.AuthorizationURL = r.endpoint(mAuthorizationURL, r.server.AuthorizationURL)
	if r.c.AuthorizationURL == "" && !r.has(mAuthorizationURL) {
		r.report(mAuthorizationURL, "is missing; grant_type authorization_code needs it, and provider %s has no default", r.server.Name)
	}
}

// catalogueTokenURL returns the catalogue's token endpoint, or for a provider
// with one host per tenant, base_url with the catalogue's path.
func (r *reader) catalogueTokenURL() string {
	if r.server.TokenPath == "" {
		r.rejectUnused("is not used by provider "+r.server.Name+", which has one host for all tenants", mBaseURL)
		return r.server.TokenURL
	}
	if r.has(mTokenURL) {
		_ = r.endpoint(mBaseURL, "") // overridden, but must be valid
		return ""
	}
	if !r.has(mBaseURL) {
		r.report(mBaseURL, "is missing; provider %s needs the address of the tenant", r.server.Name)
		return ""
	}
	base := r.endpoint(mBaseURL, "")
	if base == "" {
		return ""
	}
	joined, problem := joinBase(base, r.server.TokenPath)
	if problem == "" {
		if err := r.egress.CheckURL(joined); err != nil {
			problem = err.Error()
		}
	}
	if problem != "" {
		r.report(mBaseURL, "%s", problem)
		return ""
	}
	return joined
}

// joinBase appends path byte for byte: cleaning or escaping would change the
// request to a server with a case-sensitive path.
func joinBase(base, path string) (joined, problem string) {
	if strings.ContainsAny(base, "?#") {
		return "", "has a query or a fragment; remove what follows the path"
	}
	base = strings.TrimSuffix(base, "/")
	if strings.HasSuffix(base, "/") {
		return "", "ends with several slashes; keep one or none"
	}
	return base + path, ""
}

// redirectURI reads where a browser is sent. The service does not connect there,
// so the host may be private. The URI carries an authorization code, hence https;
// http is accepted for networks that the egress policy allows.
func (r *reader) redirectURI() {
	if !r.has(mRedirectURI) {
		return
	}
	text, ok := r.text(mRedirectURI)
	if !ok {
		return
	}
	if problem := checkRedirectURI(text, r.egress); problem != "" {
		r.report(mRedirectURI, "%s", problem)
		return
	}
	r.c.RedirectURI = text
}

func checkRedirectURI(text string, policy egress.Policy) (problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !isPrintableASCII(text):
		return "is not a URL; write https://host/path, other characters percent-encoded"
	case u.User != nil:
		return "contains a user name or password before the host; remove it"
	case strings.Contains(text, "#"):
		return "contains a fragment, which a redirect URI must not have (RFC 6749 §3.1.2); remove it"
	case u.Scheme == "https" && u.Hostname() != "":
		return ""
	}
	if err := policy.CheckURL(text); err != nil {
		return err.Error()
	}
	return ""
}

func isPrintableASCII(s string) bool { return !strings.ContainsFunc(s, notGraphicASCII) }
