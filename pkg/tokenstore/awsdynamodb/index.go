package awsdynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Due returns the keys of one page of a slot, and the cursor of the next page,
// empty at the end. The index is eventually consistent: read an item again
// before acting on it.
func (t *Table) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	if slot == "" {
		return nil, "", nil
	}
	found, more, err := t.queryIndex(ctx, "find due", slot, next)
	if err != nil {
		return nil, "", err
	}
	keys := make([]tokenstore.Key, 0, len(found))
	for _, attributes := range found {
		if key, ok := parseKey(attributes); ok {
			keys = append(keys, key)
		}
	}
	return keys, more, nil
}

// queryIndex returns the primary keys of one page of a slot, and the cursor of the
// next page.
func (t *Table) queryIndex(ctx context.Context, verb, slot, next string) ([]attributes, string, error) {
	var start attributes
	if next != "" {
		var err error
		if start, err = parseCursor(verb, next); err != nil {
			return nil, "", err
		}
	}
	out, err := t.client.Query(ctx, &dynamodb.QueryInput{
		TableName: t.name, IndexName: aws.String(RenewIndex),
		KeyConditionExpression:    aws.String("#renew_slot = :slot"),
		ExpressionAttributeNames:  map[string]string{"#renew_slot": attrRenewSlot},
		ExpressionAttributeValues: attributes{":slot": text(slot)},
		ExclusiveStartKey:         start,
	})
	if err != nil {
		return nil, "", unavailable(ctx, verb, err)
	}
	return out.Items, formatCursor(out.LastEvaluatedKey), nil
}

// Reslot moves an item from one slot to another if it is still in the first.
func (t *Table) Reslot(ctx context.Context, key tokenstore.Key, from, to string) error {
	if from == "" {
		return nil
	}
	u := newUpdate("move slot", key)
	u.skipRead = true
	u.require("#renew_slot = :from")
	u.value(":from", text(from))
	u.text(attrRenewSlot, to)
	_, _, err := t.apply(ctx, u)
	return err
}

// parseKey is the inverse of primaryKey; ok is false for a key of another kind.
func parseKey(found attributes) (key tokenstore.Key, ok bool) {
	connection, ok := strings.CutPrefix(textOf(found[attrPartitionKey]), "connection/")
	if !ok {
		return tokenstore.Key{}, false
	}
	key.Connection = connection
	kind, rest, _ := strings.Cut(textOf(found[attrSortKey]), "/")
	switch kind {
	case "token":
		key.Variant = rest
	case "subject":
		key.Subject, key.Variant, _ = strings.Cut(rest, "/")
	default:
		return tokenstore.Key{}, false
	}
	return key, true
}

// textOf returns the value of a string attribute, and "" for any other.
func textOf(v types.AttributeValue) string {
	s, _ := v.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// formatCursor encodes the key at which a page ended. Its attributes are strings.
func formatCursor(last attributes) string {
	if len(last) == 0 {
		return ""
	}
	plain := make(map[string]string, len(last))
	for name, value := range last {
		plain[name] = textOf(value)
	}
	cursor, err := json.Marshal(plain)
	if err != nil {
		return ""
	}
	return string(cursor)
}

func parseCursor(verb, next string) (attributes, error) {
	var plain map[string]string
	if err := json.Unmarshal([]byte(next), &plain); err != nil {
		return nil, fmt.Errorf("%s: %w: the cursor is not valid", verb, tokenstore.ErrUnavailable)
	}
	start := make(attributes, len(plain))
	for name, value := range plain {
		start[name] = text(value)
	}
	return start, nil
}
