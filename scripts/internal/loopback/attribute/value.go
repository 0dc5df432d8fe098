// Package attribute has DynamoDB's values: what an attribute can hold, how it
// is written in JSON, compared, and counted in bytes.
//
// Values and items do not change once made; what alters one makes a new one. So
// a reader needs no copy of what a table holds.
package attribute

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kind is a type of values, by its name in JSON.
type Kind string

// The kinds there are.
const (
	Text      Kind = "S"
	Numeric   Kind = "N"
	Binary    Kind = "B"
	Boolean   Kind = "BOOL"
	Null      Kind = "NULL"
	TextSet   Kind = "SS"
	NumberSet Kind = "NS"
	BinarySet Kind = "BS"
	List      Kind = "L"
	Map       Kind = "M"
)

// elements are the kinds that sets are made of.
var elements = map[Kind]Kind{TextSet: Text, NumberSet: Numeric, BinarySet: Binary}

// Known says whether there is such a kind.
func (k Kind) Known() bool {
	return parserOf(k) != nil
}

// Element is the kind of a set's elements; ok is false for what is no set.
func (k Kind) Element() (element Kind, ok bool) {
	element, ok = elements[k]
	return element, ok
}

// Ordered says whether values of the kind have an order.
func (k Kind) Ordered() bool { return k == Text || k == Numeric || k == Binary }

// Value is one value. The zero Value is none.
type Value struct {
	kind Kind
	// text is an S, or the bytes of a B.
	text   string
	number Number
	truth  bool
	// members are those of a list, or of a set in ascending order.
	members []Value
	fields  Item
}

// Item is an item, or a map within one.
type Item map[string]Value

// OfText is a text.
func OfText(text string) Value { return Value{kind: Text, text: text} }

// OfNumber is a number.
func OfNumber(n Number) Value { return Value{kind: Numeric, number: n} }

// OfLength is a length, as size() tells one.
func OfLength(n int) Value {
	number, _ := ParseNumber(strconv.Itoa(n)) // no length has more than 38 digits
	return OfNumber(number)
}

// OfList is a list.
func OfList(members []Value) Value { return Value{kind: List, members: members} }

// OfMap is a map.
func OfMap(fields Item) Value { return Value{kind: Map, fields: fields} }

// OfSet is a set of that kind, without repetitions. Every member is of the
// kind's element.
func OfSet(kind Kind, members []Value) Value {
	sorted := slices.SortedFunc(slices.Values(members), Value.Compare)
	return Value{kind: kind, members: slices.CompactFunc(sorted, Value.Equal)}
}

// Kind is the value's kind.
func (v Value) Kind() Kind { return v.kind }

// Text is what an S holds, and the bytes of a B.
func (v Value) Text() string { return v.text }

// Number is what an N holds.
func (v Value) Number() Number { return v.number }

// Members are the members of a list or a set; they are not to be changed.
func (v Value) Members() []Value { return v.members }

// Fields are the fields of a map; they are not to be changed.
func (v Value) Fields() Item { return v.fields }

// Compare orders two values of one ordered kind.
func (v Value) Compare(w Value) int {
	if v.kind == Numeric {
		return v.number.Compare(w.number)
	}
	return strings.Compare(v.text, w.text)
}

// Equal says whether two values are the same, sets in whatever order.
func (v Value) Equal(w Value) bool {
	return v.kind == w.kind && v.text == w.text && v.truth == w.truth &&
		v.number.Compare(w.number) == 0 &&
		slices.EqualFunc(v.members, w.members, Value.Equal) && v.fields.Equal(w.fields)
}

// Equal says whether two items have the same attributes.
func (i Item) Equal(j Item) bool { return maps.EqualFunc(i, j, Value.Equal) }

// Contains says whether a set or a list holds w, or a text or bytes hold it as
// a part.
func (v Value) Contains(w Value) bool {
	element, set := v.kind.Element()
	switch {
	case v.kind == Text || v.kind == Binary:
		return v.kind == w.kind && strings.Contains(v.text, w.text)
	case v.kind == List, set && element == w.kind:
		return slices.ContainsFunc(v.members, w.Equal)
	}
	return false
}

// Length is what the function size tells; ok is false for what has none.
func (v Value) Length() (n int, ok bool) {
	switch v.kind {
	case Text:
		return len([]rune(v.text)), true
	case Binary:
		return len(v.text), true
	case Map:
		return len(v.fields), true
	case Numeric, Boolean, Null:
		return 0, false
	}
	return len(v.members), true
}
