package gateway

import (
	"encoding/json"
	"unicode/utf8"
)

// maxDepth bounds nesting. API Gateway's events are four levels deep.
const maxDepth = 64

// scanner reads one JSON text in a single pass and keeps only what is asked
// for. Decoding an event with encoding/json costs more than everything else
// that a warm vend does together, and nearly all of it is spent on headers that
// nobody reads. It accepts exactly what encoding/json accepts, up to maxDepth;
// a fuzz test holds it to that.
type scanner struct {
	text  []byte
	at    int
	depth int
}

// end reports whether only white space is left.
func (s *scanner) end() bool {
	s.space()
	return s.at == len(s.text)
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// peek returns the first byte of the next token; zero at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// take consumes c when it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// object reads an object and calls member for each name with the scanner at
// its value, which member must consume. What is not an object is skipped.
func (s *scanner) object(member func(name []byte) bool) bool {
	if s.peek() != '{' {
		return s.skip()
	}
	return s.list('{', '}', func() bool {
		name, ok := s.name()
		return ok && s.take(':') && member(name)
	})
}

// name reads a member's name.
func (s *scanner) name() ([]byte, bool) {
	raw, plain, ok := s.literal()
	if !ok || plain {
		return raw, ok
	}
	var name string
	err := json.Unmarshal(raw, &name)
	return []byte(name), err == nil
}

// array reads an array and calls element with the scanner at each value, which
// element must consume. What is not an array is skipped.
func (s *scanner) array(element func() bool) bool {
	if s.peek() != '[' {
		return s.skip()
	}
	return s.list('[', ']', element)
}

func (s *scanner) list(open, close byte, one func() bool) bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	defer func() { s.depth-- }()
	if !s.take(open) {
		return false
	}
	if s.take(close) {
		return true
	}
	for one() {
		if s.take(close) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
	return false
}

// string reads a string; a value of another type reads as empty.
func (s *scanner) string(into *string) bool {
	*into = ""
	if s.peek() != '"' {
		return s.skip()
	}
	raw, plain, ok := s.literal()
	if !ok || plain {
		*into = string(raw)
		return ok
	}
	return json.Unmarshal(raw, into) == nil
}

// literal reads a string's text. Plain text has neither escapes nor bytes
// beyond ASCII and comes without its quotes; other text comes with them.
func (s *scanner) literal() (text []byte, plain, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	start := s.at
	plain = true
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			if plain {
				return s.text[start : s.at-1], true, true
			}
			return s.text[start-1 : s.at], false, true
		case c == '\\':
			plain = false
			if !s.escape() {
				return nil, false, false
			}
		case c < ' ':
			return nil, false, false
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	return nil, false, false
}

// escape stands on a backslash and moves to the last byte of the escape.
func (s *scanner) escape() bool {
	if s.at++; s.at == len(s.text) {
		return false
	}
	switch s.text[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if s.at++; s.at == len(s.text) || !isHex(s.text[s.at]) {
				return false
			}
		}
		return true
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// bool reads a boolean; a value of another type reads as false.
func (s *scanner) bool(into *bool) bool {
	*into = s.peek() == 't'
	return s.skip()
}

// skip validates a value and passes over it.
func (s *scanner) skip() bool {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func([]byte) bool { return s.skip() })
	case c == '[':
		return s.array(s.skip)
	case c == '"':
		_, _, ok := s.literal()
		return ok
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// number passes over a number of RFC 8259 §6.
func (s *scanner) number() bool {
	s.optional("-")
	if !s.optional("0") && s.digits() == 0 {
		return false
	}
	if s.optional(".") && s.digits() == 0 {
		return false
	}
	if s.optional("eE") {
		s.optional("+-")
		return s.digits() > 0
	}
	return true
}

// optional consumes one byte of set, if it is next; no white space is skipped.
func (s *scanner) optional(set string) bool {
	for i := range len(set) {
		if s.at < len(s.text) && s.text[s.at] == set[i] {
			s.at++
			return true
		}
	}
	return false
}

func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at - start
}
