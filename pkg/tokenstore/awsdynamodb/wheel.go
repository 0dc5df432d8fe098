package awsdynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// RenewIndex is the sparse index on renew_slot, with keys only: a renewal that
// leaves the slot as it is writes nothing to it.
const RenewIndex = "renew"

// WheelConfig is what a Wheel is made of.
type WheelConfig struct {
	// Store is the store of the same table.
	Store *Store
	// Client is required.
	Client Client
}

// Wheel is a Store that also finds what is due and keeps the renewer's notes.
// Only the renewer needs the permission to query the index.
type Wheel struct {
	*Store
	client Client
}

// NewWheel returns the wheel over cfg.Store. It sends nothing.
func NewWheel(cfg WheelConfig) *Wheel { return &Wheel{Store: cfg.Store, client: cfg.Client} }

// Due returns the keys of one page of a slot, and the cursor of the next. The
// index follows the table with a delay; who visits an item reads it anew.
func (w *Wheel) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	if slot == "" {
		return nil, "", nil
	}
	start, err := parseCursor(next)
	if err != nil {
		return nil, "", err
	}
	out, err := w.client.Query(ctx, &dynamodb.QueryInput{
		TableName: w.table, IndexName: aws.String(RenewIndex),
		KeyConditionExpression:    aws.String("#renew_slot = :slot"),
		ExpressionAttributeNames:  map[string]string{"#renew_slot": attrRenewSlot},
		ExpressionAttributeValues: attributes{":slot": text(slot)},
		ExclusiveStartKey:         start,
	})
	if err != nil {
		return nil, "", unavailable(ctx, "find due", err)
	}
	keys := make([]tokenstore.Key, 0, len(out.Items))
	for _, found := range out.Items {
		if key, ok := parseKey(found); ok {
			keys = append(keys, key)
		}
	}
	return keys, formatCursor(out.LastEvaluatedKey), nil
}

// parseKey is the inverse of primaryKey. What is none of ours is left out.
func parseKey(found attributes) (tokenstore.Key, bool) {
	connection, ok := strings.CutPrefix(textOf(found["pk"]), "connection/")
	if !ok {
		return tokenstore.Key{}, false
	}
	key := tokenstore.Key{Connection: connection}
	kind, rest, _ := strings.Cut(textOf(found["sk"]), "/")
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

func textOf(v types.AttributeValue) string {
	s, _ := v.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// formatCursor writes the key where a page ended; all its attributes are texts.
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

func parseCursor(next string) (attributes, error) {
	if next == "" {
		return nil, nil
	}
	var plain map[string]string
	if err := json.Unmarshal([]byte(next), &plain); err != nil {
		return nil, fmt.Errorf("find due: %w: the cursor is not one of this store", tokenstore.ErrUnavailable)
	}
	start := make(attributes, len(plain))
	for name, value := range plain {
		start[name] = text(value)
	}
	return start, nil
}

// Reslot moves an item from one slot to another, if it is still in the first.
func (w *Wheel) Reslot(ctx context.Context, key tokenstore.Key, from, to string) error {
	if from == "" {
		return nil
	}
	u := newUpdate("move slot", key)
	u.blind = true
	u.require("#renew_slot = :from")
	u.value(":from", text(from))
	u.text(attrRenewSlot, to)
	_, _, err := w.apply(ctx, u)
	return err
}

// The attributes of a note; it lives under a partition key of its own.
const (
	attrNoteText = "note"
	notePartKey  = "renewer"
)

func noteKey(name string) attributes {
	return attributes{"pk": text(notePartKey), "sk": text(name)}
}

// ReadDocument reads a note consistently; one that does not exist, or cannot be
// understood, has the version that stands and no text.
func (w *Wheel) ReadDocument(ctx context.Context, name string) (tokenstore.Document, error) {
	out, err := w.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: w.table, Key: noteKey(name), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return tokenstore.Document{}, unavailable(ctx, "read note", err)
	}
	return noteOf(name, out.Item), nil
}

func noteOf(name string, found attributes) tokenstore.Document {
	r := &reader{found: found}
	note := tokenstore.Document{Name: name, Version: r.number(attrVersion, maxCount)}
	if b, ok := found[attrNoteText].(*types.AttributeValueMemberB); ok {
		note.Text = b.Value
	}
	return note
}

// WriteDocument replaces a note of that version, and recognises its own write when
// the answer to it was lost.
func (w *Wheel) WriteDocument(ctx context.Context, n tokenstore.Document) (tokenstore.Document, error) {
	condition := "#version = :read"
	if n.Version == 0 {
		condition = "attribute_not_exists(#version)"
	}
	values := attributes{":next": number(n.Version + 1), ":note": &types.AttributeValueMemberB{Value: n.Text}}
	if n.Version > 0 {
		values[":read"] = number(n.Version)
	}
	_, err := w.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: w.table, Key: noteKey(n.Name),
		UpdateExpression:          aws.String("SET #version = :next, #note = :note"),
		ConditionExpression:       aws.String(condition),
		ExpressionAttributeNames:  map[string]string{"#version": attrVersion, "#note": attrNoteText},
		ExpressionAttributeValues: values,
	})
	written := tokenstore.Document{Name: n.Name, Version: n.Version + 1, Text: n.Text}
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return written, nil
	case !errors.As(err, &failed):
		return tokenstore.Document{}, unavailable(ctx, "write note", err)
	}
	stands, err := w.ReadDocument(ctx, n.Name)
	if err != nil {
		return tokenstore.Document{}, err
	}
	if stands.Version != written.Version || !bytes.Equal(stands.Text, written.Text) {
		return tokenstore.Document{}, fmt.Errorf("write note: %w", tokenstore.ErrSuperseded)
	}
	return written, nil
}
