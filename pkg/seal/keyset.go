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
	// minKeyText is the least length of a key's text in bytes.
	minKeyText = 32
	// maxKeyID is the greatest length of a key's name: it travels with every text.
	maxKeyID = 32
)

// keyset is a parsed keyset. It is never changed.
type keyset struct {
	primary string
	// byID holds the pseudorandom keys (RFC 5869, the extract step), not the texts.
	byID map[string]redact.Secret
}

// parseKeyset reads {"primary":"k1","k1":"<random string>",…} strictly. Its
// errors name members and say how to mend them, never a value.
func parseKeyset(text redact.Secret) (*keyset, error) {
	root, err := strictjson.Parse([]byte(text.Reveal()))
	if err != nil {
		return nil, err
	}
	members, ok := root.(map[string]any)
	if !ok {
		return nil, errors.New(`must be a JSON object: {"primary":"k1","k1":"…"}`)
	}
	primary, ok := members[primaryMember].(string)
	if !ok {
		return nil, errors.New(`needs the member "primary", a text that names one of its keys`)
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
		return nil, errors.New(`has no key of the name that its member "primary" gives`)
	}
	return keys, nil
}

func parseKey(id string, value any) (redact.Secret, error) {
	if !isKeyID(id) {
		// The name is not repeated: whoever swaps name and text puts a key there.
		return redact.Secret{}, fmt.Errorf("has a key whose name is not 1 to %d letters, digits, hyphens or underscores", maxKeyID)
	}
	key, ok := value.(string)
	if !ok || len(key) < minKeyText {
		return redact.Secret{}, fmt.Errorf("member %q must be a random text of at least %d bytes", id, minKeyText)
	}
	extracted, err := hkdf.Extract(sha256.New, []byte(key), nil)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("member %q cannot be made a key: %w", id, err)
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
