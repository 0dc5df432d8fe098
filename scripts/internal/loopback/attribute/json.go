package attribute

import (
	"encoding/base64"
	"encoding/json"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// maxDepth is how deep lists and maps may nest.
const maxDepth = 32

// source is the JSON of a value, and how many containers it stands in.
type source struct {
	raw   json.RawMessage
	depth int
}

// decode fills target; what is of another JSON type is refused.
func (s source) decode(target any) error {
	if string(s.raw) == "null" || json.Unmarshal(s.raw, target) != nil {
		return &awsjson.Error{Code: "SerializationException", Message: "an attribute value is not of its JSON type"}
	}
	return nil
}

// parserOf is nil for a kind that there is not.
func parserOf(kind Kind) func(Kind, source) (Value, error) {
	switch kind {
	case Text:
		return parseText
	case Numeric:
		return parseNumber
	case Binary:
		return parseBinary
	case Boolean:
		return parseBoolean
	case Null:
		return parseNull
	case TextSet, NumberSet, BinarySet:
		return parseSet
	case List:
		return parseList
	case Map:
		return parseMap
	}
	return nil
}

// UnmarshalJSON reads a value. Its errors are of the kind [awsjson.Error].
func (v *Value) UnmarshalJSON(raw []byte) (err error) {
	*v, err = parse(source{raw: raw})
	return err
}

func parse(s source) (Value, error) {
	var members map[Kind]json.RawMessage
	if err := s.decode(&members); err != nil {
		return Value{}, err
	}
	if len(members) > 1 {
		return Value{}, awsjson.Invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	for kind, raw := range members {
		if parse := parserOf(kind); parse != nil {
			return parse(kind, source{raw: raw, depth: s.depth})
		}
	}
	return Value{}, awsjson.Invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func parseText(_ Kind, s source) (Value, error) {
	var text string
	err := s.decode(&text)
	return OfText(text), err
}

func parseNumber(_ Kind, s source) (Value, error) {
	var text string
	if err := s.decode(&text); err != nil {
		return Value{}, err
	}
	number, err := ParseNumber(text)
	return OfNumber(number), err
}

func parseBinary(_ Kind, s source) (Value, error) {
	var bytes []byte
	err := s.decode(&bytes)
	return Value{kind: Binary, text: string(bytes)}, err
}

func parseBoolean(_ Kind, s source) (Value, error) {
	var truth bool
	err := s.decode(&truth)
	return Value{kind: Boolean, truth: truth}, err
}

func parseNull(_ Kind, s source) (Value, error) {
	var truth bool
	if err := s.decode(&truth); err != nil {
		return Value{}, err
	}
	if !truth {
		return Value{}, awsjson.Invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
	}
	return Value{kind: Null}, nil
}

func parseSet(kind Kind, s source) (Value, error) {
	var raws []json.RawMessage
	if err := s.decode(&raws); err != nil {
		return Value{}, err
	}
	members := make([]Value, len(raws))
	for i, raw := range raws {
		var err error
		if members[i], err = parserOf(elements[kind])(elements[kind], source{raw: raw}); err != nil {
			return Value{}, err
		}
		if members[i].kind != Numeric && members[i].text == "" {
			return Value{}, awsjson.Invalid("One or more parameter values were invalid: a set may not have an empty member")
		}
	}
	set := OfSet(kind, members)
	switch {
	case len(members) == 0:
		return Value{}, awsjson.Invalid("One or more parameter values were invalid: a set may not be empty")
	case len(set.members) < len(members):
		return Value{}, awsjson.Invalid("One or more parameter values were invalid: Input collection contains duplicates.")
	}
	return set, nil
}

func parseList(_ Kind, s source) (Value, error) {
	var raws []json.RawMessage
	if err := s.decode(&raws); err != nil {
		return Value{}, err
	}
	members := make([]Value, len(raws))
	for i, raw := range raws {
		var err error
		if members[i], err = s.inner(raw); err != nil {
			return Value{}, err
		}
	}
	return OfList(members), nil
}

func parseMap(_ Kind, s source) (Value, error) {
	var raws map[string]json.RawMessage
	if err := s.decode(&raws); err != nil {
		return Value{}, err
	}
	fields := make(Item, len(raws))
	for name, raw := range raws {
		var err error
		if fields[name], err = s.inner(raw); err != nil {
			return Value{}, err
		}
	}
	return OfMap(fields), nil
}

// inner reads a value within a container.
func (s source) inner(raw json.RawMessage) (Value, error) {
	if s.depth+1 >= maxDepth {
		return Value{}, awsjson.Invalid("Nesting Levels have exceeded supported limits")
	}
	return parse(source{raw: raw, depth: s.depth + 1})
}

// MarshalJSON writes a value as the service does.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.kind == "" {
		return nil, awsjson.Invalid("no value to write")
	}
	return json.Marshal(map[Kind]any{v.kind: v.wire()})
}

func (v Value) wire() any {
	switch v.kind {
	case Text:
		return v.text
	case Numeric:
		return v.number.String()
	case Binary:
		return base64.StdEncoding.EncodeToString([]byte(v.text))
	case Boolean:
		return v.truth
	case Null:
		return true
	case List:
		return append([]Value{}, v.members...)
	case Map:
		return v.fields
	}
	return v.wireOfSet()
}

func (v Value) wireOfSet() []any {
	wire := make([]any, len(v.members))
	for i, member := range v.members {
		wire[i] = member.wire()
	}
	return wire
}
