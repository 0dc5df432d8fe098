// Package keyrotation rotates a sealing keyset: it adds a key, makes it primary,
// and drops keys that are no longer needed.
//
// Each step is one compare-and-set of the secret, and the next step follows from
// the keyset alone. So a rotation can be interrupted and continued anywhere, by
// anyone, and running a step again is harmless.
package keyrotation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
)

// primaryMember names the key to seal with.
const primaryMember = "primary"

// keyBytes is the size of a new key: that of AES-256.
const keyBytes = 32

// keyset is a keyset that the service accepts.
type keyset struct{ members map[string]string }

// parse parses a keyset that the service accepts.
func parse(ctx context.Context, text redact.Secret) (keyset, error) {
	k := keyset{}
	if err := validate(ctx, text); err != nil {
		return k, err
	}
	return k, json.Unmarshal([]byte(text.Reveal()), &k.members)
}

// validate has the service's own sealer read the text.
func validate(ctx context.Context, text redact.Secret) error {
	return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return text, nil }}).Prefetch(ctx)
}

func (k keyset) primary() string { return k.members[primaryMember] }

func (k keyset) has(id string) bool { return id != primaryMember && k.members[id] != "" }

// ids are the names of the keys, ordered by their numbers.
func (k keyset) ids() []string {
	var ids []string
	for id := range k.members {
		if id != primaryMember {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		if d := number(a) - number(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return ids
}

// number returns 1 for k1, 2 for k2 and so on, and 0 for any other name.
func number(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "k"))
	if err != nil || n < 0 || id != "k"+strconv.Itoa(n) {
		return 0
	}
	return n
}

// waiting is the key that was added and is not primary yet; empty if there is none.
func (k keyset) waiting() string {
	ids := k.ids()
	if newest := ids[len(ids)-1]; number(newest) > number(k.primary()) {
		return newest
	}
	return ""
}

// next is the name of the key to add.
func (k keyset) next() string {
	ids := k.ids()
	return "k" + strconv.Itoa(number(ids[len(ids)-1])+1)
}

// withKey returns the keyset with a new key of that name.
func (k keyset) withKey(id string, random io.Reader) (keyset, error) {
	if random == nil {
		random = rand.Reader
	}
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(random, key); err != nil {
		return keyset{}, fmt.Errorf("generate a key: %w", err)
	}
	return k.with(id, fmt.Sprintf("%x", key)), nil
}

func (k keyset) with(member, value string) keyset {
	members := map[string]string{member: value}
	for id, text := range k.members {
		if id != member {
			members[id] = text
		}
	}
	return keyset{members}
}

func (k keyset) without(id string) keyset {
	c := k.with(primaryMember, k.primary())
	delete(c.members, id)
	return c
}

// text writes the keyset with its members sorted.
func (k keyset) text() redact.Secret {
	text, _ := json.Marshal(k.members) // strings always encode
	return redact.New(string(text))
}
