package expression

import (
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// Update is a parsed UpdateExpression.
type Update struct {
	sets    []assignment
	removes []Path
	adds    []change
	deletes []change
}

type (
	assignment struct {
		path Path
		to   source
	}
	// change adds to, or takes from, what stands at a path.
	change struct {
		path Path
		by   attribute.Value
	}
)

// Update reads an UpdateExpression.
func (s *Scope) Update(text string) (*Update, error) {
	p := s.open("UpdateExpression", text)
	u := &Update{}
	for seen := []string(nil); p.peek().kind != end; {
		seen = append(seen, p.clause(u, seen))
	}
	if p.err == nil {
		p.checkClashes(u.Paths())
	}
	return u, p.close()
}

// Paths are the paths that the update writes.
func (u *Update) Paths() Projection {
	paths := slices.Clone(u.removes)
	for _, set := range u.sets {
		paths = append(paths, set.path)
	}
	for _, c := range slices.Concat(u.adds, u.deletes) {
		paths = append(paths, c.path)
	}
	return paths
}

// clause reads one of the four and returns its keyword.
func (p *parser) clause(u *Update, seen []string) string {
	keyword := strings.ToUpper(p.peek().text)
	if slices.Contains(seen, keyword) {
		p.refuse("The %q section can only be used once in an update expression;", keyword)
		return ""
	}
	switch {
	case p.acceptKeyword("SET"):
		u.sets = list(p, p.assignment)
	case p.acceptKeyword("REMOVE"):
		u.removes = list(p, p.path)
	case p.acceptKeyword("ADD"):
		u.adds = list(p, func() change { return p.change("ADD") })
	case p.acceptKeyword("DELETE"):
		u.deletes = list(p, func() change { return p.change("DELETE") })
	default:
		p.misplaced()
	}
	return keyword
}

func (p *parser) assignment() assignment {
	path := p.path()
	p.expect("=")
	return assignment{path: path, to: p.sum()}
}

// sum reads an operand, or two with a sign between.
func (p *parser) sum() source {
	left := p.source()
	for _, sign := range []string{"+", "-"} {
		if p.accept(sign) {
			right := p.source()
			p.checkKind(sign, attribute.Numeric, left, right)
			return arithmetic{sign: sign, left: left, right: right}
		}
	}
	return left
}

func (p *parser) source() source {
	switch t := p.peek(); {
	case p.accept("("):
		inner := p.sum()
		p.expect(")")
		return inner
	case t.kind == value:
		return given{p.literal()}
	case t.kind == word && p.tokens[p.at+1].is("("):
		return p.updateCall()
	}
	return stored{p.path()}
}

// updateCall reads one of the two functions that updates have.
func (p *parser) updateCall() source {
	function := p.next().text
	p.expect("(")
	arguments := list(p, p.source)
	p.expect(")")
	switch {
	case p.err != nil:
		return nil
	case function != "if_not_exists" && function != "list_append":
		p.refuse("Invalid function name; function: %s", function)
		return nil
	case len(arguments) != 2:
		p.refuse("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", function, len(arguments))
		return nil
	case function == "list_append":
		p.checkKind(function, attribute.List, arguments...)
		return joining{arguments[0], arguments[1]}
	}
	path, ok := arguments[0].(stored)
	if !ok {
		p.refuse("Operator or function requires a document path; operator or function: if_not_exists")
	}
	return fallback{path: path.path, otherwise: arguments[1]}
}

// checkKind refuses operands that can never be of the kind.
func (p *parser) checkKind(function string, kind attribute.Kind, sources ...source) {
	for _, s := range sources {
		if found := sourceKind(s); found != "" && found != kind {
			p.wrongKind(function, found)
		}
	}
}

func sourceKind(s source) attribute.Kind {
	switch s := s.(type) {
	case given:
		return s.value.Kind()
	case arithmetic:
		return attribute.Numeric
	case joining:
		return attribute.List
	case fallback:
		return sourceKind(s.otherwise)
	}
	return ""
}

// change reads the path and the value of an ADD or a DELETE.
func (p *parser) change(keyword string) change {
	path := p.path()
	if p.err == nil && p.peek().kind != value {
		p.misplaced()
	}
	if p.err != nil {
		return change{}
	}
	by := p.literal().value
	if _, set := by.Kind().Element(); !set && (keyword == "DELETE" || by.Kind() != attribute.Numeric) {
		p.refuse("Incorrect operand type for operator or function; operator: %s, operand type: %s", keyword, by.Kind())
	}
	return change{path: path, by: by}
}
