package strictjson

import (
	"errors"
	"iter"
	"strconv"
	"strings"
)

// Lookup follows a JSON Pointer (RFC 6901) from root, a value made by Parse. It
// reports false when there is no such value or the pointer is malformed. A null
// is found. Where the way there is Unusable, the value is that one.
func Lookup(root any, pointer string) (value any, ok bool) {
	if CheckPointer(pointer) != nil {
		return nil, false
	}
	value = root
	for token := range tokens(pointer) {
		if _, bad := value.(Unusable); bad {
			return value, true
		}
		if value, ok = step(value, token); !ok {
			return nil, false
		}
	}
	return value, true
}

// CheckPointer reports why pointer is not a JSON Pointer (RFC 6901 §3).
func CheckPointer(pointer string) error {
	if pointer != "" && pointer[0] != '/' {
		return errors.New(`is not a JSON Pointer; write "/name" or "/outer/name"`)
	}
	for rest := pointer; ; {
		_, after, found := strings.Cut(rest, "~")
		if !found {
			return nil
		}
		if !strings.HasPrefix(after, "0") && !strings.HasPrefix(after, "1") {
			return errors.New(`is not a JSON Pointer; write a "~" in a name as "~0" and a "/" as "~1"`)
		}
		rest = after
	}
}

// tokens yields the reference tokens of a well-formed pointer, unescaped.
func tokens(pointer string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := pointer; rest != ""; {
			token := rest[1:]
			end := strings.IndexByte(token, '/')
			if end < 0 {
				end = len(token)
			}
			if !yield(unescapeToken(token[:end])) {
				return
			}
			rest = token[end:]
		}
	}
}

func step(value any, token string) (any, bool) {
	switch v := value.(type) {
	case map[string]any:
		member, ok := v[token]
		return member, ok
	case []any:
		i, err := strconv.Atoi(token)
		if err != nil || strconv.Itoa(i) != token || i < 0 || i >= len(v) {
			return nil, false
		}
		return v[i], true
	default:
		return nil, false
	}
}

func escapeToken(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// unescapeToken replaces ~1 before ~0, so that ~01 becomes ~1 and not a slash.
func unescapeToken(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}
