// Package rotation gives a sealing keyset another key, makes it primary, and
// drops keys that nothing needs any more.
//
// Each step is one compare-and-set of the secret, and what is due next is read
// off the keyset itself: so a rotation can be broken off and taken up again
// anywhere, by anybody, and running it once more does no harm.
package rotation

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

// keyBytes is the randomness of a new key: as much as AES-256 has.
const keyBytes = 32

// keyset is one that the service takes.
type keyset struct{ members map[string]string }

// parse reads a keyset, with the service's own judgement.
func parse(ctx context.Context, text redact.Secret) (keyset, error) {
	k := keyset{}
	if err := judge(ctx, text); err != nil {
		return k, err
	}
	return k, json.Unmarshal([]byte(text.Reveal()), &k.members)
}

// judge has the service's sealer read the text.
func judge(ctx context.Context, text redact.Secret) error {
	return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return text, nil }}).Prefetch(ctx)
}

func (k keyset) primary() string { return k.members[primaryMember] }

func (k keyset) has(id string) bool { return id != primaryMember && k.members[id] != "" }

// ids are the keys' names, the oldest first as far as their numbers tell.
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

// number is that of a key called k1, k2 and so on; 0 of any other.
func number(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "k"))
	if err != nil || n < 0 || id != "k"+strconv.Itoa(n) {
		return 0
	}
	return n
}

// waiting is the key that was added and is to become primary; empty when there
// is none.
func (k keyset) waiting() string {
	ids := k.ids()
	if newest := ids[len(ids)-1]; number(newest) > number(k.primary()) {
		return newest
	}
	return ""
}

// next is the name of the key to be added.
func (k keyset) next() string {
	ids := k.ids()
	return "k" + strconv.Itoa(number(ids[len(ids)-1])+1)
}

// withKey returns the keyset with one more key.
func (k keyset) withKey(id string, random io.Reader) (keyset, error) {
	if random == nil {
		random = rand.Reader
	}
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(random, key); err != nil {
		return keyset{}, fmt.Errorf("draw a key: %w", err)
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

// text writes the keyset, its members sorted.
func (k keyset) text() redact.Secret {
	text, _ := json.Marshal(k.members) // texts always can be
	return redact.New(string(text))
}
