package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	// primaryMember is the member of a keyset that names the key to seal with.
	primaryMember = "primary"
	// minKeyText is the minimum length of a key's text in bytes.
	minKeyText = 32
	// maxKeyID is the maximum length of a key's id, which is stored with each text.
	maxKeyID = 32
)

// keyset is a parsed keyset. It is immutable.
type keyset struct {
	primary string
	// byID has the pseudorandom keys (RFC 5869, the extract step), not the texts.
	byID map[string]redact.Secret
}

// parseKeyset parses {"primary":"k1","k1":"<random string>",…} strictly. Its errors
// name members and say how to fix them, never a value.
func parseKeyset(text redact.Secret) (*keyset, error) {
	root, err := strictjson.Parse([]byte(text.Reveal()))
	if err != nil {
		return nil, err
	}
	members, ok := root.(map[string]any)
	if !ok {
		return nil, errors.New(`it must be a JSON object: {"primary":"k1","k1":"…"}`)
	}
	primary, ok := members[primaryMember].(string)
	if !ok {
		return nil, errors.New(`it needs the member "primary", a string that names one of its keys`)
	}
	keys := &keyset{primary: primary, byID: make(map[string]redact.Secret, len(members))}
	for id, value := range members {
		if id == primaryMember {
			continue
		}
		if keys.byID[id], err = parseKey(id, value); err != nil {
			return nil, err
		}
	}
	if _, ok := keys.byID[primary]; !ok {
		return nil, errors.New(`it has no key of the name in its member "primary"`)
	}
	return keys, nil
}

func parseKey(id string, value any) (redact.Secret, error) {
	if !isKeyID(id) {
		// The name is not repeated: if name and text are swapped by mistake, it is a key.
		return redact.Secret{}, fmt.Errorf("it has a key whose name is not 1 to %d letters, digits, hyphens or underscores", maxKeyID)
	}
	key, ok := value.(string)
	if !ok || len(key) < minKeyText {
		return redact.Secret{}, fmt.Errorf("member %q must be a random string of at least %d bytes", id, minKeyText)
	}
	extracted, err := hkdf.Extract(sha256.New, []byte(key), nil)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("derive a key from member %q: %w", id, err)
	}
	return redact.New(string(extracted)), nil
}

func isKeyID(id string) bool {
	for _, c := range []byte(id) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= maxKeyID && id != primaryMember
}
