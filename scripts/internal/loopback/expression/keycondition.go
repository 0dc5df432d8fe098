package expression

import (
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// KeyCondition is what a query asks of keys.
type KeyCondition struct {
	// Hash is the partition key's value.
	Hash attribute.Value
	// Range is the condition on the sort key; nil takes all.
	Range Condition
}

// Key names the attributes of a key. Range is empty where there is none.
type Key struct{ Hash, Range string }

// KeyCondition reads a KeyConditionExpression: equality on the partition key
// and, with AND, at most one condition on the sort key.
func (s *Scope) KeyCondition(text string, key Key) (KeyCondition, error) {
	condition, err := s.Condition("KeyConditionExpression", text)
	if err != nil {
		return KeyCondition{}, err
	}
	var found KeyCondition
	for _, part := range conjuncts(condition) {
		if err := found.take(part, key); err != nil {
			return KeyCondition{}, err
		}
	}
	if found.Hash.Kind() == "" {
		return KeyCondition{}, awsjson.Invalid("Query condition missed key schema element: %s", key.Hash)
	}
	return found, nil
}

func conjuncts(c Condition) []Condition {
	if and, ok := c.(both); ok {
		return append(conjuncts(and.left), conjuncts(and.right)...)
	}
	return []Condition{c}
}

// take adds one part of the condition.
func (k *KeyCondition) take(part Condition, key Key) error {
	path, bounds := keyOperands(part)
	if len(path) != 1 {
		return awsjson.Invalid("Invalid operator used in KeyConditionExpression, or it does not begin with a key attribute")
	}
	for _, bound := range bounds {
		if _, ok := bound.(literal); !ok {
			return awsjson.Invalid("Invalid condition in KeyConditionExpression: a key is compared with something else than a value")
		}
	}
	switch name := path.Top(); {
	case name == key.Hash && k.Hash.Kind() == "":
		return k.takeHash(part)
	case name == key.Range && name != "" && k.Range == nil:
		k.Range = part
		return nil
	case name == key.Hash || name == key.Range:
		return awsjson.Invalid("KeyConditionExpressions must only contain one condition per key")
	default:
		return awsjson.Invalid("Query condition missed key schema element: %s", key.Hash)
	}
}

func (k *KeyCondition) takeHash(part Condition) error {
	equal, ok := part.(comparison)
	if !ok || equal.operator != "=" {
		return awsjson.Invalid("Query key condition not supported")
	}
	k.Hash = equal.right.(literal).value
	return nil
}

// keyOperands are the path and the values of a condition that a query may have;
// the path is nil of any other.
func keyOperands(part Condition) (Path, []operand) {
	var first operand
	var bounds []operand
	switch c := part.(type) {
	case comparison:
		if c.operator != "<>" {
			first, bounds = c.left, []operand{c.right}
		}
	case between:
		first, bounds = c.v, []operand{c.low, c.high}
	case beginsWith:
		first, bounds = c.v, []operand{c.prefix}
	}
	path, _ := first.(Path)
	return path, bounds
}

// Values are the values the condition compares the sort key with.
func (k KeyCondition) Values() []attribute.Value {
	var values []attribute.Value
	_, bounds := keyOperands(k.Range)
	for _, bound := range bounds {
		values = append(values, bound.(literal).value)
	}
	return values
}

// Names are the top-level attributes that a condition reads.
func Names(c Condition) []string {
	switch c := c.(type) {
	case both:
		return append(Names(c.left), Names(c.right)...)
	case either:
		return append(Names(c.left), Names(c.right)...)
	case not:
		return Names(c.condition)
	case comparison:
		return operandNames(c.left, c.right)
	case between:
		return operandNames(c.v, c.low, c.high)
	case in:
		return operandNames(append([]operand{c.v}, c.choices...)...)
	case exists:
		return operandNames(c.path)
	case hasKind:
		return operandNames(c.v)
	case beginsWith:
		return operandNames(c.v, c.prefix)
	case contains:
		return operandNames(c.v, c.part)
	}
	return nil
}

func operandNames(operands ...operand) []string {
	var names []string
	for _, o := range operands {
		switch o := o.(type) {
		case Path:
			names = append(names, o.Top())
		case size:
			names = append(names, operandNames(o.v)...)
		}
	}
	return names
}
