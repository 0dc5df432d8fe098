// Package strictjson parses untrusted JSON (a connection's declaration, a
// provider's response, a caller's body). encoding/json is lenient in ways that let
// two parsers of one text see different values; this package is not.
//
// The tokenizer is that of encoding/json. In addition, text must be UTF-8 without
// a byte order mark, member names are unique at every depth and compared exactly
// (RFC 8259 §4 leaves repeated names undefined), escapes that decode to no
// character are refused, nesting is bounded and nothing follows the value.
//
// Errors name locations, never values: the text usually contains a secret.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDepth is the maximum nesting depth of arrays and objects.
const MaxDepth = 32

// ErrTruncated is wrapped by the error for a text that begins as JSON and ends
// too early. An empty text is not truncated.
var ErrTruncated = errors.New("JSON text ends too early")

// Error says where a text breaks a rule and which one. It contains member names
// (bounded in length, control characters replaced), never a value.
type Error struct {
	// Path is a JSON Pointer (RFC 6901) to the location; empty is the whole text.
	Path string
	// Problem continues a sentence: "is not JSON (line 3, column 7)".
	Problem string

	cause error
}

// Error returns the path and the problem.
func (e *Error) Error() string {
	if e.Path == "" {
		return "JSON text " + e.Problem
	}
	return fmt.Sprintf("JSON member %q %s", e.Path, e.Problem)
}

// Unwrap returns ErrTruncated or nil.
func (e *Error) Unwrap() error { return e.cause }

// Parse parses text as one JSON value (RFC 8259): objects become
// map[string]any, arrays []any, numbers json.Number. Any failure is an *Error.
func Parse(text []byte) (any, error) {
	if err := checkSyntax(text); err != nil {
		return nil, err
	}
	w := newWalker(text)
	return w.value(path{})
}

// Unusable stands for a value that breaks a rule of Parse, in the result of
// ParseTolerant. It is the reason, as the end of a sentence: "is repeated".
type Unusable string

// ParseTolerant parses text as Parse does, but a value that breaks a rule other
// than the syntax and the depth becomes Unusable, and the rest is read: a member
// whose name is repeated, and a string that is not UTF-8. A text that nests too
// deeply is an error too, which comes with everything that is not too deep.
func ParseTolerant(text []byte) (any, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	w := newWalker(text)
	w.tolerant = true
	value, err := w.value(path{})
	if err == nil && w.tooDeep != nil {
		return value, w.tooDeep
	}
	return value, err
}

// Member is one member of an object, with its text unchanged.
type Member struct {
	// Name is unescaped; an escape that is not a character becomes U+FFFD.
	Name string
	// Text is syntactically valid JSON; use Parse for the other rules.
	Text json.RawMessage
}

// Members splits text, which must be an object, into its members: in order and
// with repeated names. Only the syntax of each member's text is checked, so a
// member that breaks a rule of Parse does not affect the others.
func Members(text []byte) ([]Member, error) {
	if err := checkSyntax(text); err != nil {
		return nil, err
	}
	w := newWalker(text)
	if t, err := w.dec.Token(); err != nil || t != json.Delim('{') {
		return nil, &Error{Problem: "is not an object"}
	}
	var members []Member
	for w.dec.More() {
		m, err := w.member()
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// checkSyntax reports the first reason why text is not one UTF-8 JSON value. The
// messages of encoding/json are dropped: they quote the invalid character, which
// may be part of a secret.
func checkSyntax(text []byte) error {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return &Error{Problem: "is empty"}
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return &Error{Problem: "begins with a byte order mark; save it as UTF-8 without one"}
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return &Error{Problem: "is not UTF-8 text; save it as UTF-8"}
	}
	return checkJSON(text)
}

// checkJSON is checkSyntax for a text of any encoding that contains ASCII.
func checkJSON(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return &Error{Problem: "is empty"}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	var whole json.RawMessage
	if err := dec.Decode(&whole); err != nil {
		return syntaxError(text, err)
	}
	end := dec.InputOffset()
	if rest := bytes.TrimLeft(text[end:], " \t\r\n"); len(rest) > 0 {
		return &Error{Problem: "has text after its end (" + position(text, len(text)-len(rest)) + ")"}
	}
	return nil
}

func syntaxError(text []byte, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Problem: "ends too early", cause: ErrTruncated}
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return &Error{Problem: "is not JSON"}
	}
	return &Error{Problem: "is not JSON (" + position(text, int(syntax.Offset)-1) + ")"}
}

// position names the byte at offset by line and column, as an editor does.
func position(text []byte, offset int) string {
	before := text[:min(max(offset, 0), len(text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}
