package expression

import (
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// Condition is a condition on an item. What an item does not have makes every
// comparison false, but for <>; there is no third truth value, so NOT of such a
// comparison is true.
type Condition interface {
	// Holds judges an item; one that does not exist is empty.
	Holds(item attribute.Item) bool
}

type (
	both       struct{ left, right Condition }
	either     struct{ left, right Condition }
	not        struct{ condition Condition }
	comparison struct {
		operator    string
		left, right operand
	}
	between struct{ v, low, high operand }
	in      struct {
		v       operand
		choices []operand
	}
	exists struct {
		path Path
		want bool
	}
	hasKind struct {
		v    operand
		kind attribute.Kind
	}
	beginsWith struct{ v, prefix operand }
	contains   struct{ v, part operand }
	size       struct{ v operand }
)

// Holds judges an item.
func (c both) Holds(item attribute.Item) bool { return c.left.Holds(item) && c.right.Holds(item) }

// Holds judges an item.
func (c either) Holds(item attribute.Item) bool { return c.left.Holds(item) || c.right.Holds(item) }

// Holds judges an item.
func (c not) Holds(item attribute.Item) bool { return !c.condition.Holds(item) }

// Holds judges an item.
func (c comparison) Holds(item attribute.Item) bool {
	left, ok := c.left.resolve(item)
	right, both := c.right.resolve(item)
	switch c.operator {
	case "=":
		return ok && both && left.Equal(right)
	case "<>":
		return !ok || !both || !left.Equal(right)
	}
	return ok && both && ordered(c.operator, left, right)
}

func ordered(operator string, left, right attribute.Value) bool {
	if left.Kind() != right.Kind() || !left.Kind().Ordered() {
		return false
	}
	order := left.Compare(right)
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

// Holds judges an item.
func (c between) Holds(item attribute.Item) bool {
	return comparison{">=", c.v, c.low}.Holds(item) && comparison{"<=", c.v, c.high}.Holds(item)
}

// Holds judges an item.
func (c in) Holds(item attribute.Item) bool {
	for _, choice := range c.choices {
		if (comparison{"=", c.v, choice}).Holds(item) {
			return true
		}
	}
	return false
}

// Holds judges an item.
func (c exists) Holds(item attribute.Item) bool {
	_, ok := c.path.resolve(item)
	return ok == c.want
}

// Holds judges an item.
func (c hasKind) Holds(item attribute.Item) bool {
	v, ok := c.v.resolve(item)
	return ok && v.Kind() == c.kind
}

// Holds judges an item.
func (c beginsWith) Holds(item attribute.Item) bool {
	v, ok := c.v.resolve(item)
	prefix, both := c.prefix.resolve(item)
	textual := v.Kind() == attribute.Text || v.Kind() == attribute.Binary
	return ok && both && textual && v.Kind() == prefix.Kind() && strings.HasPrefix(v.Text(), prefix.Text())
}

// Holds judges an item.
func (c contains) Holds(item attribute.Item) bool {
	v, ok := c.v.resolve(item)
	part, both := c.part.resolve(item)
	return ok && both && v.Contains(part)
}

func (s size) resolve(item attribute.Item) (attribute.Value, bool) {
	v, ok := s.v.resolve(item)
	if !ok {
		return attribute.Value{}, false
	}
	n, ok := v.Length()
	return attribute.OfLength(n), ok
}
