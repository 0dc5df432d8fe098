package expression

import (
	"slices"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// source is where a SET takes its value from. It reads the item as it was
// before the update.
type source interface {
	evaluate(before attribute.Item) (attribute.Value, error)
}

type (
	given      struct{ literal }
	stored     struct{ path Path }
	arithmetic struct {
		sign        string
		left, right source
	}
	fallback struct {
		path      Path
		otherwise source
	}
	joining struct{ left, right source }
)

func (g given) evaluate(attribute.Item) (attribute.Value, error) { return g.value, nil }

func (s stored) evaluate(before attribute.Item) (attribute.Value, error) {
	v, ok := s.path.resolve(before)
	if !ok {
		return v, awsjson.Invalid("The provided expression refers to an attribute that does not exist in the item")
	}
	return v, nil
}

func (f fallback) evaluate(before attribute.Item) (attribute.Value, error) {
	if v, ok := f.path.resolve(before); ok {
		return v, nil
	}
	return f.otherwise.evaluate(before)
}

func (a arithmetic) evaluate(before attribute.Item) (attribute.Value, error) {
	left, right, err := evaluateBoth(before, a.left, a.right, attribute.Numeric)
	if err != nil {
		return attribute.Value{}, err
	}
	by := right.Number()
	if a.sign == "-" {
		by = by.Negate()
	}
	sum, err := left.Number().Add(by)
	return attribute.OfNumber(sum), err
}

func (j joining) evaluate(before attribute.Item) (attribute.Value, error) {
	left, right, err := evaluateBoth(before, j.left, j.right, attribute.List)
	if err != nil {
		return attribute.Value{}, err
	}
	return attribute.OfList(slices.Concat(left.Members(), right.Members())), nil
}

// evaluateBoth evaluates two operands that must be of the kind.
func evaluateBoth(before attribute.Item, one, two source, kind attribute.Kind) (left, right attribute.Value, err error) {
	if left, err = one.evaluate(before); err != nil {
		return left, right, err
	}
	if right, err = two.evaluate(before); err != nil {
		return left, right, err
	}
	if left.Kind() != kind || right.Kind() != kind {
		return left, right, errWrongType()
	}
	return left, right, nil
}

func errWrongType() error {
	return awsjson.Invalid("An operand in the update expression has an incorrect data type")
}
