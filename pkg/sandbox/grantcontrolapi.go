package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// delegatedState is what the control endpoints show of a delegated client. It has no
// code and no token.
type delegatedState struct {
	AuthorizationURL      string         `json:"authorization_url"`
	RevocationURL         string         `json:"revocation_url"`
	RedirectURIs          []string       `json:"redirect_uris"`
	PostLogoutRedirectURI string         `json:"post_logout_redirect_uri,omitempty"`
	RequirePKCE           bool           `json:"require_pkce,omitempty"`
	Issuer                ResponseIssuer `json:"iss,omitempty"`
	IDToken               bool           `json:"id_token,omitempty"`
	Refresh               wirePolicy     `json:"refresh"`
	Grants                []grantState   `json:"grants"`
}

// grantState is a grant that can be refreshed.
type grantState struct {
	User          string `json:"user"`
	Scope         string `json:"scope"`
	RefreshTokens int    `json:"refresh_tokens"`
}

// wirePolicy is a RefreshPolicy in JSON; times are in seconds.
type wirePolicy struct {
	Rotation  RefreshRotation `json:"rotation,omitempty"`
	Grace     uint32          `json:"grace,omitempty"`
	Repeat    RepeatedToken   `json:"repeat,omitempty"`
	Life      uint32          `json:"life,omitempty"`
	StateLife bool            `json:"state_life,omitempty"`
}

func (p wirePolicy) policy() RefreshPolicy {
	return RefreshPolicy{
		p.Rotation, time.Duration(p.Grace) * time.Second, p.Repeat, time.Duration(p.Life) * time.Second, p.StateLife,
	}
}

func (p RefreshPolicy) onWire() wirePolicy {
	return wirePolicy{p.Rotation, uint32(p.Grace / time.Second), p.Repeat, uint32(p.Life / time.Second), p.StateLife}
}

// delegatedStateOf is the delegated part of a client's state. s.mu is held.
func (s *Sandbox) delegatedStateOf(c *client) *delegatedState {
	base, about := s.baseURL+c.server.prefix, c.server.delegation
	shown := &delegatedState{
		AuthorizationURL: base + about.authorizePath, RevocationURL: base + about.revocationPath,
		RedirectURIs: append([]string{}, c.redirectURIs...), PostLogoutRedirectURI: c.afterLogout,
		RequirePKCE: c.requirePKCE, Issuer: c.issuer, IDToken: c.idToken,
		Refresh: c.policy.onWire(), Grants: []grantState{},
	}
	for g, n := range s.activeGrants(c) {
		shown.Grants = append(shown.Grants, grantState{g.user, g.scope, n})
	}
	slices.SortFunc(shown.Grants, func(a, b grantState) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Scope, b.Scope), a.RefreshTokens-b.RefreshTokens)
	})
	return shown
}

// controlRegister returns the new client's connection file.
func controlRegister(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body struct {
		ClientAuth            provider.ClientAuth `json:"client_auth"`
		Scopes                []string            `json:"scopes"`
		Delegated             bool                `json:"delegated"`
		RedirectURIs          []string            `json:"redirect_uris"`
		PostLogoutRedirectURI string              `json:"post_logout_redirect_uri"`
		RequirePKCE           bool                `json:"require_pkce"`
		Issuer                ResponseIssuer      `json:"iss"`
		IDToken               bool                `json:"id_token"`
		Refresh               wirePolicy          `json:"refresh"`
	}
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	err := s.Register(Client{
		Connection: connection, ClientAuth: body.ClientAuth, Scopes: body.Scopes,
		Delegated: body.Delegated, RedirectURIs: body.RedirectURIs, PostLogoutRedirectURI: body.PostLogoutRedirectURI,
		RequirePKCE: body.RequirePKCE, Issuer: body.Issuer, IDToken: body.IDToken, Refresh: body.Refresh.policy(),
	})
	if err != nil {
		return nil, err
	}
	return json.RawMessage(s.Connections()[connection]), nil
}

// controlRedirects sets the members in the body, and keeps the others.
func controlRedirects(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body struct {
		RedirectURIs          *[]string `json:"redirect_uris"`
		PostLogoutRedirectURI *string   `json:"post_logout_redirect_uri"`
	}
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	if body.RedirectURIs == nil && body.PostLogoutRedirectURI == nil {
		return nil, errors.New("set redirect_uris (an array), post_logout_redirect_uri, or both")
	}
	if body.RedirectURIs != nil {
		if err := s.SetRedirectURIs(connection, *body.RedirectURIs...); err != nil {
			return nil, err
		}
	}
	if body.PostLogoutRedirectURI != nil {
		if err := s.SetPostLogoutRedirectURI(connection, *body.PostLogoutRedirectURI); err != nil {
			return nil, err
		}
	}
	return controlState(s, connection, r)
}

// controlRefresh replaces the policy; absent members have their default.
func controlRefresh(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body wirePolicy
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	if err := s.SetRefreshPolicy(connection, body.policy()); err != nil {
		return nil, err
	}
	return controlState(s, connection, r)
}

func controlIssuer(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body struct {
		Issuer *ResponseIssuer `json:"iss"`
	}
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	if body.Issuer == nil {
		return nil, errors.New(`iss is missing: "true", "false", or "" to omit it`)
	}
	if err := s.SetResponseIssuer(connection, *body.Issuer); err != nil {
		return nil, err
	}
	return controlState(s, connection, r)
}

func controlEnd(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body struct {
		User string `json:"user"`
	}
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	ended, err := s.EndGrants(connection, body.User)
	if err != nil {
		return nil, err
	}
	return map[string]int{"ended": ended}, nil
}

func controlExpire(s *Sandbox, connection string, r *http.Request) (any, error) {
	if err := readControl(r, &struct{}{}); err != nil {
		return nil, err
	}
	expired, err := s.ExpireRefreshTokens(connection)
	if err != nil {
		return nil, err
	}
	return map[string]int{"expired": expired}, nil
}

func controlForget(s *Sandbox, connection string, r *http.Request) (any, error) {
	if err := readControl(r, &struct{}{}); err != nil {
		return nil, err
	}
	forgotten, err := s.ForgetCodes(connection)
	if err != nil {
		return nil, err
	}
	return map[string]int{"forgotten": forgotten}, nil
}
