package expression

import "strings"

// tokenKind tells what a token is.
type tokenKind int

const (
	end    tokenKind = iota
	word             // a name, a keyword or a function
	name             // #name
	value            // :value
	index            // the digits of a list index
	symbol           // an operator or punctuation
	unread           // a character that nothing begins with
)

type token struct {
	kind tokenKind
	text string
}

// keyword says whether the token is that keyword, in whatever case.
func (t token) keyword(upper string) bool {
	return t.kind == word && strings.EqualFold(t.text, upper)
}

func (t token) is(text string) bool { return t.kind == symbol && t.text == text }

func letter(c byte) bool     { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool      { return c >= '0' && c <= '9' }
func wordPart(c byte) bool   { return letter(c) || digit(c) || c == '_' }
func blank(c byte) bool      { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
func sign(c byte) bool       { return strings.IndexByte("=<>(),.[]+-", c) >= 0 }
func twoSigns(s string) bool { return s == "<>" || s == "<=" || s == ">=" }

// lex divides a text into tokens, the last of which is the end.
func lex(text string) []token {
	var tokens []token
	for {
		text = strings.TrimLeftFunc(text, func(r rune) bool { return r < 0x80 && blank(byte(r)) })
		if text == "" {
			return append(tokens, token{kind: end, text: "<EOF>"})
		}
		next := first(text)
		tokens = append(tokens, next)
		text = text[len(next.text):]
	}
}

// first is the token that a text begins with.
func first(text string) token {
	switch c := text[0]; {
	case letter(c):
		return token{word, text[:run(text, 0, wordPart)]}
	case (c == '#' || c == ':') && run(text, 1, wordPart) > 1:
		kind := name
		if c == ':' {
			kind = value
		}
		return token{kind, text[:run(text, 1, wordPart)]}
	case digit(c):
		return token{index, text[:run(text, 0, digit)]}
	case len(text) > 1 && twoSigns(text[:2]):
		return token{symbol, text[:2]}
	case sign(c):
		return token{symbol, text[:1]}
	}
	return token{unread, text[:1]}
}

// run is where the characters that belong end.
func run(text string, from int, belongs func(byte) bool) int {
	for from < len(text) && belongs(text[from]) {
		from++
	}
	return from
}
