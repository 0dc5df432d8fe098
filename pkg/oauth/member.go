package oauth

import (
	"encoding/json"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// member returns the value at the pointer, or the member with the standard name
// if there is no pointer. It is nil when absent or null, and a strictjson.Unusable
// when it cannot be read.
func member(root map[string]any, pointer, standard string) any {
	if pointer == "" {
		return root[standard]
	}
	value, _ := strictjson.Lookup(root, pointer)
	return value
}

// maxShownPointer is the longest pointer that an error repeats, in bytes.
const maxShownPointer = 64

// unusable is the failure of a response with a member that cannot be used. It
// names the member and what is wrong, never the value.
func unusable(name, pointer, problem string) *failure {
	f := malformed(name)
	if pointer != "" && len(pointer) <= maxShownPointer {
		name += " (" + pointer + ")"
	}
	f.Detail = name + " " + problem
	return f
}

// kindOf names the kind of a value as the end of "is …".
func kindOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "missing"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case strictjson.Unusable:
		return "unusable: it " + string(v)
	}
	return "an object"
}
