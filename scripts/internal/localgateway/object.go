package localgateway

import (
	"unicode/utf8"
)

// object is the text of a JSON object in the making. Its methods append and
// return it, as append does. Names are ours and are written as they are.
type object []byte

// field is a name with its values, of which there is at least one.
type field struct {
	name   string
	values []string
}

func (o object) open() object { return append(o, '{') }

// close ends the object, which has a member.
func (o object) close() object {
	o[len(o)-1] = '}' // in place of the comma after the last member
	return append(o, ',')
}

// end takes away what close left for a member to follow.
func (o object) end() []byte { return o[:len(o)-1] }

func (o object) name(name string) object {
	o = append(o, '"')
	o = append(o, name...)
	return append(o, '"', ':')
}

func (o object) text(name, value string) object {
	return append(appendText(o.name(name), value), ',')
}

func (o object) literal(name, value string) object {
	return append(append(o.name(name), value...), ',')
}

func (o object) null(name string) object { return o.literal(name, "null") }

// last writes an object with the last value of each field, as API Gateway
// shows repeated ones; null for none.
func (o object) last(name string, fields []field) object {
	if len(fields) == 0 {
		return o.null(name)
	}
	o = o.name(name).open()
	for _, f := range fields {
		o = append(appendText(o, f.name), ':')
		o = append(appendText(o, f.values[len(f.values)-1]), ',')
	}
	return o.close()
}

// all writes an object with the list of each field's values; null for none.
func (o object) all(name string, fields []field) object {
	if len(fields) == 0 {
		return o.null(name)
	}
	o = o.name(name).open()
	for _, f := range fields {
		o = append(appendText(o, f.name), ':', '[')
		for _, value := range f.values {
			o = append(appendText(o, value), ',')
		}
		o[len(o)-1] = ']'
		o = append(o, ',')
	}
	return o.close()
}

const hexDigits = "0123456789abcdef"

// appendText appends s as a JSON string (RFC 8259 §7). What is not UTF-8
// becomes U+FFFD, as encoding/json does it.
func appendText(to []byte, s string) []byte {
	to = append(to, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		to = append(to, s[start:i]...)
		to = appendEscape(to, c)
		i++
		start = i
	}
	to = append(to, s[start:]...)
	return append(to, '"')
}

// appendEscape appends one byte that cannot stand for itself.
func appendEscape(to []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(to, '\\', c)
	case c < ' ':
		return append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	default:
		return append(to, "\ufffd"...)
	}
}
