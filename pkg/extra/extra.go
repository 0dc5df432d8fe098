// Package extra defines what a caller gets besides a token: values that a provider
// sends with a token or with a consent, and without which the token is of no use,
// such as the host of a tenant. The declaration names them; their number and size
// are bounded.
package extra

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"
)

// The bounds of Values.
const (
	MaxNames = 16
	// MaxValue and MaxTotal are in bytes of text, a number's digits included. The names
	// count towards MaxTotal.
	MaxValue = 1 << 10
	MaxTotal = 2 << 10
)

// Values are values by name: a string, a json.Number or a bool each. A nil map has
// none and can be read.
type Values map[string]any

// Add adds a value, or replaces that of the name. It reports false, and changes
// nothing, for another kind of value and where the bounds would be exceeded. The map
// is made when there is none.
func (v *Values) Add(name string, value any) bool {
	text, ok := Text(value)
	if !ok || name == "" || len(text) > MaxValue {
		return false
	}
	rest := v.size()
	if former, replaced := (*v)[name]; replaced {
		old, _ := Text(former)
		rest -= len(name) + len(old)
	} else if len(*v) == MaxNames {
		return false
	}
	if rest+len(name)+len(text) > MaxTotal {
		return false
	}
	if *v == nil {
		*v = Values{}
	}
	(*v)[name] = value
	return true
}

func (v *Values) size() int {
	n := 0
	for name, value := range *v {
		text, _ := Text(value)
		n += len(name) + len(text)
	}
	return n
}

// Text is a value as text; false if it is of a kind that Values cannot have, or no
// text.
func Text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, utf8.ValidString(v)
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// Over returns v with the values of newer in place of those of the same name. What
// does not fit is left out.
func (v Values) Over(newer Values) Values {
	merged := maps.Clone(newer)
	for _, name := range v.Names() {
		if _, replaced := newer[name]; !replaced {
			merged.Add(name, v[name])
		}
	}
	return merged
}

// Names are the names, sorted; nil when there are none.
func (v Values) Names() []string { return slices.Sorted(maps.Keys(v)) }

// UnmarshalJSON keeps numbers as they are written. Values of other kinds are left out.
func (v *Values) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var members map[string]any
	if err := dec.Decode(&members); err != nil {
		return err
	}
	*v = nil
	for _, name := range slices.Sorted(maps.Keys(members)) {
		v.Add(name, members[name])
	}
	return nil
}
