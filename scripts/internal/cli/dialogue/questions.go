package dialogue

import (
	"cmp"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// question asks for one member of the object.
type question struct {
	// member is its path, as errors name it.
	member string
	help   string
	// fallback is the answer to an empty line where neither the metadata nor an
	// earlier answer is one.
	fallback string
	// standard is an answer that the object need not state.
	standard string
	// when says whether the member is asked for; nil is always.
	when func(answers) bool
	// value is what the object states for an answer; nil is the text.
	value func(text string) (any, error)
}

// answers are what was answered, by member. An answer to leave out is empty.
type answers map[string]string

func (a answers) offers(grant connection.GrantType) bool {
	return strings.Contains(" "+a["grant_types"]+" ", " "+string(grant)+" ")
}

func withUsers(a answers) bool { return a.offers(connection.AuthorizationCode) }

func withClient(a answers) bool { return a.offers(connection.ClientCredentials) }

// beside returns the pointer to a member next to the access token.
func (a answers) beside(name string) string {
	pointer := cmp.Or(a["response/access_token"], "/access_token")
	return pointer[:strings.LastIndex(pointer, "/")+1] + name
}

// questions are in the order of asking.
var questions = []question{
	{member: "token_url", help: "The URL at which tokens are requested. The client's secret is sent there."},
	{member: "title", help: "The provider's name, for people."},
	{member: "documentation", help: "The address of the vendor's page about its tokens."},
	{
		member: "grant_types", fallback: string(connection.ClientCredentials), value: words,
		help: "The grants that the server offers, of client_credentials (an application), authorization_code (users who consent) and jwt_bearer (a signed assertion).",
	},
	{member: "authorization_url", help: "The URL at which a user consents.", when: withUsers},
	{member: "revocation_url", help: "The URL at which tokens are revoked, if there is one."},
	{member: "issuer", help: "The server's issuer, if it states one."},
	{
		member: "client_auth", fallback: "client_secret_basic",
		help: "How the client proves itself: client_secret_basic (in the Authorization header), client_secret_post (in the body), client_secret_basic_raw (the header, not encoded), private_key_jwt or none.",
	},
	{member: "request/body", help: "How a token request is encoded: form, json or query (a GET).", fallback: "form", standard: "form"},
	{member: "scope/client_credentials", help: "The scope that an application asks for, if there is one.", when: withClient},
	{member: "scope/authorization_code", help: "The scope that users consent to. Many servers give a refresh token only for offline_access.", when: withUsers},
	{
		member: "scope_separator", help: `What is between two words of a scope: space, comma, or another text.`, fallback: "space", standard: "space",
		value: func(text string) (any, error) { return strings.Replace(text, "comma", ",", 1), nil },
	},
	{member: "token_params", help: "Further parameters of a token request, such as audience=https://api.example.com; & is between two.", value: params},
	{member: "authorization_params", help: "Further parameters of an authorization request, such as access_type=offline&prompt=consent.", when: withUsers, value: params},
	{
		member: "pkce", help: "Whether the server takes PKCE (RFC 7636): true, or false where it refuses.", fallback: "true", standard: "true",
		when: withUsers, value: truth,
	},
	{member: "response/access_token", help: "Where the token is in the answer, as a JSON Pointer.", fallback: "/access_token", standard: "/access_token"},
	{member: "response/expires_in", help: "Where the token's lifetime is, in seconds, as a JSON Pointer.", standard: "/expires_in"},
	{member: "response/refresh_token", help: "Where the refresh token is, as a JSON Pointer.", standard: "/refresh_token", when: withUsers},
	{
		member: "default_expires_in", value: secondsOrNever,
		help: "The token's lifetime in seconds where the answer states none, or never. Without one it is 300.",
	},
	{
		member: "refresh_token/rotation", when: withUsers,
		help: "What a refresh does to the refresh token: kept, until_used (valid until its successor is used) or strict (it ends). Empty if the vendor does not say.",
	},
	{
		member: "present", fallback: "Authorization: Bearer", standard: "Authorization: Bearer", value: present,
		help: "How a request to the API has the token: the header, a colon, and what precedes the token.",
	},
}

func words(text string) (any, error) { return strings.Fields(text), nil }

func secondsOrNever(text string) (any, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	return text, nil
}

func truth(text string) (any, error) {
	if text != "true" && text != "false" {
		return nil, errors.New("must be true or false")
	}
	return text == "true", nil
}

// params reads parameters as a query has them. A repeated one becomes a list.
func params(text string) (any, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errors.New("is not like name=value&name=value; escape other characters as in a URL")
	}
	members := map[string]any{}
	for name, all := range values {
		members[name] = all
		if len(all) == 1 {
			members[name] = all[0]
		}
	}
	return members, nil
}

func present(text string) (any, error) {
	header, prefix, found := strings.Cut(text, ":")
	if !found {
		return nil, errors.New("has no colon; write the header, a colon, and what precedes the token")
	}
	if prefix = strings.TrimSpace(prefix); prefix != "" {
		prefix += " "
	}
	return map[string]any{"header": strings.TrimSpace(header), "prefix": prefix}, nil
}
