package sandbox

import (
	"regexp/syntax"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// sample is a value that a variable accepts.
func sample(v provider.Variable) string {
	switch {
	case v.Default != "":
		return v.Default
	case len(v.Values) > 0:
		return v.Values[0]
	case v.Pattern != "":
		if pattern, err := syntax.Parse(v.Pattern, syntax.Perl); err == nil {
			return shortest(pattern.Simplify())
		}
	case v.Host:
		return "tenant.example.com"
	}
	return "acme"
}

// shortest is a short text that a pattern matches.
func shortest(p *syntax.Regexp) string {
	var text strings.Builder
	switch p.Op {
	case syntax.OpLiteral:
		return string(p.Rune)
	case syntax.OpCharClass:
		return string(oneOf(p.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture, syntax.OpPlus, syntax.OpAlternate:
		return shortest(p.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(shortest(p.Sub[0]), p.Min)
	case syntax.OpConcat:
		for _, sub := range p.Sub {
			text.WriteString(shortest(sub))
		}
	default: // what may be absent, and what matches no character
	}
	return text.String()
}

// oneOf is a character of a class, if possible a letter. The class is in pairs of its
// first and last characters.
func oneOf(class []rune) rune {
	for _, preferred := range "a1A" {
		for i := 0; i < len(class); i += 2 {
			if class[i] <= preferred && preferred <= class[i+1] {
				return preferred
			}
		}
	}
	return class[0]
}
