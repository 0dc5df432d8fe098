package connection

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	// maxSecret is the size that Secrets Manager accepts, in bytes.
	maxSecret = 64 << 10
	// assumedExpiresIn stands where neither the declaration nor the catalogue
	// says how long a token lives.
	assumedExpiresIn = 300 * time.Second
	maxExpiresIn     = 90 * 24 * time.Hour
	// maxRefreshExpiresIn is five years, longer than any server states.
	maxRefreshExpiresIn = 5 * 365 * 24 * time.Hour
)

// Parser reads declarations. The zero Parser accepts providers on public
// addresses only.
type Parser struct {
	// Egress judges each URL that is declared.
	Egress egress.Policy
}

// Parse reads the connection called name from s, the secret called
// name.Secret(). The error is ErrNoConnection when s declares no connection of
// that name, else a *Problem or Problems. Only the declaration itself decides:
// in a bundle another member's mistakes do not matter.
func (p Parser) Parse(name Name, s clientsecret.Secret) (Connection, error) {
	src, err := find(name, s)
	if err != nil {
		return Connection{}, err
	}
	return p.parse(src)
}

// source is the text of one declaration and where it stands.
type source struct {
	name   Name
	where  string
	text   []byte
	secret clientsecret.Secret
}

func (p Parser) parse(src source) (Connection, error) {
	root, err := strictjson.Parse(src.text)
	if err != nil {
		return Connection{}, syntaxProblem(src.where, err)
	}
	members, ok := root.(map[string]any)
	if !ok {
		return Connection{}, &ValidationError{Where: src.where, Text: "is " + kindOf(root) + "; it has to be an object"}
	}
	var problems ValidationErrors
	c := p.read(declaration{where: src.where, members: members, problems: &problems})
	if err := problems.err(); err != nil {
		return Connection{}, err
	}
	c.Name, c.SecretVersion = src.name, src.secret.VersionID
	c.ConfigHash = digest.Long(string(canonical(members)))
	c.SecretIncarnation = digest.Short(src.secret.ARN)
	return c, nil
}

// read completes a declaration from the catalogue. What a wrong provider or
// grant type entails is not worth a problem of its own.
func (p Parser) read(d declaration) Connection {
	d.refuseUnknown(memberNames)
	server, known := d.provider()
	c := Connection{Provider: server.Name}
	if c.GrantType = d.grantType(); c.GrantType == "" || !known {
		return c
	}
	d.client(&c, server)
	d.scope(&c, server)
	d.endpoints(&c, server, p.Egress)
	d.consent(&c, server)
	c.TokenParams = d.params(mTokenParams)
	c.Response = d.response(server.Response)
	c.DefaultExpiresIn = d.seconds("default_expires_in", orElse(server.DefaultExpiresIn, assumedExpiresIn), maxExpiresIn)
	c.EarlyRefresh = d.flag("early_refresh", true)
	c.NewTokenRevokesOld = server.NewTokenRevokesOld
	c.Callers = d.callers(c.GrantType)
	return c
}

func (d declaration) provider() (provider.Provider, bool) {
	name, ok := d.text("provider")
	if !ok {
		d.require("provider")
		return provider.Provider{}, false
	}
	p, known := provider.Lookup(name)
	if !known {
		hint := ""
		if near, ok := nearest(name, provider.Names()); ok {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		d.note("provider", "has to be one of %s%s", join(provider.Names()), hint)
	}
	return p, known
}

func (d declaration) grantType() GrantType {
	const name = "grant_type"
	if !d.has(name) {
		return ClientCredentials
	}
	text, ok := d.text(name)
	if !ok {
		return ""
	}
	if g := GrantType(text); g == ClientCredentials || g == AuthorizationCode {
		return g
	}
	d.note(name, "has to be %s or %s", ClientCredentials, AuthorizationCode)
	return ""
}

func (d declaration) scope(c *Connection, p provider.Provider) {
	c.Scope = p.Scope[string(c.GrantType)]
	if d.has(mScope) {
		c.Scope = d.scopeText()
	}
	if c.GrantType == AuthorizationCode {
		d.refuseUseless("is used with grant_type client_credentials only", mAllowedScopes)
		return
	}
	c.AllowedScopes = d.texts(mAllowedScopes, checkScopeToken)
}

func (d declaration) scopeText() string {
	text, ok := d.text(mScope)
	if !ok {
		return ""
	}
	if _, err := scopeTokens(text); err != nil {
		d.note(mScope, "%v", err)
	}
	return text
}

func checkScopeToken(text string) error {
	if !isScopeToken(text) {
		return errors.New("is not one scope token: no space, quote, backslash, control or non-ASCII character (RFC 6749 §3.3)")
	}
	return nil
}

// consent reads what a delegated connection alone has beside its endpoints. A
// connection that acts for itself would ignore it, so that there it is refused.
func (d declaration) consent(c *Connection, p provider.Provider) {
	if c.GrantType == ClientCredentials {
		d.refuseUseless("is used with grant_type authorization_code only",
			mAuthorizationURL, mRedirectURI, mPKCE, mAuthzParams, mRefreshExpiresIn)
		return
	}
	c.PKCE = d.flag(mPKCE, true)
	c.RepeatScope = p.RepeatScope
	c.AuthorizationParams = d.authorizationParams()
	c.RefreshTokenExpiresIn = d.seconds(mRefreshExpiresIn, p.RefreshTokenExpiresIn, maxRefreshExpiresIn)
}

func orElse(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return d
}

// syntaxProblem turns the strict reader's error into a Problem.
func syntaxProblem(where string, err error) *ValidationError {
	var e *strictjson.Error
	if !errors.As(err, &e) {
		return &ValidationError{Where: where, Text: "is not JSON"}
	}
	return &ValidationError{Where: where, Member: strings.TrimPrefix(e.Path, "/"), Text: e.Problem}
}

// canonical writes a declaration so that white space and the order of members
// make no difference: encoding/json sorts the members of a map, and numbers
// keep their digits.
func canonical(members map[string]any) []byte {
	text, err := json.Marshal(members)
	if err != nil {
		panic("connection: what was read as JSON cannot be written as JSON: " + err.Error())
	}
	return text
}
