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

// declaration reads the members of one JSON object and collects what is wrong
// with them. An accessor reports false when there is no value to use: the member
// is absent, or invalid and already reported.
type declaration struct {
	where string
	// prefix is the path of a nested object, ending in a slash.
	prefix  string
	members map[string]any
	errs    *ValidationErrors
}

func (d declaration) report(member, format string, args ...any) {
	*d.errs = append(*d.errs, &ValidationError{Where: d.where, Member: d.prefix + member, Text: fmt.Sprintf(format, args...)})
}

func (d declaration) has(name string) bool {
	_, ok := d.members[name]
	return ok
}

func (d declaration) require(name string) {
	if !d.has(name) {
		d.report(name, "is missing; add it")
	}
}

// nested reads an object inside this one.
func (d declaration) nested(path string, members map[string]any) declaration {
	d.prefix, d.members = d.prefix+path+"/", members
	return d
}

// rejectUnknown reports each member that is not in known, with the known name
// that it most likely means.
func (d declaration) rejectUnknown(known []string) {
	for _, name := range slices.Sorted(maps.Keys(d.members)) {
		if slices.Contains(known, name) {
			continue
		}
		hint := "remove it"
		if near, ok := nearest(name, known); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.report(strictjson.PrintableName(name), "is unknown; %s", hint)
	}
}

// rejectUnused reports members that would have no effect: their author expects one.
func (d declaration) rejectUnused(reason string, names ...string) {
	for _, name := range names {
		if d.has(name) {
			d.report(name, "%s; remove it", reason)
		}
	}
}

// text returns a string that is not empty.
func (d declaration) text(name string) (string, bool) {
	value, ok := d.members[name]
	if !ok {
		return "", false
	}
	text, isString := value.(string)
	hasNUL := strings.ContainsRune(text, 0)
	switch {
	case !isString:
		d.report(name, "is %s; it must be a string", kindOf(value))
	case text == "":
		d.report(name, "is empty; remove it, or give it a value")
	case hasNUL:
		d.report(name, "contains a NUL character; remove it")
	}
	return text, isString && text != "" && !hasNUL
}

// exactText returns a string that is sent byte for byte. White space at its ends
// is an error: it was most likely pasted with the value and would be sent too.
func (d declaration) exactText(name string) (string, bool) {
	text, ok := d.text(name)
	if !ok {
		return "", false
	}
	switch trimmed := strings.TrimFunc(text, isPastedSpace); {
	case trimmed == text:
		return text, true
	case strings.HasPrefix(text, trimmed):
		d.report(name, "ends with white space or a line break; remove it")
	default:
		d.report(name, "begins with white space or a line break; remove it")
	}
	return "", false
}

// isPastedSpace reports white space and the invisible characters that copying
// from a page or a file adds.
func isPastedSpace(r rune) bool { return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' }

// boolean returns the member, or fallback if it is absent.
func (d declaration) boolean(name string, fallback bool) bool {
	value, ok := d.members[name]
	if !ok {
		return fallback
	}
	b, isBool := value.(bool)
	if !isBool {
		d.report(name, "is %s; it must be true or false, without quotes", kindOf(value))
	}
	return b
}

// seconds returns the member as a duration from 1 s to limit, or fallback if it
// is absent.
func (d declaration) seconds(name string, fallback, limit time.Duration) time.Duration {
	value, ok := d.members[name]
	if !ok {
		return fallback
	}
	number, isNumber := value.(json.Number)
	if !isNumber {
		d.report(name, "is %s; it must be a number of seconds, without quotes", kindOf(value))
		return 0
	}
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if most := int64(limit / time.Second); err != nil || n < 1 || n > most {
		d.report(name, "must be a whole number of seconds from 1 to %d", most)
		return 0
	}
	return time.Duration(n) * time.Second
}

// object returns an object that is not empty.
func (d declaration) object(name string) (map[string]any, bool) {
	value, ok := d.members[name]
	if !ok {
		return nil, false
	}
	object, isObject := value.(map[string]any)
	switch {
	case !isObject:
		d.report(name, "is %s; it must be an object", kindOf(value))
	case len(object) == 0:
		d.report(name, "is empty; remove it, or give it members")
	}
	return object, isObject && len(object) > 0
}

// array returns an array that is not empty.
func (d declaration) array(name string) ([]any, bool) {
	value, ok := d.members[name]
	if !ok {
		return nil, false
	}
	array, isArray := value.([]any)
	switch {
	case !isArray:
		d.report(name, "is %s; it must be an array", kindOf(value))
	case len(array) == 0:
		d.report(name, "is an empty array; remove it, or give it elements")
	}
	return array, isArray && len(array) > 0
}

// texts returns an array of distinct strings that check accepts. Its error says
// what is wrong with the string and continues a sentence that names the member.
func (d declaration) texts(name string, check func(string) error) []string {
	array, ok := d.array(name)
	if !ok {
		return nil
	}
	texts := make([]string, 0, len(array))
	for i, element := range array {
		path := name + "/" + strconv.Itoa(i)
		text, isString := element.(string)
		if !isString {
			d.report(path, "is %s; it must be a string", kindOf(element))
			continue
		}
		if err := check(text); err != nil {
			d.report(path, "%v", err)
			continue
		}
		if slices.Contains(texts, text) {
			d.report(path, "is repeated in the array; remove it")
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// kindOf names the JSON type of a value without showing the value.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}
