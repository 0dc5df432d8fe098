package provider

import (
	"errors"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// The limits of what is declared.
const (
	maxExpiresIn = 90 * 24 * time.Hour
	// maxRefreshExpiresIn is five years, longer than any server states.
	maxRefreshExpiresIn = 5 * 365 * 24 * time.Hour
	maxGrace            = 24 * time.Hour
	maxExtra            = 16
	mostRenewalGroups   = 64
	// minCode and maxCode bound an error code that is a number: what every JSON
	// parser keeps.
	minCode, maxCode = -(1<<53 - 1), 1<<53 - 1
)

// Shared are the members of a provider that a connection may state as its own,
// over those of its provider. [Provider.Override] reads them.
func Shared() []object.Field {
	return []object.Field{
		{Name: "token_url", Form: URL},
		{Name: "refresh_url", Form: URL},
		{Name: "authorization_url", Form: pageURL},
		{Name: "revocation_url", Form: URL},
		{Name: "issuer", Form: URL},
		{Name: "client_auth", Form: object.Text{Check: checkClientAuth, Values: texts(ClientAuths())}},
		{Name: "token_params", Form: params},
		{Name: "authorization_params", Form: params},
		{Name: "response", Form: object.Struct{Fields: responseFields()}},
		{Name: "default_expires_in", Form: object.Either{Seconds(maxExpiresIn), object.Text{Check: checkNever, Values: []string{never}}}},
		{Name: "early_refresh", Form: object.Boolean{}},
		{Name: "pkce", Form: object.Boolean{}},
	}
}

// Fields returns all members of a provider that a connection declares. The slice is
// shared and must not be changed.
var Fields = sync.OnceValue(declaredFields)

func declaredFields() []object.Field {
	return append(Shared(),
		object.Field{Name: "title", Form: object.Text{}},
		object.Field{Name: "documentation", Form: object.Either{pageURL, object.List{Each: pageURL}}},
		object.Field{Name: "note", Form: object.Text{}},
		object.Field{Name: "variables", Form: object.Map{
			Key: checkVariableName, Pattern: "^[a-z][a-z0-9_]*$", Except: exceptVariables, Each: object.Struct{Fields: variableFields(), Blank: true},
		}},
		object.Field{Name: "token_path", Form: object.Text{Check: checkTokenPath, Pattern: "^/"}},
		object.Field{Name: "grant_types", Form: object.List{Each: object.Text{Values: grantTypes, Except: exceptPassword}, Blank: true}},
		object.Field{Name: "scope", Form: object.Map{Keys: grantTypes, Each: Scope}},
		object.Field{Name: "scope_separator", Form: object.Text{Check: checkSeparator, Pattern: "^[ -~]{1,4}$"}},
		object.Field{Name: "scope_aliases", Form: object.Map{
			Key: checkScopeToken, Pattern: ScopeToken.Pattern, Each: object.Either{ScopeToken, object.List{Each: ScopeToken}},
		}},
		object.Field{Name: "request", Form: object.Struct{Fields: requestFields()}},
		object.Field{Name: "refresh_params", Form: params},
		object.Field{Name: "callback", Form: object.Struct{Fields: callbackFields()}},
		object.Field{Name: "refresh_token", Form: object.Struct{Fields: refreshTokenFields()}},
		object.Field{Name: "new_token_revokes_old", Form: object.Boolean{}},
		object.Field{Name: "revocation_ends_grant", Form: object.Boolean{}},
		object.Field{Name: "present", Form: object.Struct{Fields: presentFields()}},
		object.Field{Name: "max_renewal_groups", Form: object.Whole{Min: 1, Max: mostRenewalGroups}},
	)
}

// catalogueFields returns all members of an entry of the catalogue.
var catalogueFields = sync.OnceValue(entryFields)

func entryFields() []object.Field {
	fields := declaredFields()
	for i := range fields {
		name := fields[i].Name
		fields[i].Required = name == "title" || name == "documentation"
		if name == "grant_types" {
			fields[i].Form = object.List{Each: object.Text{Values: grantTypes}, Blank: true}
		}
	}
	return append(fields, object.Field{Name: "verified", Form: object.Text{Check: checkDate, Pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}})
}

// never is the default_expires_in of a token that does not end.
const never = "never"

func checkNever(text string) error {
	if text != never {
		return errors.New(`is a string; it must be a number of seconds, without quotes, or "never"`)
	}
	return nil
}

// Seconds is the form of a duration from a second to limit.
func Seconds(limit time.Duration) object.Whole {
	return object.Whole{Min: 1, Max: int64(limit / time.Second), Unit: "seconds"}
}

var (
	// Scope and ScopeToken are the forms of RFC 6749 §3.3, Pointer that of RFC 6901.
	Scope      = object.Text{Check: CheckScope, Pattern: `^[!#-\[\]-~]+( [!#-\[\]-~]+)*$`}
	ScopeToken = object.Text{Check: checkScopeToken, Pattern: `^[!#-\[\]-~]+$`}
	Pointer    = object.Text{Check: strictjson.CheckPointer, Pattern: "^(/([^~/]|~[01])*)+$"}
	// URL is the form of a URL; the egress policy judges it.
	URL       = object.Text{Pattern: `^https?://[^\s/?#@]+([/?][^\s#]*)?$`}
	pageURL   = object.Text{Pattern: `^https?://[^\s/?#@]+([/?#]\S*)?$`} // a browser keeps the fragment
	graphic   = object.Text{Check: checkNewName, Pattern: "^[!-~]+$"}
	extraName = object.Map{Key: checkExtraName, Pattern: extraNames, Most: maxExtra}
	// params is a string, or an array of strings that repeats the parameter in order
	// (RFC 8707 §2).
	params = object.Map{Key: checkParamName, Pattern: ".", Except: exceptReserved, Each: object.Either{
		paramValue, object.List{Each: paramValue, Repeats: true},
	}}
	paramValue = object.Text{}
)

func responseFields() []object.Field {
	fields := make([]object.Field, 0, 16)
	for _, p := range pointersOf(&Shape{}) {
		fields = append(fields, object.Field{Name: p.name, Form: Pointer})
	}
	extra := extraName
	extra.Each = Pointer
	return append(fields,
		object.Field{Name: "expires_in_unit", Form: object.Text{Values: []string{"s", "ms", "min"}}},
		object.Field{Name: "success", Form: object.Either{Pointer, object.Struct{Fields: []object.Field{
			{Name: "pointer", Form: Pointer, Required: true}, {Name: "equals", Form: object.Scalar{}, Required: true},
		}}}},
		object.Field{Name: "ended", Form: object.List{Each: object.Either{object.Text{Except: exceptEnded}, object.Whole{Min: minCode, Max: maxCode}}}},
		object.Field{Name: "extra", Form: extra},
	)
}

func requestFields() []object.Field {
	return []object.Field{
		{Name: "body", Form: object.Text{Values: []string{string(BodyForm), string(BodyJSON), string(BodyQuery)}}},
		{Name: "headers", Form: Headers(HeaderValue)},
		{Name: "names", Form: object.Map{Keys: standardParams, Each: graphic}},
		{Name: "grant_type", Form: object.Map{Keys: grantValues, Each: graphic}},
		{Name: "repeat_scope", Form: object.Boolean{}},
	}
}

func callbackFields() []object.Field {
	extra := extraName
	extra.Each = object.Text{Except: exceptCallback}
	return []object.Field{
		{Name: "code", Form: object.Text{Check: checkNewName, Pattern: graphic.Pattern, Except: exceptCode}},
		{Name: "extra", Form: extra},
	}
}

func refreshTokenFields() []object.Field {
	return []object.Field{
		{Name: "expires_in", Form: Seconds(maxRefreshExpiresIn)},
		{Name: "idle_expires_in", Form: Seconds(maxRefreshExpiresIn)},
		{Name: "rotation", Form: object.Text{Values: []string{
			string(RotationKept), string(RotationGrace), string(RotationUntilUsed), string(RotationStrict),
		}}},
		{Name: "grace", Form: Seconds(maxGrace)},
	}
}

func presentFields() []object.Field {
	return []object.Field{
		{Name: "header", Form: object.Text{Check: checkHeaderToken, Pattern: headerNames}},
		{Name: "prefix", Form: object.Text{Check: checkHeaderValue, Blank: true, Pattern: HeaderValue.Pattern}},
	}
}

func variableFields() []object.Field {
	return []object.Field{
		{Name: "pattern", Form: object.Text{Check: checkPattern}},
		{Name: "about", Form: object.Text{}},
		{Name: "default", Form: object.Text{}},
		{Name: "values", Form: object.List{Each: object.Text{}}},
		{Name: "host", Form: object.Boolean{}},
	}
}

func checkDate(text string) error {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return errors.New("is not a date; write it like 2006-01-02")
	}
	return nil
}

func texts[T ~string](words []T) []string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = string(word)
	}
	return all
}
