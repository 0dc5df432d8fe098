package localgateway

import (
	"encoding/json"
	"unicode/utf8"
)

// object is a partial JSON object. Its methods append to it and return it, as append
// does. Names are constants and are written without escaping.
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

// end removes the comma that close leaves for the next member.
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

// last writes an object with the last value of each field, as API Gateway does for
// repeated fields; null if there are none.
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

// all writes an object with the values of each field; null if there are none.
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

// appendText appends s as a JSON string. What most texts are needs no escape.
func appendText(to []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			escaped, _ := json.Marshal(s) // a string always encodes
			return append(to, escaped...)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}
