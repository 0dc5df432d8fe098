package expression

import (
	"slices"
)

// maxChoices is how many values IN takes.
const maxChoices = 100

// node is what a part of a condition turned out to be: an operand or a
// condition. The grammar lets both stand in parentheses, so only what follows
// tells which one was wanted.
type node struct {
	operand   operand
	condition Condition
	// call is the function's name when the node is a function's result.
	call string
	// wrapped says that it stood in parentheses.
	wrapped bool
}

// Condition reads the condition in that member of the request.
func (s *Scope) Condition(kind, text string) (Condition, error) {
	p := s.open(kind, text)
	condition := p.truth(p.or())
	if err := p.close(); err != nil {
		return nil, err
	}
	return condition, nil
}

// truth is what an or, and or not takes.
func (p *parser) truth(n node) Condition {
	switch {
	case p.err != nil || n.condition != nil:
		return n.condition
	case n.call != "":
		p.refuse("The function is not allowed to be used this way in an expression; function: %s", n.call)
	default:
		p.misplaced()
	}
	return nil
}

// term is what an operator or a function takes.
func (p *parser) term(n node) operand {
	switch {
	case p.err != nil || n.operand != nil:
		return n.operand
	case n.call != "":
		p.refuse("The function is not allowed to be used this way in an expression; function: %s", n.call)
	default:
		p.misplaced()
	}
	return nil
}

func (p *parser) or() node {
	left := p.and()
	for p.acceptKeyword("OR") {
		left = node{condition: either{p.truth(left), p.truth(p.and())}}
	}
	return left
}

func (p *parser) and() node {
	left := p.not()
	for p.acceptKeyword("AND") {
		left = node{condition: both{p.truth(left), p.truth(p.not())}}
	}
	return left
}

func (p *parser) not() node {
	if p.acceptKeyword("NOT") {
		return node{condition: not{p.truth(p.not())}}
	}
	return p.comparison()
}

func (p *parser) comparison() node {
	left := p.primary()
	switch t := p.peek(); {
	case t.kind == symbol && slices.Contains(comparators, t.text):
		p.next()
		return p.compared(t.text, p.term(left), p.term(p.primary()))
	case p.acceptKeyword("BETWEEN"):
		return p.between(p.term(left))
	case p.acceptKeyword("IN"):
		return p.in(p.term(left))
	}
	return left
}

var comparators = []string{"=", "<>", "<", "<=", ">", ">="}

func (p *parser) compared(operator string, left, right operand) node {
	p.checkDistinct(operator, left, right)
	if operator != "=" && operator != "<>" {
		p.checkOrdered(operator, left, right)
	}
	return node{condition: comparison{operator: operator, left: left, right: right}}
}

func (p *parser) between(v operand) node {
	low := p.term(p.primary())
	if !p.acceptKeyword("AND") {
		p.misplaced()
	}
	high := p.term(p.primary())
	p.checkOrdered("BETWEEN", v, low, high)
	p.checkBounds(low, high)
	return node{condition: between{v: v, low: low, high: high}}
}

func (p *parser) in(v operand) node {
	p.expect("(")
	choices := list(p, func() operand { return p.term(p.primary()) })
	p.expect(")")
	if len(choices) > maxChoices {
		p.refuse("Incorrect number of operands for operator or function; operator or function: IN, number of operands: %d", len(choices)+1)
	}
	return node{condition: in{v: v, choices: choices}}
}

func (p *parser) primary() node {
	switch t := p.peek(); {
	case p.accept("("):
		return p.wrapped()
	case t.kind == value:
		return node{operand: p.literal()}
	case t.kind == word && p.tokens[p.at+1].is("("):
		return p.call()
	}
	path := p.path()
	if p.err != nil {
		return node{}
	}
	return node{operand: path}
}

func (p *parser) wrapped() node {
	inner := p.or()
	p.expect(")")
	if inner.wrapped {
		p.refuse("The expression has redundant parentheses;")
	}
	inner.wrapped = true
	return inner
}

// call reads a function.
func (p *parser) call() node {
	function := p.next().text
	p.expect("(")
	arguments := list(p, func() operand { return p.term(p.primary()) })
	p.expect(")")
	if p.err != nil {
		return node{}
	}
	build, known := functions[function]
	if !known {
		p.refuse("Invalid function name; function: %s", function)
		return node{}
	}
	if len(arguments) != build.operands {
		p.refuse("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", function, len(arguments))
		return node{}
	}
	result := build.node(p, arguments)
	result.call = function
	return result
}

// function is one of the functions that conditions have.
type function struct {
	operands int
	node     func(p *parser, arguments []operand) node
}

var functions = map[string]function{
	"attribute_exists":     {1, func(p *parser, a []operand) node { return p.exists("attribute_exists", a[0], true) }},
	"attribute_not_exists": {1, func(p *parser, a []operand) node { return p.exists("attribute_not_exists", a[0], false) }},
	"attribute_type":       {2, (*parser).hasKind},
	"begins_with":          {2, (*parser).beginsWith},
	"contains":             {2, (*parser).contains},
	"size":                 {1, (*parser).size},
}
