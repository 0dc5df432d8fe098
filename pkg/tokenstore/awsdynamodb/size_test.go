package awsdynamodb_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// sameAttributes compares attributes; a set has no order.
var sameAttributes = cmp.Options{
	cmpopts.IgnoreUnexported(types.AttributeValueMemberS{}, types.AttributeValueMemberN{}, types.AttributeValueMemberB{},
		types.AttributeValueMemberBOOL{}, types.AttributeValueMemberL{}, types.AttributeValueMemberNULL{}),
	cmp.Transformer("set", func(v *types.AttributeValueMemberSS) []string { return slices.Sorted(slices.Values(v.Value)) }),
}

// realisticKey and realistic are a typical renewal: a token of 300 bytes, sealed
// together with what is needed to serve it.
var realisticKey = tokenstore.Key{Connection: "creative-force-production"}

func realistic(version int64) (tokenstore.Acquire, tokenstore.Commit) {
	owner := strings.Repeat("a", 26) // 128 random bits, base 32
	hash := strings.Repeat("b", 43)  // SHA-256, base64
	return tokenstore.Acquire{Key: realisticKey, Owner: owner, Now: now, TTL: 19 * time.Second},
		tokenstore.Commit{
			Key: realisticKey, Owner: owner, Version: version, SecretIncarnation: hash[:22], Now: now,
			Token: tokenstore.SealedToken{
				ID:       "9f86d081884c7d65",
				Sealed:   make([]byte, 32+300+120), // sealing, token, type, scope and callers
				MintedAt: now, ExpiresAt: now.Add(time.Hour),
				ConfigHash: hash, SecretVersion: "0b5c4b6e-3f5c-4f0e-9d3b-1f2e3d4c5b6a",
			},
			Used: true, RenewSlot: "45m/07/3",
		}
}

// itemSize returns the size that DynamoDB bills: names and values in UTF-8; for a
// number, one byte for two significant digits and one more (at most 21); for a
// list, three bytes and one for each element.
func itemSize(item attributes) int {
	size := 0
	for name, value := range item {
		size += len(name) + valueSize(value)
	}
	return size
}

func valueSize(value types.AttributeValue) int {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return min(21, (len(strings.Trim(v.Value, "-0"))+1)/2+2)
	case *types.AttributeValueMemberSS:
		return len(strings.Join(v.Value, ""))
	case *types.AttributeValueMemberL:
		size := 3
		for _, inner := range v.Value {
			size += 1 + valueSize(inner)
		}
		return size
	}
	return 1
}

// TestItemSize adds up what a renewal writes. A computed attribute counts as the
// resulting number.
func TestItemSize(t *testing.T) {
	store, script := scripted(t, answer{200, "{}"})
	a, c := realistic(7)
	_, _ = store.Acquire(t.Context(), a)
	_, _ = store.Commit(t.Context(), c)
	item := under(realisticKey, attributes{"lease_seq": num("1234567"), "ttl": num("1767413045"), "schema": num("1")})
	for _, r := range script.requests {
		expression, _ := r.members["UpdateExpression"].(string)
		values, _ := r.members["ExpressionAttributeValues"].(map[string]any)
		for name, value := range values {
			if attr := strings.TrimPrefix(name, ":"); strings.Contains(expression, "#"+attr+" = "+name) {
				item[attr] = parseValue(t, value)
			}
		}
	}
	for _, name := range []string{"sealed", "lease_owner", "lease_until", "renew_slot", "declaration", "version"} {
		if item[name] == nil {
			t.Fatalf("the writes set no %s: the test does not see the whole item", name)
		}
	}
	if size := itemSize(item); size > 1024 {
		t.Errorf("an item under its lease has %d bytes, want at most 1024: a write would cost two units", size)
	} else {
		t.Logf("an item under its lease has %d bytes", size)
	}
}
