package sandbox

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// delegation is a server's support for users (RFC 6749 §4.1): what differs between
// the providers, as data.
type delegation struct {
	// brand is the name on the pages.
	brand string
	// authorizePath and revocationPath are mounted beside the token endpoint.
	authorizePath, revocationPath string
	// codeLife is the lifetime of a code; refreshLife that of a refresh token, zero is
	// unlimited.
	codeLife, refreshLife time.Duration
	// offlineScope must be requested to get a refresh token; empty: it is always issued.
	offlineScope string
	// sameScope: a refresh must name the scope that was consented to.
	sameScope bool
	// scopeInRedirect: the authorization response names the scope.
	scopeInRedirect bool
	// refusesLocalhost: no redirect URI may be on the user's own machine.
	refusesLocalhost bool
	// people are the users on the sign-in page.
	people []person
	// noRefresh: no refresh token is issued, because access tokens do not end.
	noRefresh bool
	// scope returns the scope for which a user is asked to consent.
	scope func(c *client, requested string) (string, *refusal)
}

// person is a user on the sign-in page. There are no passwords.
type person struct {
	Email, Name string
	// ineligible is why this one may not consent; empty for those who may.
	ineligible string
}

// delegate is the part of a client that acts for users.
type delegate struct {
	// redirectURIs are compared as strings (RFC 9700 §4.1.3).
	redirectURIs []string
	// redirectName stands for the first of them; empty if the URIs are sent.
	redirectName string
	// afterLogout is the post-logout redirect URI; empty for none.
	afterLogout string
	requirePKCE bool
	issuer      ResponseIssuer
	idToken     bool
	policy      RefreshPolicy
}

// isDelegated reports whether the client acts for users who consent.
func (c *client) isDelegated() bool { return c.grantTypes[0] == authorizationCode }

// delegated is the client of a connection that acts for users. s.mu is held.
func (s *Sandbox) delegated(connection string) (*client, error) {
	c, err := s.lookup(connection)
	if err == nil && !c.isDelegated() {
		err = errors.New("the client is not registered for authorization_code")
	}
	return c, err
}

// ResponseIssuer is the iss parameter of an authorization response (RFC 9207).
type ResponseIssuer string

// The values of ResponseIssuer.
const (
	// IssuerAbsent omits the iss parameter.
	IssuerAbsent ResponseIssuer = ""
	// IssuerTrue names the server.
	IssuerTrue ResponseIssuer = "true"
	// IssuerFalse names another server, as in a mix-up attack.
	IssuerFalse ResponseIssuer = "false"
)

func (i ResponseIssuer) check() error {
	switch i {
	case IssuerAbsent, IssuerTrue, IssuerFalse:
		return nil
	}
	return errors.New(`iss must be "true", "false", or "" to omit it`)
}

// RefreshRotation is when a new refresh token replaces the one in the request.
type RefreshRotation string

// The values of RefreshRotation.
const (
	// RotateNever keeps the refresh token as it is.
	RotateNever RefreshRotation = "never"
	// RotateAlways invalidates the one in the request, and tolerates its reuse.
	RotateAlways RefreshRotation = "always"
	// RotateAndDetect also treats a second use as theft, and ends the grant with all
	// its tokens (RFC 9700 §4.14.2).
	RotateAndDetect RefreshRotation = "detect"
	// RotateUntilUsed invalidates the one in the request when the client has shown that
	// it holds the new one.
	RotateUntilUsed RefreshRotation = "until_used"
)

// RepeatedToken is the member refresh_token of a response without a new one.
type RepeatedToken string

// The values of RepeatedToken.
const (
	RepeatSame  RepeatedToken = "same"
	RepeatOmit  RepeatedToken = "omit"
	RepeatEmpty RepeatedToken = "empty"
	RepeatNull  RepeatedToken = "null"
)

// RefreshPolicy is how a server handles a client's refresh tokens.
type RefreshPolicy struct {
	// Rotation is when they are replaced; empty is RotateNever.
	Rotation RefreshRotation
	// Grace is how long a replaced one still works; each use makes another successor.
	// It is for rotation only.
	Grace time.Duration
	// Repeat is the member in a response without a new one; empty is RepeatSame. It is
	// for RotateNever only.
	Repeat RepeatedToken
	// Life is the lifetime of new refresh tokens; zero is the documented one. A refresh
	// token that is kept does not get a new one.
	Life time.Duration
	// StateLife adds refresh_token_expires_in to responses with a refresh token.
	StateLife bool
}

// completed sets the defaults, or says what is wrong.
func (p RefreshPolicy) completed() (RefreshPolicy, error) {
	if p.Rotation == "" {
		p.Rotation = RotateNever
	}
	if p.Repeat == "" {
		p.Repeat = RepeatSame
	}
	rotates := p.Rotation == RotateAlways || p.Rotation == RotateAndDetect || p.Rotation == RotateUntilUsed
	switch {
	case !rotates && p.Rotation != RotateNever:
		return p, errors.New("rotation must be never, always, detect or until_used")
	case p.Repeat != RepeatSame && p.Repeat != RepeatOmit && p.Repeat != RepeatEmpty && p.Repeat != RepeatNull:
		return p, errors.New("repeat must be same, omit, empty or null")
	case rotates && p.Repeat != RepeatSame:
		return p, errors.New("repeat is for rotation never: a response without the new refresh token would end the grant")
	case (!rotates || p.Rotation == RotateUntilUsed) && p.Grace != 0:
		return p, errors.New("a grace period is for rotation always and detect")
	case p.Grace < 0 || p.Life < 0 || p.Grace%time.Second != 0 || p.Life%time.Second != 0:
		return p, errors.New("grace and life must be whole seconds, and not negative")
	}
	return p, nil
}

// checkRedirects says what is wrong with redirect URIs.
func (s *Sandbox) checkRedirects(srv *server, uris ...string) error {
	for _, text := range uris {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil:
			return errors.New("a redirect URI must be an absolute http or https URL")
		case strings.Contains(text, "#"):
			return errors.New("a redirect URI must not have a fragment (RFC 6749 §3.1.2)")
		case srv.delegation.refusesLocalhost && !s.localRedirects && isLocal(u.Hostname()):
			return errors.New("redirect URIs on localhost are not supported by this provider; Config.LocalRedirects allows them in the sandbox")
		}
	}
	return nil
}

// isLocal reports whether a host is the local machine.
func isLocal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}
