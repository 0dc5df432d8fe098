package expression

import (
	"slices"
	"strconv"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// parser reads one expression. The first thing found wrong stays its error; it
// then stands at the end, so that nothing more is read.
type parser struct {
	scope  *Scope
	kind   string // the request's member, for messages
	tokens []token
	at     int
	err    error
}

// open begins the expression of that member.
func (s *Scope) open(kind, text string) *parser {
	p := &parser{scope: s, kind: kind, tokens: lex(text)}
	s.parsed = true
	switch {
	case len(p.tokens) == 1:
		p.refuse("The expression can not be empty;")
	case len(text) > maxLength:
		p.refuse("Expression size has exceeded the maximum allowed size;")
	}
	return p
}

// close ends it: nothing may be left.
func (p *parser) close() error {
	if p.peek().kind != end {
		p.misplaced()
	}
	return p.err
}

func (p *parser) refuse(format string, args ...any) {
	if p.err == nil {
		p.err = awsjson.Invalid("Invalid "+p.kind+": "+format, args...)
	}
	p.at = len(p.tokens) - 1
}

// misplaced refuses the token that stands next.
func (p *parser) misplaced() {
	near := ""
	for _, t := range p.tokens[max(0, p.at-1):min(p.at+2, len(p.tokens))] {
		if near += t.text; t.kind != end {
			near += " "
		}
	}
	p.refuse("Syntax error; token: %q, near: %q", p.peek().text, near)
}

func (p *parser) peek() token { return p.tokens[p.at] }

// next takes a token; at the end it stays there.
func (p *parser) next() token {
	t := p.peek()
	if t.kind != end {
		p.at++
	}
	return t
}

// accept takes the symbol if it stands next.
func (p *parser) accept(text string) bool {
	if !p.peek().is(text) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.misplaced()
	}
}

// acceptKeyword takes the keyword if it stands next.
func (p *parser) acceptKeyword(upper string) bool {
	if !p.peek().keyword(upper) {
		return false
	}
	p.next()
	return true
}

// path reads a document path: a.b[1].#c
func (p *parser) path() Path {
	path := Path{{name: p.attributeName()}}
	for p.err == nil {
		switch {
		case p.accept("."):
			path = append(path, step{name: p.attributeName()})
		case p.accept("["):
			path = append(path, step{index: p.listIndex(), list: true})
			p.expect("]")
		default:
			return path
		}
	}
	return path
}

func (p *parser) attributeName() string {
	switch t := p.peek(); {
	case t.kind == name:
		return p.placeholderName()
	case t.kind != word || slices.ContainsFunc(operators, t.keyword):
		p.misplaced()
	case reserved(t.text):
		p.refuse("Attribute name is a reserved keyword; reserved keyword: %s", t.text)
	default:
		return p.next().text
	}
	return ""
}

// operators are the words that the grammar itself uses.
var operators = []string{"AND", "OR", "NOT", "BETWEEN", "IN"}

func (p *parser) placeholderName() string {
	t := p.next()
	attributeName, known := p.scope.names[t.text]
	if !known {
		p.refuse("An expression attribute name used in the document path is not defined; attribute name: %s", t.text)
	}
	p.scope.used[t.text] = true
	return attributeName
}

func (p *parser) literal() literal {
	t := p.next()
	v, known := p.scope.values[t.text]
	if !known {
		p.refuse("An expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	p.scope.used[t.text] = true
	return literal{v}
}

func (p *parser) listIndex() int {
	if p.peek().kind != index {
		p.misplaced()
		return 0
	}
	n, err := strconv.Atoi(p.peek().text)
	if err != nil {
		p.refuse("List index is not within the allowable range; index: [%s]", p.peek().text)
	}
	p.next()
	return n
}

// list reads what read reads, once or more, with commas between.
func list[T any](p *parser, read func() T) []T {
	all := []T{read()}
	for p.accept(",") {
		all = append(all, read())
	}
	return all
}

// operand is what has a value under an item.
type operand interface {
	// resolve returns the value; ok is false when the item has none there.
	resolve(item attribute.Item) (v attribute.Value, ok bool)
}

// literal is a value that the request gives.
type literal struct{ value attribute.Value }

func (l literal) resolve(attribute.Item) (attribute.Value, bool) { return l.value, true }

// kindOf is the kind that an operand has under every item; empty when that
// depends.
func kindOf(o operand) attribute.Kind {
	switch o := o.(type) {
	case literal:
		return o.value.Kind()
	case size:
		return attribute.Numeric
	}
	return ""
}
