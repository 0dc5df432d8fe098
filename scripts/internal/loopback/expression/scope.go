// Package expression reads and evaluates DynamoDB's expressions: conditions,
// filters, key conditions, updates and projections.
//
// It is as strict as the service: reserved words, placeholders that are unknown
// or unused, operands of a wrong type and overlapping paths are refused before
// anything is evaluated. The grammar is that of the developer guide
// ("Expressions in DynamoDB"). Where several things are wrong, which of them is
// told may differ from the service.
package expression

import (
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// maxLength is the longest expression, in bytes.
const maxLength = 4096

// Scope holds the placeholders that the expressions of one request share. It is
// not safe for concurrent use.
type Scope struct {
	names  map[string]string
	values map[string]attribute.Value
	used   map[string]bool
	parsed bool
}

// NewScope checks the placeholders. Nil means that the request has none; an
// empty map is refused.
func NewScope(names map[string]string, values map[string]attribute.Value) (*Scope, error) {
	if err := checkKeys("ExpressionAttributeNames", "#", names); err != nil {
		return nil, err
	}
	if err := checkKeys("ExpressionAttributeValues", ":", values); err != nil {
		return nil, err
	}
	return &Scope{names: names, values: values, used: map[string]bool{}}, nil
}

func checkKeys[V any](member, prefix string, placeholders map[string]V) error {
	if placeholders != nil && len(placeholders) == 0 {
		return awsjson.Invalid("%s must not be empty", member)
	}
	for key := range placeholders {
		if !strings.HasPrefix(key, prefix) || len(key) < 2 || run(key, 1, wordPart) < len(key) {
			return awsjson.Invalid("%s contains invalid key: Syntax error; key: %q", member, key)
		}
	}
	return nil
}

// CheckUsed refuses placeholders that no expression has named. It is asked when
// all expressions of the request are parsed.
func (s *Scope) CheckUsed() error {
	if err := checkUsed(s, "ExpressionAttributeNames", s.names); err != nil {
		return err
	}
	return checkUsed(s, "ExpressionAttributeValues", s.values)
}

func checkUsed[V any](s *Scope, member string, placeholders map[string]V) error {
	if len(placeholders) > 0 && !s.parsed {
		return awsjson.Invalid("%s can only be specified when using expressions", member)
	}
	var unused []string
	for key := range placeholders {
		if !s.used[key] {
			unused = append(unused, key)
		}
	}
	if len(unused) == 0 {
		return nil
	}
	slices.Sort(unused)
	return awsjson.Invalid("Value provided in %s unused in expressions: keys: {%s}", member, strings.Join(unused, ", "))
}
