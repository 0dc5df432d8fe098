// Package strictjson reads JSON that somebody else wrote (a connection's
// declaration, a provider's answer, a caller's body) without the leniencies of
// encoding/json that let two readers of one text see two things.
//
// The tokenizer is encoding/json's. On top of it text must be UTF-8 without a
// byte order mark, member names are unique at every depth and compared exactly
// (RFC 8259 §4 leaves repeated names undefined), escapes that decode to no
// character are refused, nesting is bounded and nothing follows the value.
//
// Errors name places, never values: the text usually holds a secret.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 32

// ErrTruncated is wrapped by the error for a text that begins as JSON and ends
// too early. An empty text is not truncated: nothing had begun.
var ErrTruncated = errors.New("JSON text ends too early")

// Error says where a text breaks the rules and which. It holds member names
// (bounded in length, control characters replaced), never a value.
type Error struct {
	// Path is a JSON Pointer (RFC 6901) to the place; empty is the whole text.
	Path string
	// Problem is a predicate: "is not JSON (line 3, column 7)".
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

// Parse reads text as one JSON value (RFC 8259): objects become
// map[string]any, arrays []any, numbers json.Number. Any failure is an *Error.
func Parse(text []byte) (any, error) {
	if err := checkSyntax(text); err != nil {
		return nil, err
	}
	w := newWalker(text)
	return w.value(path{})
}

// Member is one member of an object as it was written.
type Member struct {
	// Name is unescaped; an escape that is no character reads as U+FFFD.
	Name string
	// Text is JSON by syntax only; Parse it.
	Text json.RawMessage
}

// Members splits text, which must be an object, into its members: in order,
// repeated names included, each one's text unread beyond its syntax. So one
// member that breaks Parse's rules need not spoil the others.
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

// checkSyntax reports the first thing that keeps text from being one UTF-8
// JSON value. The messages of encoding/json are not passed on: they quote the
// offending character, which may be a secret's.
func checkSyntax(text []byte) error {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return &Error{Problem: "is empty"}
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return &Error{Problem: "begins with a byte order mark; save it as UTF-8 without one"}
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return &Error{Problem: "is not UTF-8 text; save it as UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	var whole json.RawMessage
	if err := dec.Decode(&whole); err != nil {
		return syntaxError(text, err)
	}
	end := dec.InputOffset()
	if rest := bytes.TrimLeft(text[end:], " \t\r\n"); len(rest) > 0 {
		return &Error{Problem: "has something after its end (" + position(text, len(text)-len(rest)) + ")"}
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

// position names the byte at offset the way an editor does.
func position(text []byte, offset int) string {
	before := text[:min(max(offset, 0), len(text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}
