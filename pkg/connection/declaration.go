package connection

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// The members of a declaration that several rules name.
const (
	mClientID         = "client_id"
	mClientSecret     = "client_secret"
	mClientAuth       = "client_auth"
	mPrivateKey       = "private_key"
	mKeyID            = "key_id"
	mScope            = "scope"
	mAllowedScopes    = "allowed_scopes"
	mBaseURL          = "base_url"
	mTokenURL         = "token_url"
	mAuthorizationURL = "authorization_url"
	mRedirectURI      = "redirect_uri"
	mPKCE             = "pkce"
	mAuthzParams      = "authorization_params"
	mTokenParams      = "token_params"
	mResponse         = "response"
	mRefreshExpiresIn = "refresh_token_expires_in"
	mCallers          = "callers"
)

// memberNames are all members of a declaration: another one does not exist.
var memberNames = []string{
	"provider", "grant_type", mClientID, mClientSecret, mPrivateKey, mKeyID, mClientAuth, mScope, mAllowedScopes,
	mBaseURL, mTokenURL, mAuthorizationURL, "revocation_url", "issuer", mRedirectURI, mPKCE, mTokenParams, mAuthzParams,
	mResponse, "default_expires_in", mRefreshExpiresIn, "early_refresh", mCallers,
}

// declaration reads the members of one object and gathers what is wrong with
// them. An accessor reports false when there is nothing to use: the member is
// absent, or unusable and already noted.
type declaration struct {
	where string
	// prefix is the path of a nested object, ending in a slash.
	prefix   string
	members  map[string]any
	problems *ValidationErrors
}

func (d declaration) note(member, format string, args ...any) {
	*d.problems = append(*d.problems, &ValidationError{Where: d.where, Member: d.prefix + member, Text: fmt.Sprintf(format, args...)})
}

func (d declaration) has(name string) bool {
	_, ok := d.members[name]
	return ok
}

// nested reads an object inside this one.
func (d declaration) nested(path string, members map[string]any) declaration {
	d.prefix, d.members = d.prefix+path+"/", members
	return d
}

// refuseUnknown names each member that is not in known, and the known name it
// was probably meant to be.
func (d declaration) refuseUnknown(known []string) {
	for _, name := range slices.Sorted(maps.Keys(d.members)) {
		if slices.Contains(known, name) {
			continue
		}
		hint := "remove it"
		if near, ok := nearest(name, known); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.note(strictjson.PrintableName(name), "is unknown; %s", hint)
	}
}

// refuseUseless names a member that would be ignored: its author expects an
// effect that it cannot have.
func (d declaration) refuseUseless(reason string, names ...string) {
	for _, name := range names {
		if d.has(name) {
			d.note(name, "%s; remove it", reason)
		}
	}
}

func (d declaration) text(name string) (string, bool) {
	value, ok := d.members[name]
	if !ok {
		return "", false
	}
	text, isText := value.(string)
	switch {
	case !isText:
		d.note(name, "is %s; it has to be a text", kindOf(value))
	case text == "":
		d.note(name, "is empty; leave it out, or give it a value")
	case strings.ContainsRune(text, 0):
		d.note(name, "holds a NUL character; remove it")
	}
	return text, isText && text != "" && !strings.ContainsRune(text, 0)
}

// exact is text that is sent byte for byte, so that white space pasted along
// with it would be sent too.
func (d declaration) exact(name string) (string, bool) {
	text, ok := d.text(name)
	if !ok {
		return "", false
	}
	switch trimmed := strings.TrimFunc(text, isPasted); {
	case trimmed == text:
		return text, true
	case strings.HasPrefix(text, trimmed):
		d.note(name, "ends with white space or a line break; remove it")
	default:
		d.note(name, "begins with white space or a line break; remove it")
	}
	return "", false
}

// isPasted reports white space and the invisible characters that come along
// when text is copied from a page or a file.
func isPasted(r rune) bool { return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' }

// flag returns the member, or standard where it is absent.
func (d declaration) flag(name string, standard bool) bool {
	value, ok := d.members[name]
	if !ok {
		return standard
	}
	b, isBool := value.(bool)
	if !isBool {
		d.note(name, "is %s; it has to be true or false, without quotes", kindOf(value))
	}
	return b
}

// seconds returns the member as a duration of 1 s to most, or standard where it
// is absent.
func (d declaration) seconds(name string, standard, most time.Duration) time.Duration {
	value, ok := d.members[name]
	if !ok {
		return standard
	}
	number, isNumber := value.(json.Number)
	if !isNumber {
		d.note(name, "is %s; it has to be a number of seconds, without quotes", kindOf(value))
		return 0
	}
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if limit := int64(most / time.Second); err != nil || n < 1 || n > limit {
		d.note(name, "has to be a whole number of seconds from 1 to %d", limit)
		return 0
	}
	return time.Duration(n) * time.Second
}

func (d declaration) object(name string) (map[string]any, bool) {
	value, ok := d.members[name]
	if !ok {
		return nil, false
	}
	object, isObject := value.(map[string]any)
	switch {
	case !isObject:
		d.note(name, "is %s; it has to be an object", kindOf(value))
	case len(object) == 0:
		d.note(name, "is empty; leave it out, or give it members")
	}
	return object, isObject && len(object) > 0
}

func (d declaration) list(name string) ([]any, bool) {
	value, ok := d.members[name]
	if !ok {
		return nil, false
	}
	list, isList := value.([]any)
	switch {
	case !isList:
		d.note(name, "is %s; it has to be a list", kindOf(value))
	case len(list) == 0:
		d.note(name, "is an empty list; leave it out, or give it elements")
	}
	return list, isList && len(list) > 0
}

// texts reads a list of distinct texts, each of which check accepts; its error
// is a predicate.
func (d declaration) texts(name string, check func(string) error) []string {
	list, ok := d.list(name)
	if !ok {
		return nil
	}
	texts := make([]string, 0, len(list))
	for i, element := range list {
		text, isText := element.(string)
		place := name + "/" + strconv.Itoa(i)
		if !isText {
			d.note(place, "is %s; it has to be a text", kindOf(element))
			continue
		}
		if err := check(text); err != nil {
			d.note(place, "%v", err)
			continue
		}
		if slices.Contains(texts, text) {
			d.note(place, "is in the list already; remove it")
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// kindOf names the JSON type of a value, which says nothing about the value.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
