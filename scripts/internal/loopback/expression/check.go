package expression

import (
	"slices"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// checkDistinct refuses to compare an attribute with itself.
func (p *parser) checkDistinct(operator string, left, right operand) {
	one, ok := left.(Path)
	two, alike := right.(Path)
	if ok && alike && one.compare(two) == 0 {
		p.refuse("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s", operator, one)
	}
}

// checkOrdered refuses operands that can have no order.
func (p *parser) checkOrdered(operator string, operands ...operand) {
	for _, o := range operands {
		if kind := kindOf(o); kind != "" && !kind.Ordered() {
			p.wrongKind(operator, kind)
		}
	}
}

func (p *parser) wrongKind(function string, kind attribute.Kind) {
	p.refuse("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", function, kind)
}

// checkBounds refuses bounds that nothing lies between.
func (p *parser) checkBounds(low, high operand) {
	from, ok := low.(literal)
	to, given := high.(literal)
	switch {
	case !ok || !given || p.err != nil:
	case from.value.Kind() != to.value.Kind():
		p.refuse("The BETWEEN operator requires same data type for lower and upper bounds")
	case from.value.Compare(to.value) > 0:
		p.refuse("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
	}
}

func (p *parser) exists(function string, o operand, want bool) node {
	path, ok := o.(Path)
	if !ok {
		p.refuse("Operator or function requires a document path; operator or function: %s", function)
		return node{}
	}
	return node{condition: exists{path: path, want: want}}
}

func (p *parser) hasKind(a []operand) node {
	wanted, ok := a[1].(literal)
	if !ok || wanted.value.Kind() != attribute.Text {
		p.wrongKind("attribute_type", kindOf(a[1]))
		return node{}
	}
	kind := attribute.Kind(wanted.value.Text())
	if !kind.Known() {
		p.refuse("Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", kind)
	}
	return node{condition: hasKind{v: a[0], kind: kind}}
}

func (p *parser) beginsWith(a []operand) node {
	p.checkDistinct("begins_with", a[0], a[1])
	for _, o := range a {
		if kind := kindOf(o); kind != "" && kind != attribute.Text && kind != attribute.Binary {
			p.wrongKind("begins_with", kind)
		}
	}
	return node{condition: beginsWith{v: a[0], prefix: a[1]}}
}

func (p *parser) contains(a []operand) node {
	p.checkDistinct("contains", a[0], a[1])
	return node{condition: contains{v: a[0], part: a[1]}}
}

// measureless are the kinds without a size.
var measureless = []attribute.Kind{attribute.Numeric, attribute.Boolean, attribute.Null}

func (p *parser) size(a []operand) node {
	if kind := kindOf(a[0]); slices.Contains(measureless, kind) {
		p.wrongKind("size", kind)
	}
	return node{operand: size{a[0]}}
}
