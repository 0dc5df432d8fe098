package connection

import (
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// provider reads the provider, replaces its variables and overrides it by the
// declaration's own members. It reports false if there is none to go on with.
func (r *reader) provider() bool {
	server, known := r.declaredProvider()
	r.c.Provider = server.Name
	if !known || !r.Sound(mProvider) || !r.Sound(mVariables) {
		return false
	}
	r.server = server.Resolve(r.Map(mVariables), func(variable, problem string) {
		r.Report(mVariables+"/"+variable, "%s", problem)
	})
	if !r.Sound(mVariables) {
		return false
	}
	r.server.Override(r.Reader)
	return true
}

func (r *reader) declaredProvider() (provider.Provider, bool) {
	if inner, ok := r.Object(mProvider); ok {
		return provider.Declared(inner), true
	}
	name, ok := r.Text(mProvider)
	if !ok {
		return provider.Provider{}, false
	}
	p, known := provider.Lookup(name)
	if !known {
		r.Report(mProvider, "is not a name of the catalogue%s", hint(name))
	}
	return p, known
}

func hint(name string) string {
	if near := object.DidYouMean(name, provider.Names()); near != "" {
		return "; " + near
	}
	return "; for another server declare it here as an object, or use oauth2 and state its endpoints"
}

// grantType reads the grant, which the provider must offer.
func (r *reader) grantType() bool {
	if !r.Sound(mGrantType) {
		return false
	}
	text, stated := r.Text(mGrantType)
	if !stated {
		text = string(ClientCredentials)
	}
	offered := r.server.GrantTypes
	if offered == nil {
		offered = []string{string(ClientCredentials), string(AuthorizationCode)}
	}
	r.c.GrantType = GrantType(text)
	switch {
	case slices.Contains(offered, text):
		return true
	case len(offered) == 0:
		r.Report(mProvider, "is %s, which offers no OAuth grant%s", r.server.Name, r.note())
	case strings.HasSuffix(text, "token-exchange") || text == "token_exchange":
		r.Report(mGrantType, "must be %s: token exchange (RFC 8693) is not in this release", object.Join(offered))
	case !stated:
		r.Report(mGrantType, "is missing; provider %s offers %s", r.server.Name, object.Join(offered))
	default:
		r.Report(mGrantType, "must be one that provider %s offers: %s", r.server.Name, object.Join(offered))
	}
	return false
}

func (r *reader) note() string {
	if r.server.Note == "" {
		return ""
	}
	return ": " + r.server.Note
}
