// Package object reads JSON objects that an operator declares: a connection, a
// provider. Forms describe each member, so that one table serves the parser and
// the JSON Schema.
//
// A Reader collects what is wrong, with the path of the member and how to fix it,
// and never a value: the text usually contains a secret.
package object

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// Problem is what is wrong with one member.
type Problem struct {
	// Member is its path: "response/access_token".
	Member string
	// Text continues a sentence that names the member.
	Text string
}

// Reader reads the members of one object, whose values are those of strictjson.
// Its accessors return nothing for a member that is absent or already reported.
type Reader struct {
	// path is of this object: empty, or ending in a slash.
	path     string
	members  map[string]any
	problems *[]Problem
}

// New returns a Reader that adds to problems.
func New(members map[string]any, problems *[]Problem) Reader {
	return Reader{members: members, problems: problems}
}

// Report adds a problem of a member.
func (r Reader) Report(member, format string, args ...any) {
	*r.problems = append(*r.problems, Problem{Member: r.path + member, Text: fmt.Sprintf(format, args...)})
}

// Sound reports whether no problem of the member, or of one inside it, is known.
func (r Reader) Sound(member string) bool {
	path := r.path + member
	return !slices.ContainsFunc(*r.problems, func(p Problem) bool {
		rest, inside := strings.CutPrefix(p.Member, path)
		return inside && (rest == "" || rest[0] == '/')
	})
}

// Has reports whether the member is there, valid or not.
func (r Reader) Has(member string) bool {
	_, ok := r.members[member]
	return ok
}

// Names returns the members' names, sorted.
func (r Reader) Names() []string { return slices.Sorted(maps.Keys(r.members)) }

// Require reports the member if it is absent.
func (r Reader) Require(member string) {
	if !r.Has(member) {
		r.Report(member, "is missing; add it")
	}
}

// RejectUnused reports members that would have no effect: their author expects one.
func (r Reader) RejectUnused(reason string, members ...string) {
	for _, member := range members {
		if r.Has(member) {
			r.Report(member, "%s; remove it", reason)
		}
	}
}

// Without returns a Reader that does not see the member.
func (r Reader) Without(member string) Reader {
	r.members = maps.Clone(r.members)
	delete(r.members, member)
	return r
}

// Value returns the member's value, and whether it is there and sound.
func (r Reader) Value(member string) (any, bool) {
	value, ok := r.members[member]
	return value, ok && r.Sound(member)
}

// Text returns a string member.
func (r Reader) Text(member string) (string, bool) {
	value, ok := r.Value(member)
	text, isText := value.(string)
	return text, ok && isText
}

// Boolean returns the member, or fallback.
func (r Reader) Boolean(member string, fallback bool) bool {
	value, _ := r.Value(member)
	if b, ok := value.(bool); ok {
		return b
	}
	return fallback
}

// Whole returns a whole number, or fallback.
func (r Reader) Whole(member string, fallback int64) int64 {
	value, _ := r.Value(member)
	if number, ok := value.(json.Number); ok {
		if n, err := number.Int64(); err == nil {
			return n
		}
	}
	return fallback
}

// Seconds returns a number of seconds, or fallback.
func (r Reader) Seconds(member string, fallback time.Duration) time.Duration {
	if n := r.Whole(member, -1); n >= 0 {
		return time.Duration(n) * time.Second
	}
	return fallback
}

// Object returns a Reader of an object inside this one.
func (r Reader) Object(member string) (Reader, bool) {
	members, ok := r.members[member].(map[string]any)
	return Reader{path: r.path + strictjson.PrintableName(member) + "/", members: members, problems: r.problems}, ok
}

// Element returns a Reader of an object in an array.
func (r Reader) Element(member string, i int) (Reader, bool) {
	array, _ := r.members[member].([]any)
	if i >= len(array) {
		return Reader{}, false
	}
	members, ok := array[i].(map[string]any)
	return Reader{path: r.path + member + "/" + strconv.Itoa(i) + "/", members: members, problems: r.problems}, ok
}

// Texts returns the strings of an array, or a single one.
func (r Reader) Texts(member string) []string {
	value, _ := r.Value(member)
	return textsOf(value)
}

// Map returns the strings of an object by name; nil if there are none.
func (r Reader) Map(member string) map[string]string {
	object, ok := r.Object(member)
	if !ok || !r.Sound(member) {
		return nil
	}
	texts := make(map[string]string, len(object.members))
	for name := range object.members {
		texts[name], _ = object.Text(name)
	}
	return texts
}

// Lists returns by name the strings of an object: each member is one, or several.
func (r Reader) Lists(member string) map[string][]string {
	object, ok := r.Object(member)
	if !ok || !r.Sound(member) {
		return nil
	}
	lists := make(map[string][]string, len(object.members))
	for name := range object.members {
		lists[name] = object.Texts(name)
	}
	return lists
}

func textsOf(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		texts := make([]string, 0, len(v))
		for _, element := range v {
			if text, ok := element.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	}
	return nil
}

// KindOf names the JSON type of a value without showing the value.
func KindOf(value any) string {
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

// Join lists words in an error.
func Join[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}

// DidYouMean is the end of an error that offers the known name that is nearest to
// an unknown one; empty if none is near.
func DidYouMean(name string, known []string) string {
	if near, ok := nearest(name, known); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}
