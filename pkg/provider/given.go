package provider

import (
	"maps"
	"slices"
)

// Given is a member that a connection states for a provider, besides client_id.
type Given struct {
	// Member is its path: "client_secret", "variables/shop".
	Member string
	// About tells the operator what to write; empty for the members that every
	// connection may have.
	About string
	// Default is the value of a variable that need not be stated; empty is none.
	Default string
	// Grant is the only grant type that needs the member; empty is all.
	Grant string
}

// Grants returns the grants that the server offers; empty is none.
func (p Provider) Grants() []string {
	if p.GrantTypes == nil {
		return grantTypes[:2:2]
	}
	return p.GrantTypes
}

// Given returns what a connection with the provider states, in the order of names
// for variables, which come first.
func (p Provider) Given() []Given {
	grants := p.Grants()
	if len(grants) == 0 {
		return nil
	}
	var given []Given
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		v := p.Variables[name]
		given = append(given, Given{Member: "variables/" + name, About: v.About, Default: v.Default})
	}
	add := func(when bool, grant string, members ...string) {
		if !when || grant != "" && !slices.Contains(grants, grant) {
			return
		}
		if len(grants) == 1 {
			grant = ""
		}
		for _, member := range members {
			given = append(given, Given{Member: member, Grant: grant})
		}
	}
	add(p.TokenPath != "", "", "base_url")
	add(p.TokenPath == "" && p.TokenURL == "", "", "token_url")
	add(p.AuthorizationURL == "", authorizationCode, "authorization_url")
	add(true, password, "username", "password")
	add(p.ClientAuth == PrivateKeyJWT, "", "private_key")
	add(p.ClientAuth != PrivateKeyJWT, jwtBearer, "private_key")
	usesSecret := p.ClientAuth == "" || p.ClientAuth.UsesSecret()
	for _, grant := range grants { // an assertion needs no client authentication
		add(usesSecret && grant != jwtBearer && slices.Contains(grants, jwtBearer), grant, "client_secret")
	}
	add(usesSecret && !slices.Contains(grants, jwtBearer), "", "client_secret")
	return given
}
