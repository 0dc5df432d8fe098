package sandbox

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// delegation is what a server does for users (RFC 6749 §4.1): what differs
// between the documents, as data.
type delegation struct {
	// brand is whose pages people see.
	brand string
	// authorizePath and revocationPath are mounted beside the token endpoint.
	authorizePath, revocationPath string
	// codeLife is how long a code can be exchanged; refreshLife how long a refresh
	// token lives, zero is for ever.
	codeLife, refreshLife time.Duration
	// offlineScope must be asked for to have a refresh token; empty: everybody has one.
	offlineScope string
	// sameScope: a refresh must name the scope that was consented to.
	sameScope bool
	// scopeInRedirect: the authorization response names the scope.
	scopeInRedirect bool
	// refusesLocalhost: no redirect URI may be on the user's own machine.
	refusesLocalhost bool
	// people are those whom the sign-in page offers.
	people []person
	// scope decides what a user is asked to consent to.
	scope func(c *client, requested string) (string, *refusal)
}

// person is a user whom the sign-in page offers. There are no passwords.
type person struct {
	Email, Name string
	// unfit is why this one may not consent; empty for those who may.
	unfit string
}

// delegate is the part of a client that acts for users.
type delegate struct {
	// redirectURIs are compared as strings (RFC 9700 §4.1.3).
	redirectURIs []string
	// afterLogout is where a browser goes that logs out half-way; empty is nowhere.
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
	c, err := s.named(connection)
	if err == nil && !c.isDelegated() {
		err = errors.New("the client acts for no user who consents: it is not registered for authorization_code")
	}
	return c, err
}

// ResponseIssuer is what an authorization response says about who sends it
// (RFC 9207).
type ResponseIssuer string

// What a response may say.
const (
	// IssuerAbsent leaves the iss parameter out.
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
	return errors.New(`iss must be "true", "false", or "" to leave it out`)
}

// RefreshRotation is when a new refresh token replaces the one that was presented.
type RefreshRotation string

// When one does.
const (
	// RotateNever keeps the refresh token as it is.
	RotateNever RefreshRotation = "never"
	// RotateAlways ends the one that was presented, and forgives what uses it again.
	RotateAlways RefreshRotation = "always"
	// RotateAndDetect also takes a second use for a theft, and ends the grant with
	// all its tokens (RFC 9700 §4.14.2).
	RotateAndDetect RefreshRotation = "detect"
)

// RepeatedToken is what an answer holds as refresh_token when no new one was made.
type RepeatedToken string

// What it may hold.
const (
	RepeatSame  RepeatedToken = "same"
	RepeatOmit  RepeatedToken = "omit"
	RepeatEmpty RepeatedToken = "empty"
	RepeatNull  RepeatedToken = "null"
)

// RefreshPolicy is how a server treats a client's refresh tokens.
type RefreshPolicy struct {
	// Rotation is when they are replaced; empty is RotateNever.
	Rotation RefreshRotation
	// Grace is how long one that was replaced still works; each use makes another
	// successor. It goes with rotation only.
	Grace time.Duration
	// Repeat is how an answer without a new one puts it; empty is RepeatSame. It
	// goes with RotateNever only.
	Repeat RepeatedToken
	// Life is that of new refresh tokens; zero is the documented one. A refresh
	// token that stays keeps its end.
	Life time.Duration
	// StateLife adds refresh_token_expires_in to answers with a refresh token.
	StateLife bool
}

// completed fills in the defaults, or says what is wrong.
func (p RefreshPolicy) completed() (RefreshPolicy, error) {
	if p.Rotation == "" {
		p.Rotation = RotateNever
	}
	if p.Repeat == "" {
		p.Repeat = RepeatSame
	}
	rotates := p.Rotation == RotateAlways || p.Rotation == RotateAndDetect
	switch {
	case !rotates && p.Rotation != RotateNever:
		return p, errors.New("rotation must be never, always or detect")
	case p.Repeat != RepeatSame && p.Repeat != RepeatOmit && p.Repeat != RepeatEmpty && p.Repeat != RepeatNull:
		return p, errors.New("repeat must be same, omit, empty or null")
	case rotates && p.Repeat != RepeatSame:
		return p, errors.New("repeat is for rotation never: an answer that hides a new refresh token would end the grant")
	case !rotates && p.Grace != 0:
		return p, errors.New("a grace is for refresh tokens that rotate")
	case p.Grace < 0 || p.Life < 0 || p.Grace%time.Second != 0 || p.Life%time.Second != 0:
		return p, errors.New("grace and life must be whole seconds, and not negative")
	}
	return p, nil
}

// checkRedirects says what is wrong with addresses that a browser is to be
// sent to.
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

// isLocal reports whether a host is the machine of whoever asks.
func isLocal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}
