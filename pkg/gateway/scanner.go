package gateway

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting. Events of API Gateway have four levels.
const maxDepth = 64

// scanner decodes one JSON text in a single pass and keeps only what is used.
// encoding/json reads every byte twice; for an event, most of which are unused
// headers, that takes twice as long as everything else that a vend from memory
// does. The scanner accepts exactly what encoding/json accepts, up to maxDepth,
// which a fuzz test checks. It leaves escapes, numbers and literals to
// encoding/json.
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

// peek returns the first byte of the next token, or zero at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// take consumes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// object reads an object and calls member for each name. The scanner is then at
// the value, which member must consume. Any other value is skipped.
func (s *scanner) object(member func(name []byte) bool) bool {
	if s.peek() != '{' {
		return s.skip()
	}
	return s.list('{', '}', func() bool {
		name, ok := s.name()
		return ok && s.take(':') && member(name)
	})
}

// name reads the name of a member.
func (s *scanner) name() ([]byte, bool) {
	raw, plain, ok := s.literal()
	if !ok || plain {
		return raw, ok
	}
	var name string
	err := json.Unmarshal(raw, &name)
	return []byte(name), err == nil
}

// array reads an array and calls element at each value, which element must
// consume. Any other value is skipped.
func (s *scanner) array(element func() bool) bool {
	if s.peek() != '[' {
		return s.skip()
	}
	return s.list('[', ']', element)
}

func (s *scanner) list(begin, end byte, one func() bool) bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	defer func() { s.depth-- }()
	if !s.take(begin) {
		return false
	}
	if s.take(end) {
		return true
	}
	for one() {
		if s.take(end) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
	return false
}

// string reads a string. Any other value counts as empty.
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

// literal reads a string. Plain text, which has neither escapes nor bytes beyond
// ASCII, is returned without its quotes; any other text with them.
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
			text = s.text[start-1 : s.at]
			return text, false, json.Valid(text)
		case c == '\\':
			plain = false
			s.at++ // an escaped quote does not end the string
		case c < ' ' || c >= utf8.RuneSelf:
			plain = false
		}
	}
	return nil, false, false
}

// bool reads a boolean. Any other value counts as false.
func (s *scanner) bool(into *bool) bool {
	*into = s.peek() == 't'
	return s.skip()
}

// skip validates a value and skips it.
func (s *scanner) skip() bool {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func([]byte) bool { return s.skip() })
	case c == '[':
		return s.array(s.skip)
	case c == '"':
		_, _, ok := s.literal()
		return ok
	default:
		return s.scalar()
	}
}

// scalar skips a number, true, false or null.
func (s *scanner) scalar() bool {
	start := s.at
	for s.at < len(s.text) && !strings.ContainsRune(",]} \t\r\n", rune(s.text[s.at])) {
		s.at++
	}
	return json.Valid(s.text[start:s.at])
}
