package strictjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// walker builds a value token by token and keeps the place of each token in
// the text, because what a string decoded to no longer shows how it was escaped.
type walker struct {
	text []byte
	dec  *json.Decoder
}

func newWalker(text []byte) *walker {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return &walker{text: text, dec: dec}
}

// token returns the next token. The syntax was checked, so that a failure here
// would be a disagreement of encoding/json with itself.
func (w *walker) token(at path) (json.Token, error) {
	start := w.dec.InputOffset()
	t, err := w.dec.Token()
	if err != nil {
		return nil, at.problem("is not JSON")
	}
	if _, isString := t.(string); isString && hasLoneSurrogate(w.text[start:w.dec.InputOffset()]) {
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
	case len(at) >= MaxDepth:
		return nil, at.problem("nests deeper than " + strconv.Itoa(MaxDepth) + " levels")
	case delim == '{':
		return w.object(at)
	default:
		return w.array(at)
	}
}

func (w *walker) object(at path) (any, error) {
	members := map[string]any{}
	for w.dec.More() {
		t, err := w.token(at)
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		place := at.to(name)
		if _, repeated := members[name]; repeated {
			return nil, place.problem("is repeated; keep one")
		}
		if members[name], err = w.value(place); err != nil {
			return nil, err
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

// member reads one member of the object the walker stands in.
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
// would turn into U+FFFD: two different secrets would read alike. In valid JSON
// a backslash stands in strings only.
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

// path is the names from the root to a place.
type path []string

// to is the path of a member. Siblings may share its array: a path is read
// only until the next one is made.
func (p path) to(name string) path { return append(p, name) }

// Names come from outside too: an error shows only so much of them.
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

// PrintableName makes an outsider's member name fit for an error: control
// characters replaced, and cut to a bounded length.
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
