package connection

import (
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/egress"
)

// endpoints reads the URLs. Each is that of the provider unless the declaration
// states its own.
func (r *reader) endpoints() {
	s, c := r.server, r.c
	c.TokenURL = r.tokenURL()
	c.RefreshURL = r.checked(mRefreshURL, s.RefreshURL)
	c.RevocationURL = r.checked(mRevocationURL, s.RevocationURL)
	c.Issuer = r.checked(mIssuer, s.Issuer)
	if !c.Delegated() {
		return
	}
	c.AuthorizationURL = r.checked(mAuthorizationURL, s.AuthorizationURL)
	if s.AuthorizationURL == "" && !r.Has(mAuthorizationURL) {
		r.Report(mAuthorizationURL, "is missing; grant_type authorization_code needs it, and provider %s has no default", s.Name)
	}
}

// checked returns the URL, or reports why it is not allowed where it was stated.
func (r *reader) checked(member, text string) string {
	if text == "" || !r.Sound(member) {
		return ""
	}
	sent := text
	if member == mAuthorizationURL {
		sent, _, _ = strings.Cut(text, "#") // a browser keeps the fragment
	}
	err := r.egress.CheckURL(sent)
	if err == nil {
		return text
	}
	switch _, inline := r.Object(mProvider); {
	case r.Has(member):
		r.Report(member, "%v", err)
	case len(r.server.Variables) > 0:
		r.Report(mVariables, "make a %s that %v", member, err)
	case inline:
		r.Report(mProvider+"/"+member, "%v", err)
	default:
		r.Report(member, "%v", err)
	}
	return ""
}

// tokenURL returns the provider's token endpoint, or for a provider with one host
// per tenant, base_url with the provider's path.
func (r *reader) tokenURL() string {
	switch {
	case r.server.TokenPath == "":
		r.RejectUnused("is not used by provider "+r.server.Name+", which has one host for all tenants", mBaseURL)
	case !r.Has(mTokenURL):
		return r.tenantURL()
	default:
		base, _ := r.Text(mBaseURL)
		r.checked(mBaseURL, base) // overridden, but must be valid
	}
	if r.server.TokenURL == "" && !r.Has(mTokenURL) {
		r.Report(mTokenURL, "is missing; provider %s has no default", r.server.Name)
	}
	return r.checked(mTokenURL, r.server.TokenURL)
}

func (r *reader) tenantURL() string {
	if !r.Has(mBaseURL) {
		r.Report(mBaseURL, "is missing; provider %s needs the address of the tenant", r.server.Name)
		return ""
	}
	text, _ := r.Text(mBaseURL)
	base := r.checked(mBaseURL, text)
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
		r.Report(mBaseURL, "%s", problem)
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

// maxRedirectURI is the longest redirect URI, in bytes.
const maxRedirectURI = 2048

// redirectURI reads where the authorization response goes. It is sent as it is, and
// need not be a URL: some servers name it otherwise, or show the code to the user
// (urn:ietf:wg:oauth:2.0:oob). The service does not connect there, so a host may be
// private. The URI carries an authorization code, hence https; http is accepted for
// networks that the egress policy allows.
func (r *reader) redirectURI() {
	text, ok := r.Text(mRedirectURI)
	if !ok {
		return
	}
	if problem := checkRedirectURI(text, r.egress); problem != "" {
		r.Report(mRedirectURI, "%s", problem)
		return
	}
	r.c.RedirectURI = text
}

func checkRedirectURI(text string, policy egress.Policy) (problem string) {
	if !isPrintableASCII(text) || len(text) > maxRedirectURI {
		return "contains a space, a control or a non-ASCII character, or is longer than 2048 bytes; write it as it is registered, other characters percent-encoded"
	}
	scheme, _, absolute := strings.Cut(strings.ToLower(text), "://")
	if !absolute || scheme != "https" && scheme != "http" {
		return "" // a name, or a URI that no browser requests from a server
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL; write https://host/path"
	case u.User != nil:
		return "contains a user name or password before the host; remove it"
	case strings.Contains(text, "#"):
		return "contains a fragment, which a redirect URI must not have (RFC 6749 §3.1.2); remove it"
	case scheme == "https" && u.Hostname() != "":
		return ""
	}
	if err := policy.CheckURL(text); err != nil {
		return err.Error()
	}
	return ""
}

func isPrintableASCII(s string) bool { return !strings.ContainsFunc(s, notGraphicASCII) }
