package strictjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// walker builds a value token by token. It keeps the text of each token, because
// a decoded string does not show how it was escaped.
type walker struct {
	text []byte
	dec  *json.Decoder
	// tolerant: a value that breaks a rule becomes Unusable. tooDeep is the first
	// that nests too deeply.
	tolerant bool
	tooDeep  *Error
}

func newWalker(text []byte) *walker {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return &walker{text: text, dec: dec}
}

// token returns the next token. The syntax was checked before, so an error is not
// expected.
func (w *walker) token(at path) (json.Token, error) {
	start := w.dec.InputOffset()
	t, err := w.dec.Token()
	if err != nil {
		return nil, at.problem("is not JSON")
	}
	if _, isString := t.(string); !isString {
		return t, nil
	}
	raw := w.text[start:w.dec.InputOffset()]
	switch lone := hasLoneSurrogate(raw); {
	case w.tolerant && (lone || !utf8.Valid(raw)):
		return Unusable("is not UTF-8 text"), nil
	case lone:
		return nil, at.problem("has a \\u escape that is half of a surrogate pair")
	}
	return t, nil
}

func (w *walker) value(at path) (any, error) {
	t, err := w.token(at)
	if err != nil {
		return nil, err
	}
	delim, nested := t.(json.Delim)
	switch {
	case !nested:
		return t, nil
	case len(at) >= MaxDepth && w.tolerant:
		return w.skip(at)
	case len(at) >= MaxDepth:
		return nil, at.problem("nests deeper than " + strconv.Itoa(MaxDepth) + " levels")
	case delim == '{':
		return w.object(at)
	default:
		return w.array(at)
	}
}

// skip reads the rest of an array or object that nests too deeply.
func (w *walker) skip(at path) (any, error) {
	if w.tooDeep == nil {
		w.tooDeep = at.problem("nests deeper than " + strconv.Itoa(MaxDepth) + " levels")
	}
	for open := 1; open > 0; {
		t, err := w.dec.Token()
		switch {
		case err != nil:
			return nil, at.problem("is not JSON")
		case t == json.Delim('{'), t == json.Delim('['):
			open++
		case t == json.Delim('}'), t == json.Delim(']'):
			open--
		}
	}
	return Unusable("nests too deeply"), nil
}

func (w *walker) object(at path) (any, error) {
	members := map[string]any{}
	for w.dec.More() {
		t, err := w.token(at)
		if err != nil {
			return nil, err
		}
		name, isText := t.(string)
		member := at.to(name)
		_, repeated := members[name]
		if repeated && !w.tolerant {
			return nil, member.problem("is repeated; keep one")
		}
		value, err := w.value(member)
		switch {
		case err != nil:
			return nil, err
		case repeated:
			value = Unusable("is repeated")
		}
		if isText { // else no pointer names it
			members[name] = value
		}
	}
	_, err := w.token(at) // the closing brace
	return members, err
}

func (w *walker) array(at path) (any, error) {
	elements := []any{}
	for w.dec.More() {
		element, err := w.value(at.to(strconv.Itoa(len(elements))))
		if err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
	_, err := w.token(at) // the closing bracket
	return elements, err
}

// member returns the next member of the current object.
func (w *walker) member() (Member, error) {
	t, err := w.dec.Token()
	if err != nil {
		return Member{}, path{}.problem("is not JSON")
	}
	m := Member{}
	m.Name, _ = t.(string)
	if err := w.dec.Decode(&m.Text); err != nil {
		return Member{}, path{}.to(m.Name).problem("is not JSON")
	}
	return m, nil
}

// hasLoneSurrogate looks for \uD800…\uDFFF outside a pair, which encoding/json
// turns into U+FFFD: two different secrets would become equal. In valid JSON a
// backslash occurs in strings only.
func hasLoneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		first, isEscape := unicodeEscape(raw[i:])
		i++
		if !isEscape || !utf16.IsSurrogate(first) {
			continue
		}
		second, _ := unicodeEscape(raw[i+5:])
		if utf16.DecodeRune(first, second) == unicode.ReplacementChar {
			return true
		}
		i += 10
	}
	return false
}

// unicodeEscape decodes the \uXXXX that raw begins with.
func unicodeEscape(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	code, err := strconv.ParseUint(string(raw[2:6]), 16, 32)
	return rune(code), err == nil //nolint:gosec // four hexadecimal digits
}

// path is the list of names from the root to a location.
type path []string

// to is the path of a member. Siblings may share its array: a path is used only
// until the next one is made.
func (p path) to(name string) path { return append(p, name) }

// Names are untrusted too: an error shows only a part of a long one.
const (
	maxShownName = 64
	maxShownPath = 256
)

func (p path) problem(text string) *Error {
	var b strings.Builder
	for _, name := range p {
		if b.Len() > maxShownPath {
			b.WriteString("/…")
			break
		}
		b.WriteString("/" + escapeToken(PrintableName(name)))
	}
	return &Error{Path: b.String(), Problem: text}
}

// PrintableName makes an untrusted member name safe for an error: control
// characters are replaced, and a long name is cut.
func PrintableName(name string) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, name)
	if runes := []rune(printable); len(runes) > maxShownName {
		return string(runes[:maxShownName]) + "…"
	}
	return printable
}
